//! Lines of old install guides that certainly mean one thing: package managers' own commands, each
//! with the few options that change nothing about what a typed action does. Everything else – a
//! pipe, a redirection, a variable, an unknown option, a URL – is not read as a command at all.

use crate::package::{Manager, PackageName};
use crate::when::Family;

/// What installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Apt,
    Dnf,
    Pacman,
    Apk,
    Zypper,
    Brew,
    BrewCask,
}

impl Tool {
    /// The tool a key of `packages` names.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        match key {
            "apt" | "apt-get" | "apt_get" => Some(Self::Apt),
            "dnf" | "yum" => Some(Self::Dnf),
            "pacman" => Some(Self::Pacman),
            "apk" => Some(Self::Apk),
            "zypper" => Some(Self::Zypper),
            "brew" | "homebrew" => Some(Self::Brew),
            "brew_cask" | "brew-cask" | "cask" => Some(Self::BrewCask),
            _ => None,
        }
    }

    /// The typed action.
    pub(super) fn action(self) -> &'static str {
        match self {
            Self::Apt => "apt_install",
            Self::Dnf => "dnf_install",
            Self::Pacman => "pacman_install",
            Self::Apk => "apk_install",
            Self::Zypper => "zypper_install",
            Self::Brew => "brew_install",
            Self::BrewCask => "brew_cask",
        }
    }

    /// The family of distributions it is at home in; `None` on macOS.
    pub(super) fn family(self) -> Option<Family> {
        match self {
            Self::Apt => Some(Family::Debian),
            Self::Dnf => Some(Family::Rhel),
            Self::Pacman => Some(Family::Arch),
            Self::Apk => Some(Family::Alpine),
            Self::Zypper => Some(Family::Suse),
            Self::Brew | Self::BrewCask => None,
        }
    }

    /// True if a text is the name of a package of this tool.
    fn takes(self, name: &str) -> bool {
        let manager = match self {
            Self::Apt => Manager::Apt,
            Self::Dnf => Manager::Dnf,
            Self::Pacman => Manager::Pacman,
            Self::Apk => Manager::Apk,
            Self::Zypper => Manager::Zypper,
            Self::Brew | Self::BrewCask => Manager::Brew,
        };
        PackageName::for_manager(manager, name).is_ok()
    }
}

/// One install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) tool: Tool,
    pub(super) packages: Vec<String>,
    pub(super) recommends: bool,
    /// `owner/name` of a tap of Homebrew.
    pub(super) tap: Option<String>,
}

impl Install {
    /// The install of these packages; `None` unless all are names the tool takes.
    pub(super) fn of(tool: Tool, names: &[&str]) -> Option<Self> {
        let mut packages: Vec<String> = Vec::new();
        for name in names {
            if !tool.takes(name) {
                return None;
            }
            if !packages.iter().any(|known| known == name) {
                packages.push((*name).to_owned());
            }
        }
        (!packages.is_empty()).then_some(Self {
            tool,
            packages,
            recommends: false,
            tap: None,
        })
    }
}

/// What one command means.
enum Meaning {
    Install(Install),
    /// Package lists are refreshed: a plan does that by itself.
    Refresh,
    /// A tap of Homebrew, for the installs after it.
    Tap(String),
}

/// Reads a line of commands joined with `&&`; `None` unless each is certain and something is
/// installed.
pub(super) fn read(text: &str) -> Option<Vec<Install>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t\n&._+@/:=-".contains(c);
    if !text.chars().all(plain) || text.replace("&&", "").contains('&') {
        return None;
    }
    // A newline ends a command whatever comes of it; only what cannot fail first is certain.
    if text.contains('\n') {
        return None;
    }
    let mut installs: Vec<Install> = Vec::new();
    let mut tap = None;
    for command in text.split("&&") {
        let words: Vec<&str> = command.split_whitespace().collect();
        match meaning(&words)? {
            Meaning::Refresh => {}
            Meaning::Tap(name) => tap = Some(name),
            Meaning::Install(mut install) => {
                if install.tool.family().is_none() {
                    install.tap = tap.clone().or(install.tap);
                }
                installs.push(install);
            }
        }
    }
    (!installs.is_empty()).then_some(installs)
}

