//! Builds a root file system from a distribution's own signed archive with mmdebstrap(1).
//!
//! Which hosts are asked is decided by the tool's own defaults, by the machine's apt configuration
//! (proxies above all), or by the variable a definition names; no host name stands here. Whichever
//! it was, the image keeps the distribution's default names in its repository files.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::command::{CommandError, Invocation, run};
use super::date::Date;
use super::definition::Definition;
use super::error::BuildError;
use super::source::{Bootstrap, Keyring, Tool, Word};

/// How long a bootstrap may take; with a near mirror it takes half a minute.
const LIMIT: Duration = Duration::from_secs(1800);

/// The variable that may name a mirror of Debian's archive, from which keyrings are taken.
const DEBIAN_MIRROR: &str = "ASSAY_DEBIAN_MIRROR";

/// The hooks mmdebstrap brings for merged directories (mmdebstrap(1), MERGED-/USR).
const MERGED_USR_HOOKS: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// Builds the root file system of a definition into a tar in `work`, and answers with its path.
///
/// # Errors
///
/// [`BuildError::Command`] when the tool fails, [`BuildError::Mirror`] when the variable's value is
/// no mirror, [`BuildError::Cache`] when the work folder cannot be used.
pub(super) async fn bootstrap(
    definition: &Definition,
    source: &Bootstrap,
    work: &Path,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<PathBuf, BuildError> {
    let Tool::Mmdebstrap = source.tool;
    let keyring = Keys::of(&source.keyring, work, progress).await?;
    let mirror = definition
        .mirror_variable
        .as_deref()
        .map(mirror)
        .transpose()?
        .flatten();
    let tar = work.join("root.tar");
    let mut options = vec![
        format!("--variant={}", source.variant),
        format!("--architectures={}", definition.architecture),
        format!("--components={}", joined(&source.components)),
        format!("--keyring={}", text(&keyring.path())?),
        "--format=tar".to_owned(),
        // Device nodes cannot be unpacked by an engine without root, and every engine makes its own.
        "--skip=output/dev".to_owned(),
        // mmdebstrap copies these two from the machine; an engine mounts its own over them.
        "--customize-hook=rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\"".to_owned(),
    ];
    if source.merged_usr {
        options.push(format!("--hook-dir={MERGED_USR_HOOKS}"));
    }
    if !source.include.is_empty() {
        options.push(format!("--include={}", joined(&source.include)));
    }
    let mut operands = vec![source.suite.to_string(), text(&tar)?];
    if let Some(mirror) = mirror {
        let defaults = default_sources(&options, source, work, progress).await?;
        let replaced = work.join("mirror.list");
        let lines = with_mirror(&read(&defaults)?, &mirror);
        write(&replaced, &lines)?;
        options.push(format!(
            "--customize-hook=upload {} /etc/apt/sources.list",
            quoted(&text(&defaults)?)
        ));
        operands.push(text(&replaced)?);
    }
    progress(&format!("bootstrapping `{}` with mmdebstrap", source.suite));
    let mut argv = vec!["mmdebstrap".to_owned()];
    argv.append(&mut options);
    argv.append(&mut operands);
    run(&invocation(definition, argv), progress).await?;
    Ok(tar)
}

/// The file with an archive's keys.
enum Keys {
    /// The machine's own.
    Own(PathBuf),
    /// One taken out of Debian's package for it, which apt verified with the machine's Debian keys.
    /// In a folder of its own that everyone may read: apt verifies as a user (`_apt`) to whom a
    /// cache below `/root` is closed.
    Taken(TempDir),
}

impl Keys {
    fn path(&self) -> PathBuf {
        match self {
            Self::Own(path) => path.clone(),
            Self::Taken(folder) => folder.path().join("keyring.gpg"),
        }
    }

    async fn of(
        keyring: &Keyring,
        work: &Path,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, BuildError> {
        let own = PathBuf::from(keyring.file.as_str());
        if own.is_file() {
            return Ok(Self::Own(own));
        }
        let taken = Self::Taken(open_folder()?);
        take_keyring(keyring, work, &taken.path(), progress).await?;
        Ok(taken)
    }
}

/// A temporary folder that everyone may read.
fn open_folder() -> Result<TempDir, BuildError> {
    tempfile::Builder::new()
        .prefix("assay-keys-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .map_err(|error| BuildError::Cache {
            path: std::env::temp_dir(),
            cause: error.to_string(),
        })
}

/// Takes the keyring out of Debian's package for it.
async fn take_keyring(
    keyring: &Keyring,
    work: &Path,
    target: &Path,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<(), BuildError> {
    let Some((package, suite)) = &keyring.package else {
        return Err(BuildError::KeyringMissing {
            file: PathBuf::from(keyring.file.as_str()),
        });
    };
    progress(&format!(
        "taking the keyring out of Debian's package `{package}`"
    ));
    let tar = work.join("keyring.tar");
    let mut argv = vec![
        "mmdebstrap".to_owned(),
        "--variant=extract".to_owned(),
        format!("--include={package}"),
        "--format=tar".to_owned(),
        suite.to_string(),
        text(&tar)?,
    ];
    argv.extend(mirror(DEBIAN_MIRROR)?.map(|mirror| format!("deb {mirror} {suite} main")));
    let invocation = Invocation {
        argv,
        environment: environment(None),
        limit: LIMIT,
    };
    run(&invocation, &mut |_| {}).await?;
    let wanted = keyring.file.as_str().trim_start_matches('/').to_owned();
    extract(&tar, &wanted, target)
}

/// Copies one regular file out of a tar.
fn extract(tar: &Path, wanted: &str, target: &Path) -> Result<(), BuildError> {
    let fault = |error: std::io::Error| BuildError::Cache {
        path: tar.to_owned(),
        cause: error.to_string(),
    };
    let file = std::fs::File::open(tar).map_err(fault)?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    for entry in archive.entries().map_err(fault)? {
        let mut entry = entry.map_err(fault)?;
        let bytes = entry.path_bytes().into_owned();
        let path = String::from_utf8_lossy(&bytes);
        if path.trim_start_matches("./") == wanted && entry.header().entry_type().is_file() {
            let mut out = std::fs::File::create(target).map_err(fault)?;
            std::io::copy(&mut entry, &mut out).map_err(fault)?;
            return Ok(());
        }
    }
    Err(BuildError::KeyringMissing {
        file: PathBuf::from(format!("/{wanted}")),
    })
}

/// The repository file mmdebstrap writes by itself. It is taken in a run that ends right there:
/// the default hosts may be the very ones that cannot be reached.
async fn default_sources(
    options: &[String],
    source: &Bootstrap,
    work: &Path,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<PathBuf, BuildError> {
    let defaults = work.join("default.list");
    let mut argv = vec!["mmdebstrap".to_owned()];
    argv.extend(
        options
            .iter()
            .filter(|option| !option.starts_with("--format"))
            .cloned(),
    );
    argv.extend([
        format!(
            "--setup-hook=download /etc/apt/sources.list {}",
            quoted(&text(&defaults)?)
        ),
        // The second hook fails on purpose, before anything is fetched.
        "--setup-hook=false".to_owned(),
        "--format=null".to_owned(),
        source.suite.to_string(),
        "-".to_owned(),
    ]);
    progress("asking mmdebstrap for the default repositories");
    let invocation = Invocation {
        argv,
        environment: environment(None),
        limit: LIMIT,
    };
    match run(&invocation, &mut |_| {}).await {
        Err(CommandError::Failed { .. }) if defaults.is_file() => Ok(defaults),
        Ok(()) => Ok(defaults),
        Err(error) => Err(error.into()),
    }
}

/// The value of a mirror's variable; `None` if it is not set.
fn mirror(variable: &str) -> Result<Option<String>, BuildError> {
    match std::env::var(variable) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => {
            let rest = ["http://", "https://"]
                .iter()
                .find_map(|scheme| value.strip_prefix(scheme));
            let byte = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/[]%@".contains(&b);
            if rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(byte)) {
                Ok(Some(value))
            } else {
                Err(BuildError::Mirror {
                    variable: variable.to_owned(),
                })
            }
        }
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(BuildError::Mirror {
            variable: variable.to_owned(),
        }),
    }
}

/// One-line entries of sources.list(5) with the mirror in place of their address. An archive of
/// security updates lies beside the main one on most mirrors under its own path's last part.
fn with_mirror(defaults: &str, mirror: &str) -> String {
    let mirror = mirror.trim_end_matches('/');
    let mut lines = String::new();
    for line in defaults.lines().filter(|line| line.starts_with("deb ")) {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| {
                let Some((_, rest)) = word.split_once("://") else {
                    return word.to_owned();
                };
                let archive = rest
                    .trim_end_matches('/')
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                if archive.ends_with("-security") {
                    format!("{mirror}-security")
                } else {
                    mirror.to_owned()
                }
            })
            .collect();
        lines.push_str(&words.join(" "));
        lines.push('\n');
    }
    lines
}

