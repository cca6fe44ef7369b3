//! Codes about the text as a whole and the structure of a recipe.

use super::{Explanation, FileKind};
use crate::code::Code;

/// In the order of [`Code`].
pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::Syntax,
        file: FileKind::Recipe,
        text: "The text is not TOML 1.0. Each line that cannot be read is reported once. What can still be read is \
               checked too, except for keys that are missing: they may be on a line that could not be read.",
        wrong: r#"[metadata]
name = jq"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::MergeConflict,
        file: FileKind::Recipe,
        text: "Two versions stand in the file, between the marks that git leaves where it cannot choose. Neither is \
               believed, and nothing else of the file is looked at: keep the lines that are meant and remove the marks. \
               In `consents.toml` and `assay.lock` most often both sides are meant.",
        wrong: r#"[metadata]
<<<<<<< HEAD
name = "jq"
=======
name = "yq"
>>>>>>> theirs"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::DuplicateKey,
        file: FileKind::Recipe,
        text: "A key or table is defined twice. TOML gives no rule which of the two counts, so neither does assay. \
               Lists of tables are written with double brackets.",
        wrong: r#"[metadata]
name = "jq"
name = "yq""#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::NotUtf8,
        file: FileKind::Recipe,
        text: "The file is not UTF-8, the only encoding of TOML. The place is the first byte that does not belong; \
               what follows is not read.",
        wrong: r#"[metadata]
name = "jq"
description = "caf\xe9""#,
        right: r#"[metadata]