fn meaning(words: &[&str]) -> Option<Meaning> {
    let words = match words {
        ["sudo", "-E" | "-H", rest @ ..] | ["sudo", rest @ ..] => rest,
        rest => rest,
    };
    let (program, rest) = words.split_first()?;
    match *program {
        "apt" | "apt-get" | "aptitude" => apt(rest),
        "dnf" | "yum" | "microdnf" => simple(
            Tool::Dnf,
            rest,
            &["install"],
            &["makecache", "check-update"],
            &["-y", "--assumeyes", "-q", "--quiet"],
        ),
        "pacman" => pacman(rest),
        "apk" => simple(
            Tool::Apk,
            rest,
            &["add"],
            &["update"],
            &["--no-cache", "-U", "--update-cache", "--update", "-q"],
        ),
        "zypper" => simple(
            Tool::Zypper,
            rest,
            &["install", "in"],
            &["refresh", "ref"],
            &["-y", "--no-confirm", "-n", "--non-interactive", "-q"],
        ),
        "brew" => brew(rest),
        _ => None,
    }
}

/// `PROGRAM [options] VERB [options] NAMES`.
fn simple(
    tool: Tool,
    words: &[&str],
    install: &[&str],
    refresh: &[&str],
    harmless: &[&str],
) -> Option<Meaning> {
    let mut words = words.iter().filter(|word| !harmless.contains(word));
    let verb = words.next()?;
    let names: Vec<&str> = words.copied().collect();
    if refresh.contains(verb) {
        return names.is_empty().then_some(Meaning::Refresh);
    }
    if !install.contains(verb) {
        return None;
    }
    // What is left of options begins with a hyphen, and no name does.
    Install::of(tool, &names).map(Meaning::Install)
}

fn apt(words: &[&str]) -> Option<Meaning> {
    // Recommended packages are installed where nothing else is said; a typed action leaves them out,
    // because a recipe names what it needs.
    const WITH: &str = "--install-recommends";
    let recommends = words.contains(&WITH);
    let harmless = [
        "-y",
        "--yes",
        "--assume-yes",
        "-q",
        "-qq",
        "--quiet",
        "--no-install-recommends",
        WITH,
    ];
    match simple(Tool::Apt, words, &["install"], &["update"], &harmless)? {
        Meaning::Install(install) => Some(Meaning::Install(Install {
            recommends,
            ..install
        })),
        other @ (Meaning::Refresh | Meaning::Tap(_)) => Some(other),
    }
}

fn pacman(words: &[&str]) -> Option<Meaning> {
    let harmless = ["--noconfirm", "--needed"];
    let mut words = words.iter().filter(|word| !harmless.contains(word));
    let operation = words.next()?;
    let names: Vec<&str> = words.copied().collect();
    match *operation {
        "-Sy" | "-Syy" | "-Syu" | "-Syyu" if names.is_empty() => Some(Meaning::Refresh),
        "-S" | "-Sy" | "-Syu" | "-Syyu" | "--sync" => {
            Install::of(Tool::Pacman, &names).map(Meaning::Install)
        }
        _ => None,
    }
}

fn brew(words: &[&str]) -> Option<Meaning> {
    match words {
        ["update"] => Some(Meaning::Refresh),
        ["tap", name] => is_tap(name).then(|| Meaning::Tap((*name).to_owned())),
        ["cask", "install", names @ ..] => Install::of(Tool::BrewCask, names).map(Meaning::Install),
        ["install", rest @ ..] => {
            let tool = if rest.contains(&"--cask") {
                Tool::BrewCask
            } else {
                Tool::Brew
            };
            let options = ["--cask", "--formula", "-q", "--quiet"];
            let names = rest.iter().filter(|word| !options.contains(word));
            let names: Vec<&str> = names.copied().collect();
            brewed(tool, &names).map(Meaning::Install)
        }
        _ => None,
    }
}

