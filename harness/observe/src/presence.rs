//! Whether something that must be there is, in the version it must have: `[[requires]]` entries and
//! `require_command` steps.
//!
//! The same function judges live, when the runner decides whether to go on after the last
//! requirement, and later, from a journal.

use assay_wire::event::{Captured, Ending, Limit};
use assay_wire::plan::{Presence, Subject, VersionProbe};

use crate::version::{compare_versions, find_version, meets_range};

/// What became of a question for something that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceVerdict {
    /// It is there, in a version that will do.
    Met {
        /// The version, where one was asked for and found.
        found: Option<String>,
    },
    /// It is not there.
    Missing {
        /// What showed that, in words.
        because: String,
    },
    /// It is there in a version that will not do.
    OtherVersion {
        /// The version found.
        found: String,
    },
    /// It is there, and its version could not be read.
    Unreadable {
        /// Why not, in words.
        because: String,
    },
    /// The question itself passed a limit.
    Limit(Limit),
}

impl PresenceVerdict {
    /// True if nothing is wanting.
    #[must_use]
    pub fn met(&self) -> bool {
        match self {
            Self::Met { .. } => true,
            Self::Missing { .. }
            | Self::OtherVersion { .. }
            | Self::Unreadable { .. }
            | Self::Limit(_) => false,
        }
    }
}

/// Judges the answer to a question for something that must be there.
///
/// A command is there if it could be started, whatever it exits with. A package is there if the
/// manager's query exits with 0 and prints a line with a version, a library if the linker's cache
/// names it, a file or a user if the question for it exits with 0.
#[must_use]
pub fn judge_presence(
    presence: &Presence,
    ending: &Ending,
    stdout: &Captured,
    stderr: &Captured,
) -> PresenceVerdict {
    let missing = |because: String| PresenceVerdict::Missing { because };
    match (ending, &presence.subject) {
        (Ending::Limit(limit), _) => return PresenceVerdict::Limit(*limit),
        (
            Ending::NotStarted {
                not_found: true, ..
            },
            Subject::Command(_),
        ) => {
            return missing("no such command is on the PATH".to_owned());
        }
        (
            Ending::NotStarted {
                not_found: true, ..
            },
            Subject::Package(_),
        ) => {
            return missing("the package manager that was asked is not there".to_owned());
        }
        (
            Ending::NotStarted {
                not_found: true, ..
            },
            Subject::Library(_) | Subject::File(_) | Subject::User(_),
        ) => {
            return missing("the command that was to look for it is not there".to_owned());
        }
        (
            Ending::NotStarted {
                not_found: false,
                message,
            },
            _,
        ) => {
            return missing(format!("it could not be started: {message}"));
        }
        (Ending::Written { .. } | Ending::NotWritten { .. }, _) => {
            return missing("nothing was asked: a file was written instead".to_owned());
        }
        (Ending::Exited(_) | Ending::Signalled(_), Subject::Command(_))
        | (
            Ending::Exited(0),
            Subject::Package(_) | Subject::Library(_) | Subject::File(_) | Subject::User(_),
        ) => {}
        (Ending::Exited(code), Subject::Package(_)) => {
            return missing(format!(
                "the package manager answered with exit code {code}"
            ));
        }
        (Ending::Signalled(signal), Subject::Package(_)) => {
            return missing(format!(
                "signal {signal} ended the package manager's answer"
            ));
        }
        (Ending::Exited(code), Subject::Library(_) | Subject::File(_) | Subject::User(_)) => {
            return missing(format!("the question for it ended with exit code {code}"));
        }
        (Ending::Signalled(signal), Subject::Library(_) | Subject::File(_) | Subject::User(_)) => {
            return missing(format!("signal {signal} ended the question for it"));
        }
    }
    judge_version(presence, stdout, stderr)
}

