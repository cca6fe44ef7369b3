//! Maintainer scripts as rpm scriptlets and pacman functions.
//!
//! Pure. The originals run unchanged, inside the layer (`crate::layer`) that stands for dpkg
//! and its helpers: a scriptlet hands its text to the layer's `run`. `crate::fedora::rpm` and
//! `crate::arch::package` put the results into packages.

use std::fmt::Write as _;

use crate::deb::Deb;

/// Stands alone on the line after a script's last one.
const END: &str = "ASSAY-LAB-SCRIPT-ENDS";

/// When a script runs. The names are Debian's (Policy 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// Before the files are there.
    Preinst,
    /// When they are.
    Postinst,
    /// Before they are taken away.
    Prerm,
    /// When they are gone.
    Postrm,
}

impl Moment {
    /// Every moment, in the order of a package's life.
    pub(crate) const ALL: [Self; 4] = [Self::Preinst, Self::Postinst, Self::Prerm, Self::Postrm];

    /// The name of the maintainer script.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Preinst => "preinst",
            Self::Postinst => "postinst",
            Self::Prerm => "prerm",
            Self::Postrm => "postrm",
        }
    }
}

/// A shell text that runs at a moment. Its `$1` is `install`, `upgrade` or `remove`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// When.
    pub(crate) moment: Moment,
    /// The text; it ends with a new line.
    pub(crate) text: String,
}

/// The scripts of a Debian package, for the layer.
pub(crate) fn of_deb(name: &str, version: &str, deb: &Deb) -> Vec<Script> {
    let mut answers = String::new();
    for question in &deb.questions {
        let _ = writeln!(answers, "{}={}", question.name, question.default);
    }
    let sources = Moment::ALL
        .iter()
        .filter_map(|moment| Some((*moment, deb.scripts.get(moment.name())?)));
    sources
        .map(|(moment, script)| {
            let asks = script.contains("confmodule") && !answers.is_empty();
            let answers = if asks {
                format!("ASSAY_LAB_ANSWERS={} ", quoted(answers.trim_end()))
            } else {
                String::new()
            };
            let break_at_end = if script.ends_with('\n') { "" } else { "\n" };
            let text = format!(
                "{answers}/{} {} {} {} \"$1\" <<'{END}'\n{script}{break_at_end}{END}\n",
                crate::layer::RUN,
                moment.name(),
                quoted(name),
                quoted(version),
            );
            Script { moment, text }
        })
        .collect()
}

/// The scriptlet for rpm, whose first argument is how many of the package will be installed
/// (rpm-scriptlets(7)). On an upgrade what removes the old package does not run.
pub(crate) fn for_rpm(script: &Script) -> String {
    let head = match script.moment {
        Moment::Preinst | Moment::Postinst => {
            "if [ \"$1\" -gt 1 ]; then set -- upgrade; else set -- install; fi\n"
        }
        Moment::Prerm | Moment::Postrm => "[ \"$1\" -eq 0 ] || exit 0\nset -- remove\n",
    };
    format!("{head}{}", script.text)
}

/// The `.INSTALL` file for pacman (PKGBUILD(5)), or nothing where there are no scripts.
pub(crate) fn for_pacman(scripts: &[Script]) -> Option<String> {
    let mut text = String::new();
    for script in scripts {
        let name = script.moment.name();
        let _ = write!(text, "_{name}() {{\n{}}}\n", script.text);
        let callers: &[(&str, &str)] = match script.moment {
            Moment::Preinst => &[("pre_install", "install"), ("pre_upgrade", "upgrade")],
            Moment::Postinst => &[("post_install", "install"), ("post_upgrade", "upgrade")],
            Moment::Prerm => &[("pre_remove", "remove")],
            Moment::Postrm => &[("post_remove", "remove")],
        };
        for (function, word) in callers {
            let _ = writeln!(text, "{function}() {{ _{name} {word}; }}");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A text as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::Question;
    use crate::deb::control::paragraphs;
    use std::collections::{BTreeMap, BTreeSet};

    fn deb(scripts: &[(&str, &str)]) -> Deb {
        let question = |name: &str, default: &str| Question {
            name: name.to_owned(),
            default: default.to_owned(),
        };
        Deb {
            control: paragraphs("Package: a\nVersion: 1\n")
                .expect("well formed")
                .remove(0),
            conffiles: BTreeSet::new(),
            scripts: scripts
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            questions: vec![question("a/name", "it's"), question("a/port", "80")],
            entries: Vec::new(),
        }
    }

    #[test]
    fn scripts_are_lowered_for_both_managers() {
        let scripts = of_deb(
            "a",
            "1:2-3",
            &deb(&[
                (
                    "postinst",
                    "#!/bin/sh\n. /usr/share/debconf/confmodule\nexit 3",
                ),
                ("postrm", "#!/bin/sh\nexit 0\n"),
            ]),
        );
        let asked = "ASSAY_LAB_ANSWERS='a/name=it'\\''s\na/port=80' /usr/lib/assay-lab/run postinst 'a' '1:2-3' \"$1\" <<'ASSAY-LAB-SCRIPT-ENDS'\n\
                     #!/bin/sh\n. /usr/share/debconf/confmodule\nexit 3\nASSAY-LAB-SCRIPT-ENDS\n";
        assert_eq!(
            for_rpm(&scripts[0]),
            format!("if [ \"$1\" -gt 1 ]; then set -- upgrade; else set -- install; fi\n{asked}")
        );
        let plain = "/usr/lib/assay-lab/run postrm 'a' '1:2-3' \"$1\" <<'ASSAY-LAB-SCRIPT-ENDS'\n\
                     #!/bin/sh\nexit 0\nASSAY-LAB-SCRIPT-ENDS\n";
        assert_eq!(
            for_rpm(&scripts[1]),
            format!("[ \"$1\" -eq 0 ] || exit 0\nset -- remove\n{plain}")
        );
        assert_eq!(
            for_pacman(&scripts).as_deref(),
            Some(
                format!(
                    "_postinst() {{\n{asked}}}\npost_install() {{ _postinst install; }}\npost_upgrade() {{ _postinst upgrade; }}\n\
                     _postrm() {{\n{plain}}}\npost_remove() {{ _postrm remove; }}\n"
                )
                .as_str()
            )
        );
        assert_eq!(for_pacman(&[]), None);
    }

    /// Runs a lowered script in a real shell, with the layer of the repository.
    fn run(script: &Script, layer: &std::path::Path) -> (Option<i32>, String) {
        let text = for_rpm(script).replace("/usr/lib/assay-lab", &layer.display().to_string());
        let output = std::process::Command::new("bash")
            .args(["-c", &text, "scriptlet", "1"])
            .output()
            .expect("bash is essential");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    #[test]
    fn a_script_gets_the_words_of_dpkg_and_keeps_its_exit_code() {
        let layer =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../base-images/lab/layer");
        // The images have bash for `sh`; the machine that tests this may not.
        let asking = format!(
            "#!/bin/bash -e\n. {}/confmodule\ndb_input high a/port || true\ndb_get a/port\n\
             echo \"$DPKG_MAINTSCRIPT_NAME $1 <$2> $RET\"\ndb_get a/none || exit 7\n",
            layer.display()
        );
        let scripts = of_deb("a", "1", &deb(&[("postinst", &asking)]));
        assert_eq!(
            run(&scripts[0], &layer),
            (Some(7), "postinst configure <> 80\n".to_owned())
        );
        let odd = of_deb("a", "1", &deb(&[("preinst", "#!/usr/bin/tclsh\n")]));
        assert_eq!(run(&odd[0], &layer).0, Some(2));
    }
}
