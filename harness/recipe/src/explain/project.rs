//! Codes about `assay.toml` and `expected.toml`.

use super::{Explanation, FileKind};
use crate::code::Code;

/// In the order of [`Code`].
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::UnknownLint,
        file: FileKind::Project,
        text: "`[lints]` gives a level (`allow`, `hint`, `warn`, `deny`) to diagnostics that are warnings or hints. \
               No lint has this name, or it is an error, whose level is fixed: what follows it could not be \
               planned.",
        wrong: r#"[lints]
implicit-plattform = "deny""#,
        right: r#"[lints]
implicit-platform = "deny""#,
    },
    Explanation {
        code: Code::InvalidTarget,
        file: FileKind::Project,
        text: "The value is not a target: a distribution and its version, such as `ubuntu-24.04`, `fedora-44` or \
               `arch`. In `expected.toml` a `*` stands for any characters.",
        wrong: r#"targets = ["Ubuntu 24.04"]"#,
        right: r#"targets = ["ubuntu-24.04"]"#,
    },
    Explanation {
        code: Code::InvalidPath,
        file: FileKind::Project,
        text: "The value is not a path inside the project: relative to its root, without `..`, of letters, digits \
               and `._-` between `/`.",
        wrong: r#"[paths]
recipes = "../recipes""#,
        right: r#"[paths]
recipes = "recipes""#,
    },
    Explanation {
        code: Code::InvalidNetwork,
        file: FileKind::Project,
        text: "The value is not what `[network]` can allow. Only public addresses are connected to, so that neither a \
               recipe nor a redirect reaches what is near this machine. What lies elsewhere and is yours is named: a range of \
               addresses, an address, or a host in lower case. A host that is named may be at a private address; \
               loopback and link-local addresses must be named themselves.",
        wrong: r#"[network]
allow = ["10.0.0.0/33"]"#,
        right: r#"[network]
allow = ["10.0.0.0/8", "mirror.corp.example"]"#,
    },
    Explanation {
        code: Code::InvalidNeed,
        file: FileKind::Expected,
        text: "The value is not something a cell can need. It is `host:` and the name of a host; a cell whose host \
               does not answer is not run.",
        wrong: r#"[[expected]]
recipe = "docker"
targets = ["debian-*"]
outcome = "passed"
needs = ["download.docker.com"]"#,
        right: r#"[[expected]]
recipe = "docker"
targets = ["debian-*"]
outcome = "passed"
needs = ["host:download.docker.com"]"#,
    },
    Explanation {
        code: Code::InvalidDate,
        file: FileKind::Expected,
        text: "The value is not a day of the calendar, written `2026-12-31`.",
        wrong: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "unsupported"
expires = "31.12.2026""#,
        right: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "unsupported"
expires = "2026-12-31""#,
    },
    Explanation {
        code: Code::ContradictingExpectation,
        file: FileKind::Expected,
        text: "No cell can meet the row: only a failed cell has a phase and a reason, and a run that is interrupted \
               ends before anything is compared.",
        wrong: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "passed"
phase = "apply""#,
        right: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "failed"
phase = "apply""#,
    },
    Explanation {
        code: Code::DuplicateExpectation,
        file: FileKind::Expected,
        text: "Two rows expect something of the same recipe on the same target or pattern, and only one could \
               count. A row that names the target itself counts before one whose pattern matches it.",
        wrong: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "passed"

[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "failed""#,
        right: r#"[[expected]]
recipe = "docker"
targets = ["arch"]
outcome = "failed""#,
    },
    Explanation {
        code: Code::LockVersion,
        file: FileKind::Lock,
        text: "`assay.lock` states the version of its own format first. This one was written by another assay, \
               and what its entries mean is not guessed at.",
        wrong: "version = 99",
        right: "version = 1",
    },
    Explanation {
        code: Code::DuplicateLockEntry,
        file: FileKind::Lock,
        text: "A URL, a key or a package may stand once in `assay.lock`. Two entries of one URL most often come \
               from a merge of branches that recorded different bytes: keep the one that is right, or record again.",
        wrong: r#"version = 1
answers = [
  { url = "https://example.org/x", status = 404 },
  { url = "https://example.org/x", status = 410 },
]"#,
        right: r#"version = 1
answers = [
  { url = "https://example.org/x", status = 404 },
]"#,
    },
    Explanation {
        code: Code::InvalidLockEntry,
        file: FileKind::Lock,
        text: "An entry of `assay.lock` holds a number or a name that no recording writes: a status is 300 to 399 \
               where the answer was another place and 400 to 499 where there was nothing.",
        wrong: r#"version = 1
answers = [
  { url = "https://example.org/x", status = 200 },
]"#,
        right: r#"version = 1
answers = [
  { url = "https://example.org/x", status = 404 },
]"#,
    },
];
