//! Codes about `when`.

use super::{Explanation, FileKind};
use crate::code::Code;

/// In the order of [`Code`].
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::PlatformWithOs,
        file: FileKind::Recipe,
        text: "`platform` says operating system and architecture together, so `os` or `arch` beside it says the \
               same twice or contradicts it.",
        wrong: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { platform = "linux/amd64", os = "linux" }"#,
        right: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { platform = "linux/amd64" }"#,
    },
    Explanation {
        code: Code::WhenContradiction,
        file: FileKind::Recipe,
        text: "The `when` can hold nowhere: its keys exclude each other, or the action's own family. A step that \
               never runs is an error, because its author meant it to run.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { distro = "fedora" }"#,
        right: r#"[[steps]]
action = "dnf_install"
packages = ["jq"]
when = { distro = "fedora" }"#,
    },
    Explanation {
        code: Code::WhenUnreachable,
        file: FileKind::Recipe,
        text: "One word of the `when` can hold nowhere, while others can. It has no effect; often the step was \
               meant for two package managers and needs a second one.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { distro = ["ubuntu", "fedora"] }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { distro = ["ubuntu"] }"#,
    },
    Explanation {
        code: Code::UnknownDistro,
        file: FileKind::Recipe,
        text: "The id is one letter or two away from that of a known distribution, and no known one itself. Ids \
               that resemble none are accepted: the list of distributions is open.",
        wrong: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { distro = "ubunut" }"#,
        right: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { distro = "ubuntu" }"#,
    },
    Explanation {
        code: Code::ImplicitPlatform,
        file: FileKind::Recipe,
        text: "The step has no `when`: where it applies follows from its action alone (apt is for the debian \
               family, dnf for rhel, pacman for arch). That is well defined, and a reader has to know it. Projects \
               that want it written set `implicit-platform = \"deny\"` under `[lints]`.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq"]"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = ["debian"] }"#,
    },
];