name = "jq"
description = "café""#,
    },
    Explanation {
        code: Code::FileTooLarge,
        file: FileKind::Recipe,
        text: "The file is longer than 1 MiB. No recipe written by people comes near that, and a bound protects \
               whoever checks recipes of others.",
        wrong: r#"a file of more than 1048576 bytes"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::NestedTooDeep,
        file: FileKind::Recipe,
        text: "Arrays, inline tables or dotted keys stand more than 80 deep in each other. Nothing of a recipe is \
               deeper than five; a bound keeps the reader's stack small.",
        wrong: r#"[metadata]
name = "jq"
x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::TooManyFaults,
        file: FileKind::Recipe,
        text: "The file has more than 500 faults. The first 500 are shown and the others counted: most likely it is \
               not the kind of file it is taken for.",
        wrong: r#"a file with 600 unknown keys"#,
        right: r#"[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::UnknownKey,
        file: FileKind::Recipe,
        text: "Nobody reads this key. It is an error because a mistyped key is a setting that silently does not \
               hold.",
        wrong: r#"[metadata]
name = "jq"
descripton = "JSON on the command line""#,
        right: r#"[metadata]
name = "jq"
description = "JSON on the command line""#,
    },
    Explanation {
        code: Code::WrongType,
        file: FileKind::Recipe,
        text: "The value has another type than the key takes. A string may stand for a list of one, but a command \
               line is never split: `argv` is a list, because no shell ever sees it.",
        wrong: r#"[[check]]
name = "answers"
argv = "jq --version""#,
        right: r#"[[check]]
name = "answers"
argv = ["jq", "--version"]"#,
    },
    Explanation {
        code: Code::MissingKey,
        file: FileKind::Recipe,
        text: "A key that must be there is not. The place is the header of the table that lacks it.",
        wrong: r#"[[steps]]
action = "group_add""#,
        right: r#"[[steps]]
action = "group_add"
group = "docker""#,
    },
    Explanation {
        code: Code::EmptyValue,
        file: FileKind::Recipe,
        text: "A text or list that must hold something is empty. To say nothing, leave the key out.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = []
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::KeyNotSupported,
        file: FileKind::Recipe,
        text: "The recipe format has this key, but this version of assay does not implement it. It is an error, \
               because a plan that left it out would not be what the recipe says.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
layer = "os-packages"
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UnknownWord,
        file: FileKind::Recipe,
        text: "The value is not among the words the key takes. Architectures are spelt as container images spell \
               them (`amd64`, `arm64`), operating systems `linux` and `darwin`.",
        wrong: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { arch = "x86_64" }"#,
        right: r#"[[steps]]
action = "manual"
text = "Plug it in."
when = { arch = "amd64" }"#,
    },
    Explanation {
        code: Code::DuplicateEntry,
        file: FileKind::Recipe,
        text: "A list names the same thing twice. It is done once, so the second says nothing; often something else \
               was meant.",
        wrong: r#"[[steps]]
action = "apt_install"
packages = ["jq", "curl", "jq"]
when = { linux_family = "debian" }"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq", "curl"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::UnusedKey,
        file: FileKind::Recipe,
        text: "The key has no effect beside the others: how to ask a command for its version says nothing without \
               the version to compare with.",
        wrong: r#"[[steps]]
action = "require_command"
command = "jq"
version_flag = "-V""#,
        right: r#"[[steps]]
action = "require_command"
command = "jq"
version_flag = "-V"
min_version = "1.6""#,
    },
    Explanation {
        code: Code::UnknownAction,
        file: FileKind::Recipe,
        text: "No action has this name. The actions are a closed set, so that every operation of a recipe can be \
               planned, reviewed and consented to.",
        wrong: r#"[[steps]]
action = "apt_instal"
packages = ["jq"]"#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["jq"]
when = { linux_family = "debian" }"#,
    },
    Explanation {
        code: Code::ActionNotSupported,
        file: FileKind::Recipe,
        text: "The recipe format has this action, but this version of assay does not perform it. It is an error, \
               because a plan without it would not be what the recipe says.",
        wrong: r#"[[steps]]
action = "make_install"
source = "tool-1.0""#,
        right: r#"[[steps]]
action = "manual"
text = "Run `make install` in the unpacked sources.""#,
    },
    Explanation {
        code: Code::OldInstallText,
        file: FileKind::Recipe,
        text: "`require_system` and `install_guide` held free text per platform, which can be neither planned nor \
               checked. The help spells out typed steps that say the same: an install step for each line whose \
               meaning is certain, a `manual` step for the others, and a `require_command` step.",
        wrong: r#"[[steps]]
action = "require_system"
command = "docker"
[steps.install_guide]
linux = "apt install docker.io""#,
        right: r#"[[steps]]
action = "apt_install"
packages = ["docker.io"]
when = { distro_like = ["debian"] }
[[steps]]
action = "require_command"
command = "docker""#,
    },
    Explanation {
        code: Code::RequirementKind,
        file: FileKind::Recipe,
        text: "An entry of `[[requires]]` requires exactly one thing. With none there is nothing to check; with two \
               a message could not say which of them is unmet.",
        wrong: r#"[[requires]]
command = "tar"
package = "tar""#,
        right: r#"[[requires]]
command = "tar"
[[requires]]
package = "tar""#,
    },
    Explanation {
        code: Code::NameMismatch,
        file: FileKind::Recipe,
        text: "A recipe is found by its file's name and reported by its own, so the two are equal: \
               `recipes/jq.toml` has `name = \"jq\"`.",
        wrong: r#"# recipes/jq.toml
[metadata]
name = "yq""#,
        right: r#"# recipes/jq.toml
[metadata]
name = "jq""#,
    },
    Explanation {
        code: Code::DuplicateStepId,
        file: FileKind::Recipe,
        text: "Two steps have one id, and a report that names it could mean either. A step without `id` has its \
               number as id, starting with 1.",
        wrong: r#"[[steps]]
id = "hint"
action = "manual"
text = "Plug it in."
[[steps]]
id = "hint"
action = "manual"
text = "Switch it on.""#,
        right: r#"[[steps]]
id = "plug"
action = "manual"
text = "Plug it in."
[[steps]]
id = "switch"
action = "manual"
text = "Switch it on.""#,
    },
    Explanation {
        code: Code::DependsOnItself,
        file: FileKind::Recipe,
        text: "A recipe names itself in `depends_on`. It would have to run before itself. Longer circles are found \
               when a set of recipes is planned.",
        wrong: r#"[metadata]
name = "jq"
depends_on = ["jq"]"#,
        right: r#"[metadata]
name = "jq"
depends_on = ["ca-certificates"]"#,
    },
    Explanation {
        code: Code::NoSteps,
        file: FileKind::Recipe,
        text: "The recipe has no steps and depends on no other, so it does nothing anywhere.",
        wrong: r#"[metadata]
name = "jq""#,
        right: r#"[metadata]
name = "jq"
depends_on = ["ca-certificates"]"#,
    },
];
