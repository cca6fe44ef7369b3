//! The probes of manifests. One whose answer can have become another is asked; of the others the answer is
//! what it was.

use std::collections::BTreeMap;

use assay_wire::name::GuestPath;
use assay_wire::program::Probe;

use super::{Machine, Session, ask};
use crate::fault::Fault;
use crate::manifest::{Standing, standing};
use crate::users::User;

/// What probes answered last.
#[derive(Debug, Default)]
pub(super) struct Probes {
    answered: BTreeMap<String, Answered>,
}

#[derive(Debug)]
struct Answered {
    /// How what it reads stood before it was asked.
    stood: Vec<Standing>,
    lines: Vec<u8>,
}

impl Probes {
    /// The answer of every probe; one that cannot be started answers nothing.
    pub(super) fn ask(
        &mut self,
        session: &Session,
        machine: &Machine,
    ) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let root = User::root();
        let probes = machine.harness.probes.iter();
        let answers = probes.map(|probe| {
            self.answer(probe, || {
                let answer = ask::ask(session, machine, &root, &probe.argv)?;
                Ok(answer.map(|answer| answer.stdout))
            })
        });
        answers.collect()
    }

    fn answer(
        &mut self,
        probe: &Probe,
        ask: impl FnOnce() -> Result<Option<Vec<u8>>, Fault>,
    ) -> Result<(String, Vec<u8>), Fault> {
        let stands = all_standing(&probe.reads);
        let last = self.answered.get(&probe.name);
        if let Some(last) = last.filter(|last| stands.as_ref() == Some(&last.stood)) {
            return Ok((probe.name.clone(), last.lines.clone()));
        }
        self.answered.remove(&probe.name);
        let answer = ask()?;
        if let (Some(stood), Some(lines)) = (stands, answer.clone()) {
            let answered = Answered { stood, lines };
            self.answered.insert(probe.name.clone(), answered);
        }
        Ok((probe.name.clone(), answer.unwrap_or_default()))
    }
}

/// How paths stand; `None` if one could change without standing otherwise, or nothing is at any of them: then what
/// is asked for is somewhere else.
fn all_standing(paths: &[GuestPath]) -> Option<Vec<Standing>> {
    let paths = paths.iter().map(|path| standing(path.as_str()));
    let stand: Vec<Standing> = paths.collect::<Option<_>>()?;
    stand.iter().any(Standing::is_something).then_some(stand)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn probe(folder: &Path, names: &[&str]) -> Probe {
        let path = |name: &&str| folder.join(name).display().to_string();
        let reads = names.iter().map(|name| path(name).parse().expect("a path"));
        Probe {
            name: "packages".to_owned(),
            argv: Vec::new(),
            reads: reads.collect(),
        }
    }

    /// Asks, and says whether anybody was asked.
    fn asked(probes: &mut Probes, probe: &Probe, lines: Option<&str>) -> (bool, String) {
        let mut was_asked = false;
        let answer = probes.answer(probe, || {
            was_asked = true;
            Ok(lines.map(|lines| lines.as_bytes().to_vec()))
        });
        let (_, lines) = answer.expect("an answer");
        (was_asked, String::from_utf8(lines).expect("text"))
    }

    /// Long enough ago that everything is known again (see `Identity::settled_before`).
    fn settle() {
        thread::sleep(Duration::from_millis(100));
    }

    #[test]
    fn a_probe_is_asked_again_only_after_what_it_reads_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("status"), "one").expect("written");
        fs::create_dir(at("updates")).expect("made");
        let probe = probe(folder.path(), &["status", "updates", "wal"]);
        let mut probes = Probes::default();
        // What changed a moment ago can change again and look the same.
        assert_eq!(
            asked(&mut probes, &probe, Some("1")),
            (true, "1".to_owned())
        );
        assert_eq!(
            asked(&mut probes, &probe, Some("2")),
            (true, "2".to_owned())
        );
        settle();
        assert_eq!(
            asked(&mut probes, &probe, Some("3")),
            (true, "3".to_owned())
        );
        assert_eq!(
            asked(&mut probes, &probe, Some("4")),
            (false, "3".to_owned())
        );
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(at("status"), "two").expect("written"),
            &|| fs::write(at("updates/0001"), "").expect("written"),
            &|| fs::write(at("wal"), "").expect("written"),
            &|| fs::remove_file(at("status")).expect("removed"),
        ];
        for change in changes {
            change();
            settle();
            assert_eq!(
                asked(&mut probes, &probe, Some("5")),
                (true, "5".to_owned())
            );
            assert_eq!(
                asked(&mut probes, &probe, Some("6")),
                (false, "5".to_owned())
            );
        }
    }

    #[test]
    fn what_can_change_unseen_or_gave_no_answer_is_asked_every_time() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "one").expect("written");
        symlink("file", folder.path().join("link")).expect("linked");
        settle();
        let mut probes = Probes::default();
        for names in [&[][..], &["link"], &["file", "link"], &["nowhere"]] {
            let probe = probe(folder.path(), names);
            assert!(asked(&mut probes, &probe, Some("1")).0);
            assert!(asked(&mut probes, &probe, Some("1")).0, "{names:?}");
        }
        let probe = probe(folder.path(), &["file"]);
        assert_eq!(asked(&mut probes, &probe, None), (true, String::new()));
        assert_eq!(
            asked(&mut probes, &probe, Some("1")),
            (true, "1".to_owned())
        );
    }
}