/// Names of Homebrew, of which one alone may carry its tap: `owner/tap/name`.
fn brewed(tool: Tool, names: &[&str]) -> Option<Install> {
    if let [name] = names
        && let Some((tap, name)) = name.rsplit_once('/')
    {
        let install = Install::of(tool, &[name])?;
        return is_tap(tap).then(|| Install {
            tap: Some(tap.to_owned()),
            ..install
        });
    }
    Install::of(tool, names)
}

/// `owner/name`.
fn is_tap(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    text.len() <= 200
        && text
            .split_once('/')
            .is_some_and(|(owner, name)| word(owner) && word(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let installs = read(text).unwrap_or_default();
        let said = installs.iter().map(|install| {
            let tap = install.tap.as_ref().map(|tap| format!(" from {tap}"));
            let more = if install.recommends { " and more" } else { "" };
            format!(
                "{} {}{}{more}",
                install.tool.action(),
                install.packages.join(" "),
                tap.unwrap_or_default()
            )
        });
        said.collect()
    }

    #[test]
    fn commands_of_package_managers_are_read() {
        for (text, wanted) in [
            ("brew install jq", &["brew_install jq"][..]),
            ("brew install --cask docker", &["brew_cask docker"]),
            ("brew cask install docker", &["brew_cask docker"]),
            (
                "brew tap hashicorp/tap && brew install terraform",
                &["brew_install terraform from hashicorp/tap"],
            ),
            (
                "brew install hashicorp/tap/terraform",
                &["brew_install terraform from hashicorp/tap"],
            ),
            ("apt install jq", &["apt_install jq"]),
            (
                "sudo apt-get update && sudo apt-get install -y jq curl",
                &["apt_install jq curl"],
            ),
            (
                "sudo -E apt-get -qq -y install --no-install-recommends jq jq",
                &["apt_install jq"],
            ),
            (
                "apt-get install --install-recommends jq",
                &["apt_install jq and more"],
            ),
            (
                "sudo dnf install -y @development-tools jq",
                &["dnf_install @development-tools jq"],
            ),
            ("yum -y install jq", &["dnf_install jq"]),
            (
                "pacman -Syu --noconfirm && pacman -S jq",
                &["pacman_install jq"],
            ),
            ("apk add --no-cache jq", &["apk_install jq"]),
            ("zypper -n install jq", &["zypper_install jq"]),
            (
                "apt install a1 && apt install b1",
                &["apt_install a1", "apt_install b1"],
            ),
        ] {
            assert_eq!(said(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_not_certain_is_not_read() {
        for text in [
            "",
            "sudo",
            "See https://docs.docker.com/engine/install/",
            "curl -fsSL https://get.docker.com | sh",
            "apt install jq; rm -rf /",
            "apt install jq & rm -rf /",
            "apt install jq || true",
            "apt install $(cat list)",
            "apt install `x`",
            "apt install 'jq'",
            "apt install \"jq\"",
            "apt install jq > /dev/null",
            "apt install jq # now",
            "apt install jq\nrm x",
            "apt install ./jq.deb",
            "apt install -o Dpkg::Options::=--force-all jq",
            "apt install jq=1.6",
            "apt install jq-",
            "apt remove jq",
            "apt upgrade",
            "apt update",
            "dnf install https://example.org/x.rpm",
            "dnf update",
            "pacman -R jq",
            "pacman -U https://example.org/x.tar.zst",
            "brew install a/b/c/d",
            "brew install --HEAD jq",
            "brew services start x",
            "apk add --allow-untrusted x",
            "sudo su && apt install jq",
            "sudo -u root apt install jq",
            "env X=1 apt install jq",
            "apt install jq && usermod -aG docker dev",
            "apt install jq &&",
            "apt install j\u{456}q",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
