//! What the harness adds to a command: environment, words after `argv[0]`, files in the harness's own
//! folder, and the bundle of the sandbox's trust store with the run's certificate. What is added is the program's to say; here
//! it is only tested what exists.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use assay_wire::name::GuestPath;
use assay_wire::program::{HarnessEnv, PATH};
use rustix::fs::OFlags;

use crate::launch::Launch;
use crate::repositories;
use crate::users::User;
use crate::write::{Wanted, write_file};

/// Most bytes of a trust store; real ones hold about 250 KiB.
const STORE_BYTES: u64 = 16 << 20;

/// What a user's command is started with.
pub(crate) fn launch(
    harness: &HarnessEnv,
    user: &User,
    argv: &[String],
    file_bytes: Option<u64>,
) -> Launch {
    let own = [
        ("PATH", PATH),
        ("HOME", &user.home),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let added = harness
        .variables
        .iter()
        .filter(|variable| holds(variable.only_if_exists.as_ref()))
        .map(|variable| (variable.name.clone(), variable.value.clone()));
    Launch {
        unpack: None,
        argv: effective(harness, argv),
        arg0: None,
        environment: own.into_iter().chain(added).collect(),
        uid: user.uid,
        gid: user.gid,
        groups: user.groups(),
        folder: if user.uid == 0 { "/" } else { &user.home }.to_owned(),
        file_bytes,
        terminal: false,
        traced: false,
    }
}

/// The words of a command with those the harness inserts for its program.
fn effective(harness: &HarnessEnv, argv: &[String]) -> Vec<String> {
    let Some((program, rest)) = argv.split_first() else {
        return Vec::new();
    };
    let inserted = harness
        .insertions
        .iter()
        .filter(|insertion| {
            insertion.program == *program && holds(insertion.only_if_exists.as_ref())
        })
        .flat_map(|insertion| &insertion.words);
    std::iter::once(program)
        .chain(inserted)
        .chain(rest)
        .cloned()
        .collect()
}

fn holds(only_if_exists: Option<&GuestPath>) -> bool {
    only_if_exists.is_none_or(|path| Path::new(path.as_str()).exists())
}

/// Makes each of the harness's own files be there, or not, as the trust bundle and the addresses in
/// the repository files of this moment have it.
pub(crate) fn keep_files(harness: &HarnessEnv) -> io::Result<()> {
    if harness.files.is_empty() {
        return Ok(());
    }
    let addresses = match Path::new(HarnessEnv::TRUST_BUNDLE).exists() {
        true => repositories::addresses(&harness.repository_files),
        false => Vec::new(),
    };
    for file in &harness.files {
        let begins = |address: &String| address.starts_with(&file.only_if_address);
        let path = Path::new(file.path.as_str());
        if addresses.iter().any(begins) {
            let wanted = Wanted {
                mode: 0o644,
                uid: 0,
                gid: 0,
                content: file.text.as_bytes().into(),
            };
            write_file(path, &wanted)?;
        } else {
            remove(path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bundle at [`HarnessEnv::TRUST_BUNDLE`].
#[derive(Debug, Default)]
pub(crate) struct TrustBundle {
    /// The store it was made from and the bundle itself, as they were then.
    made: Option<(FileIdentity, FileIdentity)>,
}

/// By what a file is known to be unchanged.
#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl TrustBundle {
    /// Makes the bundle be what the sandbox's store is now: a store that is there with the
    /// certificate after it, or nothing.
    pub(crate) fn refresh(&mut self, stores: &[GuestPath], certificate: &str) -> io::Result<()> {
        let bundle = Path::new(HarnessEnv::TRUST_BUNDLE);
        let store = stores
            .iter()
            .map(|path| Path::new(path.as_str()))
            .find_map(|path| Some((path, FileIdentity::of(path)?)));
        let Some((path, store)) = store else {
            self.made = None;
            return remove(bundle);
        };
        let now = FileIdentity::of(bundle).map(|bundle| (store, bundle));
        if now.is_some() && now == self.made {
            return Ok(());
        }
        let mut content = read_store(path)?;
        content.push(b'\n');
        content.extend_from_slice(certificate.as_bytes());
        let wanted = Wanted {
            mode: 0o644,
            uid: 0,
            gid: 0,
            content: content.into(),
        };
        write_file(bundle, &wanted)?;
        self.made = FileIdentity::of(path).zip(FileIdentity::of(bundle));
        Ok(())
    }
}

impl FileIdentity {
    /// The identity of a regular file, links followed: a trust store often is one.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

fn read_store(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    file.take(STORE_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use assay_wire::program::{Insertion, Variable};

    use super::*;

    fn path(text: &str) -> Option<GuestPath> {
        Some(text.parse().expect("a path"))
    }

    #[test]
    fn words_follow_the_program_they_are_for_where_their_file_exists() {
        let insertion = |program: &str, word: &str, only_if_exists| Insertion {
            program: program.to_owned(),
            words: vec![word.to_owned()],
            only_if_exists,
        };
        let harness = HarnessEnv {
            insertions: vec![
                insertion("dnf", "--a", None),
                insertion("dnf", "--b", path("/proc/self/exe")),
                insertion("dnf", "--c", path("/nowhere/at/all")),
                insertion("dnf5", "--d", None),
            ],
            ..HarnessEnv::default()
        };
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert_eq!(
            effective(&harness, &words("dnf install x")),
            words("dnf --a --b install x")
        );
        assert_eq!(
            effective(&harness, &words("/usr/bin/dnf x")),
            words("/usr/bin/dnf x")
        );
        assert_eq!(effective(&harness, &[]), Vec::<String>::new());
    }

    #[test]
    fn variables_follow_those_the_executor_sets() {
        let variable = |name: &str, only_if_exists| Variable {
            name: name.to_owned(),
            value: "v".to_owned(),
            only_if_exists,
        };
        let harness = HarnessEnv {
            variables: vec![variable("A", None), variable("B", path("/nowhere/at/all"))],
            ..HarnessEnv::default()
        };
        let user = User {
            name: "dev".to_owned(),
            uid: 1000,
            gid: 1000,
            home: "/home/dev".to_owned(),
            shell: "/bin/sh".to_owned(),
        };
        let launch = launch(&harness, &user, &["true".to_owned()], None);
        let names: Vec<&str> = launch
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(
            names,
            ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "A"]
        );
        assert_eq!(launch.folder, "/home/dev");
    }
}
