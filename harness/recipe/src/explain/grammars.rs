//! Codes about single values: characters, names, URLs, versions, patterns.

use super::{Explanation, FileKind};
use crate::code::Code;

/// In the order of [`Code`].
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::ControlCharacter,
        file: FileKind::Recipe,
        text: "The value holds a control character: a newline, a tab, NUL, an escape. In a name it could split a \
               line of a generated file or reach a terminal; none of the values has a use for one. Only the text of \
               a `manual` step may have several lines.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq\u0000"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::LookAlikeCharacter,
        file: FileKind::Recipe,
        text: "The value holds a character that is not what it looks like (a Cyrillic letter, a full-width form, a \
               typographic hyphen), cannot be seen, or changes the order in which text is shown. A reviewer would \
               read one name and the machine another. The message names the character by its code point.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["gіt"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["git"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::OptionInjection,
        file: FileKind::Recipe,
        text: "The value begins with `-` (or, for apt, ends with it), so a command would read it as an option or an \
               order: `-y`, `--allow-unauthenticated`, `jq-` for \"remove jq\". No shell is involved; the argument \
               alone is enough.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["--allow-unauthenticated"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidPackageName,
        file: FileKind::Recipe,
        text: "The value is not a package name of the step's manager. For apt it is what Debian policy 5.6.1 \
               allows; for dnf the characters of a name, version and architecture, or `@group`, or the absolute \
               path of a provided file; for pacman what PKGBUILD(5) allows, groups included. Versions belong into \
               `version`, never into the name.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq; reboot"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidGroupName,
        file: FileKind::Recipe,
        text: "The value is not a group name: a lower-case letter or `_`, then at most 31 lower-case letters, \
               digits, `_` and `-`. Other names are accepted by some distributions and refused by others.",
        wrong: r#"[[steps]]
action = "group_add"
group = "docker:0""#,
        right: r#"[[steps]]