fn invocation(definition: &Definition, argv: Vec<String>) -> Invocation {
    let epoch = definition.source_date.map(Date::unix_seconds);
    Invocation {
        argv,
        environment: environment(epoch),
        limit: LIMIT,
    }
}

fn environment(source_date_epoch: Option<i64>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("LC_ALL".to_owned(), "C.UTF-8".to_owned())]);
    if let Some(epoch) = source_date_epoch {
        environment.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string());
    }
    environment
}

fn joined(words: &[Word]) -> String {
    words.iter().map(Word::as_str).collect::<Vec<_>>().join(",")
}

/// mmdebstrap splits the words of its own hooks as a shell would.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn text(path: &Path) -> Result<String, BuildError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| BuildError::Cache {
            path: path.to_owned(),
            cause: "the path is not UTF-8".to_owned(),
        })
}

fn read(path: &Path) -> Result<String, BuildError> {
    std::fs::read_to_string(path).map_err(|error| BuildError::Cache {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

fn write(path: &Path, content: &str) -> Result<(), BuildError> {
    std::fs::write(path, content).map_err(|error| BuildError::Cache {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_put_where_every_user_can_read_it() {
        let folder = open_folder().expect("a folder");
        let mode = folder.path().metadata().expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
    }

    #[test]
    fn a_mirror_takes_the_place_of_every_default_host() {
        let defaults = "deb http://a.example/debian trixie main\n\
            deb http://a.example/debian trixie-updates main\n\
            # a comment\n\
            deb [signed-by=\"/k.gpg\"] http://s.example/debian-security trixie-security main\n";
        assert_eq!(
            with_mirror(defaults, "http://m.example/debian/"),
            "deb http://m.example/debian trixie main\n\
            deb http://m.example/debian trixie-updates main\n\
            deb [signed-by=\"/k.gpg\"] http://m.example/debian-security trixie-security main\n"
        );
    }

    #[test]
    fn a_word_for_a_hook_is_quoted() {
        assert_eq!(quoted("/a b/c'd"), "'/a b/c'\\''d'");
    }

    #[test]
    fn only_the_wanted_regular_file_is_taken_out_of_a_tar() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&path).expect("a file"));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "usr/link.gpg", "/etc/passwd")
            .expect("a link");
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder
            .append_data(&mut header, "./usr/key.gpg", &b"keys"[..])
            .expect("a file");
        builder.into_inner().expect("a tar");
        let target = folder.path().join("out");
        extract(&path, "usr/key.gpg", &target).expect("the key");
        assert_eq!(std::fs::read(&target).expect("the key"), b"keys");
        for missing in ["usr/link.gpg", "usr/other.gpg"] {
            assert!(matches!(
                extract(&path, missing, &target),
                Err(BuildError::KeyringMissing { .. })
            ));
        }
    }
}