fn judge_version(presence: &Presence, stdout: &Captured, stderr: &Captured) -> PresenceVerdict {
    let Some(probe) = &presence.version else {
        return PresenceVerdict::Met { found: None };
    };
    let wanted = probe.minimum.is_some() || probe.range.is_some();
    match (find_version(probe, stdout, stderr), &presence.subject) {
        (Ok(Some(found)), _) => match will_do(probe, &found) {
            Ok(true) => PresenceVerdict::Met { found: Some(found) },
            Ok(false) => PresenceVerdict::OtherVersion { found },
            Err(because) => PresenceVerdict::Unreadable { because },
        },
        (Ok(None), Subject::Package(_)) => PresenceVerdict::Missing {
            because: "the package manager named no installed version".to_owned(),
        },
        (Ok(None), Subject::Library(_)) => PresenceVerdict::Missing {
            because: "the dynamic linker's cache does not hold it".to_owned(),
        },
        (Ok(None), Subject::Command(_)) if wanted => PresenceVerdict::Unreadable {
            because: format!("nothing it printed matches `{}`", probe.regex),
        },
        (Ok(None), Subject::Command(_) | Subject::File(_) | Subject::User(_)) => {
            PresenceVerdict::Met { found: None }
        }
        (Err(because), _) => PresenceVerdict::Unreadable {
            because: format!("`{}` is no usable expression: {because}", probe.regex),
        },
    }
}

/// True if a version is neither below the minimum nor outside the range.
fn will_do(probe: &VersionProbe, found: &str) -> Result<bool, String> {
    let minimum = probe.minimum.as_ref();
    let new_enough =
        minimum.is_none_or(|minimum| compare_versions(probe.rules, found, minimum).is_ge());
    let in_range = probe
        .range
        .as_ref()
        .map_or(Ok(true), |range| meets_range(probe.rules, found, range));
    in_range.map(|in_range| in_range && new_enough)
}

#[cfg(test)]
mod tests {
    use assay_testkit::captured;
    use assay_wire::plan::VersionRules;

    use super::*;

    fn command(minimum: Option<&str>) -> Presence {
        Presence {
            subject: Subject::Command("tar".to_owned()),
            version: minimum.map(|minimum| probe(VersionRules::Dotted, Some(minimum))),
        }
    }

    fn package(minimum: Option<&str>) -> Presence {
        Presence {
            subject: Subject::Package("libc6".to_owned()),
            version: Some(probe(VersionRules::Dpkg, minimum)),
        }
    }

    fn probe(rules: VersionRules, minimum: Option<&str>) -> VersionProbe {
        VersionProbe {
            regex: "^installed (\\S+)$".to_owned(),
            minimum: minimum.map(str::to_owned),
            range: None,
            rules,
        }
    }

    fn judged(presence: &Presence, ending: &Ending, stdout: &str) -> PresenceVerdict {
        judge_presence(presence, ending, &captured(stdout), &captured(""))
    }

    #[test]
    fn a_command_is_there_if_it_could_be_started() {
        let not_found = Ending::NotStarted {
            not_found: true,
            message: String::new(),
        };
        let refused = Ending::NotStarted {
            not_found: false,
            message: "EACCES".to_owned(),
        };
        for (ending, met) in [
            (Ending::Exited(0), true),
            (Ending::Exited(2), true),
            (Ending::Signalled(9), true),
            (Ending::Limit(Limit::Time), false),
            (Ending::Written { changed: true }, false),
            (not_found, false),
            (refused, false),
        ] {
            assert_eq!(judged(&command(None), &ending, "").met(), met, "{ending:?}");
        }
    }

    #[test]
    fn a_command_with_a_minimum_must_say_a_version() {
        let asked = command(Some("1.30"));
        assert!(judged(&asked, &Ending::Exited(1), "installed 1.30").met());
        let old = judged(&asked, &Ending::Exited(0), "installed 1.9");
        assert!(matches!(old, PresenceVerdict::OtherVersion { found } if found == "1.9"));
        let silent = judged(&asked, &Ending::Exited(0), "hello");
        assert!(matches!(silent, PresenceVerdict::Unreadable { .. }));
    }

    #[test]
    fn a_package_is_there_if_the_manager_names_a_version() {
        for (ending, stdout, met) in [
            (Ending::Exited(0), "installed 2.36-9", true),
            (Ending::Exited(0), "config-files 2.36-9", false),
            (Ending::Exited(1), "installed 2.36-9", false),
            (Ending::Signalled(11), "installed 2.36-9", false),
        ] {
            assert_eq!(
                judged(&package(None), &ending, stdout).met(),
                met,
                "{ending:?}"
            );
        }
        assert!(
            !judged(
                &package(Some("2.38")),
                &Ending::Exited(0),
                "installed 2.36-9"
            )
            .met()
        );
        assert!(
            judged(
                &package(Some("2.36")),
                &Ending::Exited(0),
                "installed 2.36-9"
            )
            .met()
        );
    }
}
