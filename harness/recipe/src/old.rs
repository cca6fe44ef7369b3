//! The free-text form that typed actions replace: `require_system` with `install_guide`. It is
//! rejected with the typed steps that say the same, as [`crate::migrate()`] writes them.

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::migrate;
use crate::table::{Reader, Table};

/// Reports a step of the old form; false when it is not one.
pub(crate) fn report(reader: &mut Reader<'_>, table: &Table<'_>) -> bool {
    if !migrate::is_old(table) {
        return false;
    }
    let action = table.get("action");
    let is_require_system = action.and_then(|action| action.as_str()) == Some("require_system");
    let (what, span) = if is_require_system {
        let span = action.map(|action| action.span);
        ("`require_system` was replaced by typed actions", span)
    } else {
        let span = table.key_span("install_guide");
        ("`install_guide` was replaced by typed actions", span)
    };
    let steps = migrate::advice(reader.text, table);
    let help = if steps.is_empty() {
        "write one step per platform (`apt_install`, `dnf_install`, `pacman_install`, `manual`, with `when`), then a `require_command` step".to_owned()
    } else {
        let steps = steps.join("\n");
        format!("write instead (`assay migrate` does it):\n{steps}")
    };
    reader
        .faults
        .report(Diagnostic::new(Code::OldInstallText, span.unwrap_or(table.span), what).help(help));
    true
}

#[cfg(test)]
mod tests {
    use crate::Code;

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
            let old = format!(
                "[metadata]\nname = \"x\"\n[[steps]]\ninstall_guide = {{ \"{platform}\" = \"{text}\" }}\n"
            );
            let found = crate::parse(None, &old).diagnostics;
            let [old] = found.as_slice() else {
                panic!("one fault: {found:?}")
            };
            let help = old.help.as_deref().unwrap_or_default();
            let (_, steps) = help.split_once('\n').expect("steps");
            let recipe = format!("[metadata]\nname = \"x\"\n{steps}\n");
            let mut found = crate::parse(None, &recipe).diagnostics;
            // What the old text says stays what it is.
            found.retain(|one| one.code != Code::ManualPipesToShell);
            assert_eq!(found, [], "{steps}");
        }
    }
}
