//! The command line of `assay-lab`: arguments, progress, exit codes.
//!
//! The only module that prints. `crate::build` does the work.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::build::{self, BuildError, Part, Request};

/// Builds stand-in images and signed repositories where no registry can be reached.
#[derive(Debug, Parser)]
#[command(name = "assay-lab", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build what is not up to date.
    Build {
        /// The cache folder [default: `$XDG_CACHE_HOME/assay/lab`, else `~/.cache/assay/lab`].
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
        /// Build these parts alone.
        #[arg(long, value_delimiter = ',')]
        target: Vec<Part>,
        /// Ask the archive for newer packages.
        #[arg(long)]
        refresh: bool,
        /// Build again from the packages in the cache.
        #[arg(long)]
        rebuild: bool,
    },
    /// Hash the outputs again and compare them with the manifest.
    Verify {
        /// The cache folder, as for `build`.
        #[arg(long, value_name = "DIR")]
        cache: Option<PathBuf>,
    },
}

/// Runs the command line: 0 done, 1 failed or different, 2 usage.
pub(crate) fn main() -> ExitCode {
    let mut stderr = std::io::stderr();
    match Arguments::parse().verb {
        Verb::Build {
            cache,
            target,
            refresh,
            rebuild,
        } => {
            let Some(cache) = cache
                .or_else(default_cache)
                .and_then(|path| std::path::absolute(path).ok())
            else {
                return no_cache(&mut stderr);
            };
            let chosen = |part: &Part| target.is_empty() || target.contains(part);
            let parts = Part::ALL.into_iter().filter(chosen).collect();
            let request = Request {
                cache,
                parts,
                refresh,
                rebuild,
            };
            let result = build::build(&request, &mut |line| {
                let _ = writeln!(std::io::stderr(), "assay-lab: {line}");
            });
            match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(fault) => {
                    let _ = writeln!(stderr, "error: {fault}");
                    if let Some(hint) = hint(&fault) {
                        let _ = writeln!(stderr, "hint: {hint}");
                    }
                    ExitCode::FAILURE
                }
            }
        }
        Verb::Verify { cache } => {
            let Some(cache) = cache
                .or_else(default_cache)
                .and_then(|path| std::path::absolute(path).ok())
            else {
                return no_cache(&mut stderr);
            };
            match build::verify(&cache) {
                Ok(differences) if differences.is_empty() => ExitCode::SUCCESS,
                Ok(differences) => {
                    for difference in differences {
                        let _ = writeln!(stderr, "error: {difference}");
                    }
                    let _ = writeln!(stderr, "hint: `assay-lab build --rebuild` builds it again");
                    ExitCode::FAILURE
                }
                Err(fault) => {
                    let _ = writeln!(stderr, "error: {fault}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn no_cache(stderr: &mut std::io::Stderr) -> ExitCode {
    let _ = writeln!(
        stderr,
        "error: neither `--cache`, `XDG_CACHE_HOME` nor `HOME` names a folder"
    );
    ExitCode::from(2)
}

/// The folder of the XDG base directory specification; relative values do not count.
fn default_cache() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("assay/lab"))
}

fn hint(fault: &BuildError) -> Option<&'static str> {
    use crate::process::ProcessError;
    use crate::resolve::ResolveError;
    use crate::rootfs::RootfsError;
    match fault {
        BuildError::Rootfs(RootfsError::Process(ProcessError::Start { .. })) => Some(
            "the lab needs Debian's packages `mmdebstrap`, `debian-archive-keyring` and `util-linux`, and root",
        ),
        BuildError::Resolve(ResolveError::Apt(_)) => Some(
            "see whether `apt-get update` works here, or name a mirror with `ASSAY_DEBIAN_MIRROR`",
        ),
        BuildError::NoUserland { source, .. } => hint(source),
        BuildError::Rootfs(_)
        | BuildError::Resolve(_)
        | BuildError::Data(_)
        | BuildError::File(_)
        | BuildError::Deb(_)
        | BuildError::Convert(_)
        | BuildError::MadeUp(_)
        | BuildError::Format(_)
        | BuildError::Sign(_)
        | BuildError::Apt(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_targets() {
        let read = Arguments::try_parse_from([
            "assay-lab",
            "build",
            "--target",
            "fedora-44,arch",
            "--target",
            "debs",
        ])
        .expect("well formed");
        let Verb::Build { target, .. } = read.verb else {
            panic!("`build` was asked for")
        };
        assert_eq!(target, [Part::Fedora, Part::Arch, Part::Debs]);
        assert!(Arguments::try_parse_from(["assay-lab", "build", "--target", "fedora"]).is_err());
    }
}
