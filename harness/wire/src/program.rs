//! A program: a plan's ops as sent to the executor, with what the harness adds. What the harness
//! adds is a value of its own, [`HarnessEnv`], printed beside the plan and never part of it.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, digest_of};
use crate::name::GuestPath;
use crate::plan::Op;

/// The only folder of a sandbox that belongs to the harness; excluded from every manifest.
pub const HARNESS_FOLDER: &str = "/.assay";

/// The executor's own binary in it.
pub const EXECUTOR: &str = "/.assay/executor";

/// The word by which that binary fetches a URL through the runner's proxy, for a program of the
/// sandbox: `executor fetch URL FILE`.
pub const FETCH: &str = "fetch";

/// The file in it that holds what an executor has learned of the image.
pub const LEARNED: &str = "hashes";

/// The loopback port on which the executor answers for the runner's proxy.
pub const PROXY_PORT: u16 = 9473;

/// The unprivileged user of every sandbox.
pub const USER: &str = "dev";

/// The PATH of every command, for both users.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything the executor is to do, sent once after its `Hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// What the harness adds.
    pub harness: HarnessEnv,
    /// The certificate of the run's authority, PEM; `None` if nothing is intercepted.
    pub certificate: Option<String>,
    /// True if the sandbox is to become an image: no user is added, and the harness's own folder is
    /// removed at the end, so that nothing of the harness is in it.
    pub becomes_image: bool,
    /// What is performed, in order. Empty for a program that only serves a shell.
    pub runs: Vec<ProgramOp>,
}

/// One performance of one op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProgramOp {
    /// First or second apply.
    pub pass: Pass,
    /// The op, unchanged from the plan.
    pub op: Op,
}

/// Which apply an op is performed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The plan's ops, all.
    First,
    /// The ops that apply, again, to show that they change nothing.
    Second,
}

/// What the harness adds to a sandbox: constant for a target, so that its digest is, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HarnessEnv {
    /// Variables of every op, after `PATH`, `HOME`, `USER`, `LOGNAME`, `LANG=C.UTF-8` and
    /// `TERM=dumb`, which the executor sets.
    pub variables: Vec<Variable>,
    /// Words inserted after `argv[0]`, by program.
    pub insertions: Vec<Insertion>,
    /// The guest's own trust stores (PEM bundles), the first that exists counts. Where one exists
    /// the executor keeps, refreshed before every op, a bundle of it and the run's certificate at
    /// [`HarnessEnv::TRUST_BUNDLE`]; where none does that file is absent.
    pub trust_stores: Vec<GuestPath>,
    /// Files, and folders of files, that name the image's own repositories. The hosts they name may
    /// be asked, beside those the plan names.
    pub repository_files: Vec<GuestPath>,
    /// True if the package manager can be told to trust the run's certificate. Where it cannot, a tunnel
    /// to an https host of the image's own repositories is one that nobody looks into.
    pub manager_trusts: bool,
    /// Files in the harness's own folder, for a program that takes an option from a file alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<HarnessFile>,
    /// Files whose content is told where it changed: patterns of paths, see [`path_matches`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<String>,
    /// Where a package manager keeps the scripts of packages while it runs them: patterns of paths, see
    /// [`path_matches`]. A program with such a path among its words, or within one, is told with the hash of
    /// what lies there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<String>,
    /// Files, and folders of files, with the keys that the image's own managers trust: the runner checks
    /// signatures with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyrings: Vec<GuestPath>,
    /// Questions asked with every manifest, whose answers stand for state that files only hold in
    /// a form that differs from run to run.
    pub probes: Vec<Probe>,
}

impl HarnessEnv {
    /// Where the executor keeps the bundle of the guest's trust store and the run's certificate.
    pub const TRUST_BUNDLE: &'static str = "/.assay/trust.pem";

    /// Its own digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }
}

/// A file the executor keeps in [`HARNESS_FOLDER`], brought up to date before every op: it is there
/// while [`HarnessEnv::TRUST_BUNDLE`] is and an address in the repository files begins as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HarnessFile {
    /// Where it is.
    pub path: GuestPath,
    /// What is in it.
    pub text: String,
    /// How an address in [`HarnessEnv::repository_files`] has to begin, such as `https://`.
    pub only_if_address: String,
}

/// A variable of every op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Set only where this exists, tested before every op.
    pub only_if_exists: Option<GuestPath>,
}

/// Words inserted after `argv[0]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Insertion {
    /// The program, equal to `argv[0]`.
    pub program: String,
    /// The words.
    pub words: Vec<String>,
    /// Inserted only where this exists, tested before every op.
    pub only_if_exists: Option<GuestPath>,
}

/// A question asked with every manifest. Its standard output is split into lines, which are
/// compared as a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What the lines are, such as `packages`.
    pub name: String,
    /// The command; run as root, bounded by [`crate::plan::Limits::QUERY`].
    pub argv: Vec<String>,
    /// Files and folders by which alone its answer can become another one: while the status of all of them
    /// is the same, it is not asked again. Empty: it is asked every time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<GuestPath>,
}

/// True if a path is one of a pattern: component by component, of which each may hold one `*` for any
/// bytes, and a last component `**` for one or more.
#[must_use]
pub fn path_matches(pattern: &str, path: &[u8]) -> bool {
    let mut wanted = pattern.as_bytes().split(|byte| *byte == b'/');
    let mut given = path.split(|byte| *byte == b'/');
    loop {
        match (wanted.next(), given.next()) {
            (Some(b"**"), Some(_)) => return true,
            (Some(wanted), Some(given)) if component_matches(wanted, given) => {}
            (None, None) => return true,
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

fn component_matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.iter().position(|byte| *byte == b'*') {
        None => pattern == name,
        Some(star) => {
            let (start, end) = (&pattern[..star], &pattern[star + 1..]);
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::path_matches;

    #[test]
    fn a_pattern_is_of_components() {
        for (pattern, path, wanted) in [
            ("/etc/passwd", "/etc/passwd", true),
            ("/etc/passwd", "/etc/passwd-", false),
            ("/etc/cron.*/*", "/etc/cron.d/x", true),
            ("/etc/cron.*/*", "/etc/cron.d/x/y", false),
            ("/etc/pam.d/**", "/etc/pam.d/x/y", true),
            ("/etc/pam.d/**", "/etc/pam.d", false),
            (
                "/home/*/.ssh/authorized_keys*",
                "/home/dev/.ssh/authorized_keys2",
                true,
            ),
            (
                "/home/*/.ssh/authorized_keys*",
                "/home/dev/x/.ssh/authorized_keys",
                false,
            ),
            ("/a/x*x", "/a/x", false),
        ] {
            assert_eq!(
                path_matches(pattern, path.as_bytes()),
                wanted,
                "{pattern} {path}"
            );
        }
    }
}
