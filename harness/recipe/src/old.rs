//! The free-text form that typed actions replace: `require_system` with `install_guide`. It is
//! rejected with the typed steps that say the same.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quote};
use crate::package::{Manager, PackageName};
use crate::table::{Reader, Table};

/// Reports a step of the old form; false when it is not one.
pub(crate) fn report(reader: &mut Reader<'_>, table: &Table<'_>) -> bool {
    let is_require_system =
        table.get("action").and_then(|action| action.as_str()) == Some("require_system");
    let guide = table.get("install_guide");
    if !is_require_system && guide.is_none() {
        return false;
    }
    let span = if is_require_system {
        table.get("action").map(|action| action.span)
    } else {
        table.key_span("install_guide")
    };
    let what = if is_require_system {
        "`require_system` was replaced by typed actions"
    } else {
        "`install_guide` was replaced by typed actions"
    };
    let mut steps = Vec::new();
    if let Some(guide) = guide.and_then(|guide| guide.as_table("`install_guide`")) {
        for (platform, _) in guide.keys().take(MOST_PLATFORMS) {
            steps.extend(
                guide
                    .get(platform)
                    .and_then(|text| text.as_str())
                    .map(|text| typed_step(platform, text)),
            );
        }
    }
    if let Some(command) = table.get("command").and_then(|command| command.as_str()) {
        steps.push(step(&[
            ("action", "\"require_command\"".to_owned()),
            ("command", toml_string(command)),
        ]));
    }
    let help = if steps.is_empty() {
        "write one step per platform (`apt_install`, `dnf_install`, `pacman_install`, `manual`, with `when`), then a `require_command` step".to_owned()
    } else {
        let steps = steps.join("\n");
        format!("`assay migrate` writes typed actions instead, such as:\n{steps}")
    };
    reader
        .faults
        .report(Diagnostic::new(Code::OldInstallText, span.unwrap_or(table.span), what).help(help));
    true
}

/// More platforms than any guide has.
const MOST_PLATFORMS: usize = 16;

/// The typed step that says what a line of a guide says; a manual one when that is not certain, or
/// when no action that this version performs says it.
fn typed_step(platform: &str, text: &str) -> String {
    let words: Vec<_> = text
        .split_whitespace()
        .skip_while(|word| *word == "sudo")
        .collect();
    let install = match words.as_slice() {
        ["apt" | "apt-get", "install", names @ ..] => Some((Manager::Apt, names)),
        ["dnf" | "yum", "install", names @ ..] => Some((Manager::Dnf, names)),
        ["pacman", "-S" | "-Sy" | "-Syu", names @ ..] => Some((Manager::Pacman, names)),
        _ => None,
    };
    let install = install.and_then(|(manager, names)| Some((manager, packages(manager, names)?)));
    let Some((manager, packages)) = install else {
        let (key, platform) = (platform_key(platform), toml_string(platform));
        return step(&[
            ("action", "\"manual\"".to_owned()),
            ("text", toml_string(text)),
            ("when", format!("{{ {key} = [{platform}] }}")),
        ]);
    };
    let (action, condition) = match manager {
        Manager::Apt => ("apt_install", "distro_like = [\"debian\"]"),
        Manager::Dnf => ("dnf_install", "linux_family = [\"rhel\"]"),
        Manager::Pacman => ("pacman_install", "linux_family = [\"arch\"]"),
        Manager::Apk => ("apk_install", "linux_family = [\"alpine\"]"),
        Manager::Zypper => ("zypper_install", "linux_family = [\"suse\"]"),
        Manager::Brew => ("brew_install", "os = [\"darwin\"]"),
    };
    step(&[
        ("action", format!("\"{action}\"")),
        ("packages", format!("[{packages}]")),
        ("when", format!("{{ {condition} }}")),
    ])
}

/// The packages among the words of a command, as a list's entries; `None` unless all are packages.
fn packages(manager: Manager, words: &[&str]) -> Option<String> {
    let names: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let fits = |name: &str| PackageName::for_manager(manager, name).is_ok();
    let all_fit = !names.is_empty() && names.iter().all(|name| fits(name));
    let quoted = names.iter().map(|name| toml_string(name));
    all_fit.then(|| quoted.collect::<Vec<_>>().join(", "))
}

/// The key of `when` that a platform key of a guide stands for.
fn platform_key(platform: &str) -> &'static str {
    match platform {
        "linux" | "darwin" => "os",
        _ if platform.contains('/') => "platform",
        _ => "distro",
    }
}

fn step(entries: &[(&str, String)]) -> String {
    let lines: Vec<_> = entries
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("[[steps]]\n{}", lines.join("\n"))
}

/// A text as a basic string of TOML, shortened where it is long.
fn toml_string(text: &str) -> String {
    let quoted = quote(text);
    let inner = quoted
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .unwrap_or(&quoted);
    format!("\"{}\"", inner.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_lines_become_actions_and_others_stay_text() {
        assert_eq!(
            typed_step("linux", "sudo apt-get install -y docker.io jq"),
            "[[steps]]\naction = \"apt_install\"\npackages = [\"docker.io\", \"jq\"]\nwhen = { distro_like = [\"debian\"] }"
        );
        assert_eq!(
            typed_step("darwin", "brew install --cask docker"),
            "[[steps]]\naction = \"manual\"\ntext = \"brew install --cask docker\"\nwhen = { os = [\"darwin\"] }"
        );
        assert_eq!(
            typed_step("linux", "See \"the\" guide"),
            "[[steps]]\naction = \"manual\"\ntext = \"See \\\"the\\\" guide\"\nwhen = { os = [\"linux\"] }"
        );
        assert!(typed_step("fedora", "dnf install x; rm -rf /").contains("action = \"manual\""));
    }

    #[test]
    fn what_is_advised_is_a_recipe() {
        for (platform, text) in [
            ("debian", "apt install jq"),
            ("fedora", "sudo dnf install @development-tools jq"),
            ("arch", "pacman -Syu jq"),
            ("darwin", "brew install jq"),
            ("darwin", "brew install --cask docker"),
            ("linux/amd64", "curl -fsSL https://example.org/x | sh"),
        ] {
            let step = typed_step(platform, text);
            let recipe = format!("[metadata]\nname = \"x\"\n{step}\n");
            let mut found = crate::parse(None, &recipe).diagnostics;
            // What the old text says stays what it is.
            found.retain(|diagnostic| diagnostic.code != Code::ManualPipesToShell);
            assert_eq!(found, [], "{step}");
        }
    }
}
