//! Codes about what single steps say: services, places, archives, and steps beside each other.

use super::{Explanation, FileKind};
use crate::code::Code;

/// What each of these codes means.
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::ForeignKey,
        file: FileKind::Recipe,
        text: "Recipes of this format are read by other tools too, and carry keys for them: `version_format`, \
               `supported_os`, `curated` and others under `[metadata]`, and `[version]`. They may stay; assay does \
               nothing that follows from them. In steps and `when` an unknown key stays an error.",
        wrong: r#"[metadata]
name = "jq"
supported_os = ["linux"]"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::InvalidService,
        file: FileKind::Recipe,
        text: "A service is a unit of systemd by its name, systemd.unit(5): with a suffix such as `.service` or \
               `.timer`, or without one for a service. A suffix that is nearly one is taken for mistyped.",
        wrong: r#"[[steps]]
action = "service_enable"
service = "docker.servce""#,
        right: r#"[[steps]]
action = "service_enable"
service = "docker.service""#,
    },
    Explanation {
        code: Code::InvalidLibrary,
        file: FileKind::Recipe,
        text: "A required library is named by its soname, which the dynamic linker looks for, not by a package or a \
               path: `ldconfig -p` lists them.",
        wrong: r#"[[requires]]
library = "openssl""#,
        right: r#"[[requires]]
library = "libssl.so.3""#,
    },
    Explanation {
        code: Code::InvalidDestination,
        file: FileKind::Recipe,
        text: "A place in the sandbox is an absolute path, or one that begins with `~/`, the home of the \
               unprivileged user `dev`; files below `from` are relative paths. `.`, `..` and empty parts would give \
               one place several names. `/proc`, `/sys`, `/dev` and `/.assay` are no places to keep anything.",
        wrong: r#"[[steps]]
action = "extract"
archive = "/opt/tool.tar.gz"
dest = "opt/tool""#,
        right: r#"[[steps]]
action = "extract"
archive = "/opt/tool.tar.gz"
dest = "/opt/tool""#,
    },
    Explanation {
        code: Code::InvalidFileMode,
        file: FileKind::Recipe,
        text: "Permission bits are written in octal, as chmod(1) takes them: three or four digits in a string.",
        wrong: r#"[[steps]]
action = "install_binaries"
from = "/opt/tool"
binaries = ["bin/tool"]
mode = "rwxr-xr-x""#,
        right: r#"[[steps]]
action = "install_binaries"
from = "/opt/tool"
binaries = ["bin/tool"]
mode = "0755""#,
    },
    Explanation {
        code: Code::InvalidNumber,
        file: FileKind::Recipe,
        text: "The number is not within the limits of its key.",
        wrong: r#"[[steps]]
action = "extract"
archive = "/opt/tool.tar.gz"
dest = "/opt/tool"
strip_components = -1"#,
        right: r#"[[steps]]
action = "extract"
archive = "/opt/tool.tar.gz"
dest = "/opt/tool"
strip_components = 1"#,
    },
    Explanation {
        code: Code::InvalidPpa,
        file: FileKind::Recipe,
        text: "A personal package archive is named by its owner and its name on Launchpad, without the `ppa:` that \
               add-apt-repository(1) wants.",
        wrong: r#"[[steps]]
action = "apt_ppa"
ppa = "ppa:deadsnakes/ppa"
key_fingerprint = "F23C5A6CF475977595C89F51BA6932366A755776"
when = { distro_like = ["ubuntu"] }"#,
        right: r#"[[steps]]
action = "apt_ppa"
ppa = "deadsnakes/ppa"
key_fingerprint = "F23C5A6CF475977595C89F51BA6932366A755776"
when = { distro_like = ["ubuntu"] }"#,
    },
    Explanation {
        code: Code::InvalidTap,
        file: FileKind::Recipe,
        text: "A tap of Homebrew is named by its owner and its name, as brew(1) takes it.",
        wrong: r#"[[steps]]
action = "brew_install"
packages = ["terraform"]
tap = "hashicorp"
when = { os = ["darwin"] }"#,
        right: r#"[[steps]]
action = "brew_install"
packages = ["terraform"]
tap = "hashicorp/tap"
when = { os = ["darwin"] }"#,
    },
    Explanation {
        code: Code::PpaWithoutKey,
        file: FileKind::Recipe,
        text: "Whoever owns the name of a personal package archive decides what root installs from it. The \
               fingerprint of its key says who that was when the recipe was written; without it any key that \
               Launchpad answers with would be trusted.",
        wrong: r#"[[steps]]
action = "apt_ppa"
ppa = "deadsnakes/ppa"
when = { distro_like = ["ubuntu"] }"#,
        right: r#"[[steps]]
action = "apt_ppa"
ppa = "deadsnakes/ppa"
key_fingerprint = "F23C5A6CF475977595C89F51BA6932366A755776"
when = { distro_like = ["ubuntu"] }"#,
    },
    Explanation {
        code: Code::RangeMayBeSkipped,
        file: FileKind::Recipe,
        text: "A range of versions is verified after the install. Where `unless_command` may skip the install there \
               is no package whose version could be verified, and the step would be green whatever is on the PATH. \
               Ask the command for its version.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = [{ name = "jq", version = ">=1.6" }]
unless_command = "jq"
when = { linux_family = ["debian"] }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
unless_command = "jq"
when = { linux_family = ["debian"] }
[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6""#,
    },
    Explanation {
        code: Code::VerifyNeedsShell,
        file: FileKind::Recipe,
        text: "`command` of `[verify]` is split into words like a command line, and then run without a shell. What \
               only a shell does – pipes, redirections, variables, several commands – cannot be done, and is not \
               silently left out.",
        wrong: r#"[verify]
command = "jq --version | head -1""#,
        right: r#"[verify]
command = "jq --version""#,
    },
    Explanation {
        code: Code::ManualPipesToShell,
        file: FileKind::Recipe,
        text: "The text tells a human to hand a file from the network to a shell. Nobody sees what is run, and \
               tomorrow it can be something else. A step that says what is wanted – a repository with its key, a \
               package, a `download` by hash – can be checked and tested.",
        wrong: r#"[[steps]]
action = "manual"
text = "Run: curl -fsSL https://example.org/install | sh""#,
        right: r#"[[steps]]
action = "manual"
text = "Accept the licence in the installer.""#,
    },
    Explanation {
        code: Code::KeyWithoutFingerprint,
        file: FileKind::Recipe,
        text: "The repository's key is pinned by the hash of its file alone. When the vendor publishes a new file – \
               with another key in it, or the same one renewed – only fingerprints say which of the two it is.",
        wrong: r#"[[steps]]
action = "dnf_repo"
url = "https://example.org/rpm"
key_url = "https://example.org/key"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = ["rhel"] }"#,
        right: r#"[[steps]]
action = "dnf_repo"
url = "https://example.org/rpm"
key_url = "https://example.org/key"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
key_fingerprints = ["9DC858229FC7DD38854AE2D88D81803C0EBFCD88"]
when = { linux_family = ["rhel"] }"#,
    },
    Explanation {
        code: Code::NothingDownloadsIt,
        file: FileKind::Recipe,
        text: "No step before this one downloads the archive. It may come with a package; most often the path is \
               mistyped.",
        wrong: r#"[[steps]]
action = "extract"
archive = "/opt/tool.tgz"
dest = "/opt/tool""#,
        right: r#"[[steps]]
action = "download"
url = "https://example.org/tool.tar.gz"
sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
dest = "/opt/tool.tar.gz"
[[steps]]
action = "extract"
archive = "/opt/tool.tar.gz"
dest = "/opt/tool""#,
    },
    Explanation {
        code: Code::ContradictingSteps,
        file: FileKind::Recipe,
        text: "Two steps that apply to the same targets want different things of one thing: two contents of one \
               file, for example. The second undoes the first, and the second apply never finds the machine as it \
               should be.",
        wrong: r#"[[steps]]
action = "download"
url = "https://example.org/a"
sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
dest = "/opt/tool"
[[steps]]
action = "download"
url = "https://example.org/b"
sha256 = "2600c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
dest = "/opt/tool""#,
        right: r#"[[steps]]
action = "download"
url = "https://example.org/a"
sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
dest = "/opt/tool""#,
    },
    Explanation {
        code: Code::RepeatedStep,
        file: FileKind::Recipe,
        text: "Two steps that apply to the same targets ask for the same: the same package, group, service or \
               repository. One of them says nothing that the other does not.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = ["debian"] }
[[steps]]
action = "apt_install"
packages = ["jq", "tree"]
when = { linux_family = ["debian"] }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq", "tree"]
when = { linux_family = ["debian"] }"#,
    },
];