action = "group_add"
group = "docker""#,
    },
    Explanation {
        code: Code::InvalidUserName,
        file: FileKind::Recipe,
        text: "The value is not a user name: a lower-case letter or `_`, then at most 31 lower-case letters, \
               digits, `_` and `-`.",
        wrong: r#"[[steps]]
action = "group_add"
group = "docker"
user = "dev,root""#,
        right: r#"[[steps]]
action = "group_add"
group = "docker"
user = "dev""#,
    },
    Explanation {
        code: Code::InvalidCommand,
        file: FileKind::Recipe,
        text: "The value is not the bare name of a command: letters, digits and `._+-@`. A command is looked up on \
               PATH, so it has no `/`; no shell reads it, so nothing else has a meaning. The first word of `argv` \
               may also be an absolute path.",
        wrong: r#"[[steps]]
action = "require_command"
command = "/usr/bin/jq""#,
        right: r#"[[steps]]
action = "require_command"
command = "jq""#,
    },
    Explanation {
        code: Code::InvalidArgument,
        file: FileKind::Recipe,
        text: "The value cannot be an argument, or is longer than a text of its kind may be. A version flag is at \
               most two hyphens, then letters, digits and `._=-`.",
        wrong: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_flag = "--version; id""#,
        right: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_flag = "--version""#,
    },
    Explanation {
        code: Code::InvalidRecipeName,
        file: FileKind::Recipe,
        text: "The value is not a recipe name: lower-case letters, digits and `._+-`, starting with a letter or \
               digit. It is a file's stem on every system.",
        wrong: r#"[metadata]
name = "My Recipe""#,
        right: r#"[metadata]
name = "my-recipe""#,
    },
    Explanation {
        code: Code::InvalidStepId,
        file: FileKind::Recipe,
        text: "The value is not a step id: lower-case letters, digits and `._-`, starting with a letter or digit. \
               It stands in reports as `recipe#id`.",
        wrong: r#"[[steps]]
id = "add repo"
action = "manual"
text = "Plug it in.""#,
        right: r#"[[steps]]
id = "add-repo"
action = "manual"
text = "Plug it in.""#,
    },
    Explanation {
        code: Code::InvalidSha256,
        file: FileKind::Recipe,
        text: "The value is not a sha256: exactly 64 hex digits. `sha256sum FILE` prints it.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidFingerprint,
        file: FileKind::Recipe,
        text: "The value is not an OpenPGP fingerprint: 40 hex digits (version 4 keys) or 64 (version 6), without \
               spaces. A key id of 8 or 16 digits is not enough, because other keys with the same id can be made.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
key_fingerprints = ["8D81803C0EBFCD88"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
key_fingerprints = ["9DC858229FC7DD38854AE2D88D81803C0EBFCD88"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidUrl,
        file: FileKind::Recipe,
        text: "The value is not a URL that assay fetches: `https://`, a literal host in lower case, perhaps a port, \
               then the characters of RFC 3986 without `$`. Placeholders may stand anywhere after the host; the \
               host itself is what is consented to, so it is the same on every target. Segments `.` and `..` are \
               refused, because servers and clients disagree about them.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://{distro}.example.org/"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UrlNotHttps,
        file: FileKind::Recipe,
        text: "The URL has another scheme than https. Only a base image's own repositories may be fetched \
               otherwise, and only when its definition says so.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "http://download.docker.com/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UrlWithUserinfo,
        file: FileKind::Recipe,
        text: "The URL holds a user name or password. Recipes are public; credentials come from the user's \
               environment. It is also the oldest way to make a URL look like another: \
               `https://good.example@evil.example/`.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://me:secret@example.org/apt"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/apt"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UrlWithFragment,
        file: FileKind::Recipe,
        text: "The URL has a fragment (`#…`). It never reaches a server, so it cannot change what is fetched; \
               whoever wrote it meant something else.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/apt#stable"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/apt"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UrlOfRepoFile,
        file: FileKind::Recipe,
        text: "`url` is the repository's base URL. A `.repo` file that a server may change tomorrow is not what was \
               reviewed; assay writes the file itself, from what the recipe says.",
        wrong: r#"[[steps]]
action = "dnf_repo"
url = "https://download.docker.com/linux/fedora/docker-ce.repo"
key_url = "https://download.docker.com/linux/fedora/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { distro = "fedora" }"#,
        right: r#"[[steps]]
action = "dnf_repo"
url = "https://download.docker.com/linux/fedora/{version_id}/{arch}/stable"
key_url = "https://download.docker.com/linux/fedora/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { distro = "fedora" }"#,
    },
    Explanation {
        code: Code::UnknownPlaceholder,
        file: FileKind::Recipe,
        text: "The placeholders are `{distro}`, `{codename}`, `{version_id}` and `{arch}`, those of the target's \
               effective distribution. Others have no value. A homepage or link, which is about no target, has \
               none.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/{release}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://example.org/{codename}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidSuite,
        file: FileKind::Recipe,
        text: "The value is not a suite of an apt repository: letters, digits, placeholders and `._+~/-` between \
               them. Flat repositories, whose suite ends with `/`, are not supported.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
suites = ["stable main"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
suites = ["stable"]
components = ["main"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidComponent,
        file: FileKind::Recipe,
        text: "The value is not a component of an apt repository: letters, digits, placeholders and `._+/-` between \
               them.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
components = ["main contrib"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
components = ["main", "contrib"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidRepositoryName,
        file: FileKind::Recipe,
        text: "The value is not the name of a repository: lower-case letters, digits and `._-`, starting with a \
               letter or digit. It becomes the stem of a file; apt ignores files with other names.",
        wrong: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
name = "../docker"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_repo"
url = "https://download.docker.com/linux/{distro}"
key_url = "https://download.docker.com/linux/{distro}/gpg"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
name = "docker"
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidVersion,
        file: FileKind::Recipe,
        text: "The value is not a version. A version stands alone here; operators such as `>=` belong into the \
               `version` of a package.",
        wrong: r#"[[requires]]
package = "libc6"
min_version = ">=2.36""#,
        right: r#"[[requires]]
package = "libc6"
min_version = "2.36""#,
    },
    Explanation {
        code: Code::InvalidVersionRange,
        file: FileKind::Recipe,
        text: "The value is neither `any`, `auto` nor constraints separated by commas. Each constraint has an \
               operator (`=`, `>=`, `<=`, `>`, `<`), so that nobody has to know what a bare version means.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = [{ name = "jq", version = "1.7" }]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = [{ name = "jq", version = ">=1.7" }]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::EmptyVersionRange,
        file: FileKind::Recipe,
        text: "No version satisfies all constraints at once, by the rules of the step's manager or of distribution \
               versions.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = [{ name = "jq", version = ">=2,<1" }]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = [{ name = "jq", version = ">=1,<2" }]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::InvalidDistro,
        file: FileKind::Recipe,
        text: "The value is not the id of a distribution (`ID` of os-release(5)) with an optional constraint on its \
               version. `distro_like` takes ids alone.",
        wrong: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { distro = "ubuntu 22.04" }"#,
        right: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { distro = "ubuntu>=22.04" }"#,
    },
    Explanation {
        code: Code::InvalidRole,
        file: FileKind::Recipe,
        text: "The value is not a role: lower-case letters, digits, `_` and `-`, starting with a letter.",
        wrong: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { role = "Build Server" }"#,
        right: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { role = "build-server" }"#,
    },
    Explanation {
        code: Code::InvalidRegex,
        file: FileKind::Recipe,
        text: "The value is not a regular expression, or it is too large when compiled. The syntax is that of \
               Rust's `regex` crate, which runs in linear time and therefore has no back-references and no look- \
               around.",
        wrong: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_regex = "jq-([0-9.]+""#,
        right: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_regex = "jq-([0-9.]+)""#,
    },
    Explanation {
        code: Code::RegexGroups,
        file: FileKind::Recipe,
        text: "A version regex has exactly one capture group, which holds the version. Groups that only group are \
               written `(?:…)`.",
        wrong: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_regex = "jq-[0-9.]+""#,
        right: r#"[[steps]]
action = "require_command"
command = "jq"
min_version = "1.6"
version_regex = "jq-([0-9.]+)""#,
    },
    Explanation {
        code: Code::InvalidDuration,
        file: FileKind::Recipe,
        text: "The value is not a duration: a whole number and `ms`, `s`, `m` or `h`, more than nothing, at most \
               one hour.",
        wrong: r#"[[check]]
name = "answers"
argv = ["jq", "--version"]
timeout = "10""#,
        right: r#"[[check]]
name = "answers"
argv = ["jq", "--version"]
timeout = "10s""#,
    },
    Explanation {
        code: Code::InvalidExitCode,
        file: FileKind::Recipe,
        text: "The value is not an exit code: 0 to 255. A process ended by a signal has none.",
        wrong: r#"[[check]]
name = "answers"
argv = ["jq", "--version"]
expect = { exit_code = 256 }"#,
        right: r#"[[check]]
name = "answers"
argv = ["jq", "--version"]
expect = { exit_code = 1 }"#,
    },
];
