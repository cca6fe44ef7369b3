//! Codes about `consents.toml` and `[policy]`.

use super::{Explanation, FileKind};
use crate::code::Code;

/// In the order of [`Code`].
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::ContradictingPolicy,
        file: FileKind::Project,
        text: "`[policy]` says two things of one thing: a group that every recipe may join cannot be one that nobody may \
               be granted.",
        wrong: r#"[policy]
groups = ["docker"]
group_tiers = { docker = "forbidden" }"#,
        right: r#"[policy]
group_tiers = { docker = "forbidden" }"#,
    },
    Explanation {
        code: Code::InvalidConsentDigest,
        file: FileKind::Consents,
        text: "The value is not the digest of a privileged operation: `sha256:` and 64 hex digits in lower case. It is what \
               is consented to; kind and subject only say it in words. `assay consent list` shows the digest, and \
               `assay consent grant` writes the entry.",
        wrong: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20"#,
        right: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20"#,
    },
    Explanation {
        code: Code::InvalidConsent,
        file: FileKind::Consents,
        text: "The entry says something that cannot be: it expires before the day it was given, a text of it is longer \
               than anybody reads, it stands in braces, where it could not be changed line by line, or its `operations` \
               are not the sorted parts, `KIND SUBJECT` each, of what a package brings.",
        wrong: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20
expires = 2026-01-01"#,
        right: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20
expires = 2027-11-20"#,
    },
    Explanation {
        code: Code::DuplicateConsent,
        file: FileKind::Consents,
        text: "Two entries are one decision: the same recipe, target, kind, subject and digest. Most often two branches \
               granted the same and both were merged. Revoking one of them would revoke nothing: keep one.",
        wrong: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20

[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20"#,
        right: r#"[[consent]]
recipe = "docker"
targets = ["debian-12"]
kind = "group.member"
subject = "dev -> docker"
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
note = "the client needs it"
by = "ann@example.org"
on = 2026-11-20"#,
    },
];
