//! The JSON Schema of a recipe, with which an editor's TOML plugin completes and checks.
//!
//! It is written in draft-07, with `enum` for `const` and `definitions`: Taplo (Even Better TOML) and
//! Tombi read that, while the newer drafts are not read by all. A step is checked by `if` and `then`,
//! which say exactly what is wrong with it; Taplo completes through `anyOf` and not through `if`, so
//! every action stands there as well, with words only and refusing nothing.
//!
//! A schema says less than [`crate::parse`] checks – no file names, versions that contradict each
//! other, or repetitions – and it refuses nothing that is a recipe. The tests hold both, for every
//! action and every key: [`ACTIONS`] here and the converters cannot differ.

use serde_json::{Map, Value, json};

use crate::when::{Arch, Family, Libc, Os};

/// An action as an editor is told of it.
struct Action {
    name: &'static str,
    what: &'static str,
    keys: &'static [(Presence, Key)],
}

/// Whether a key has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

use Presence::{Optional, Required};

/// A key of an action: its name, what it holds, and what that means.
struct Key(&'static str, Holds, &'static str);

/// What a key holds.
#[derive(Clone, Copy)]
enum Holds {
    /// A string of this pattern.
    Text(&'static str),
    /// A base URL: a string of this pattern that does not name a `.repo` file.
    BaseUrl,
    /// One string of this pattern, or a list of them.
    List(&'static str),
    /// Packages, their names of this pattern.
    Packages(&'static str),
    /// True or false.
    Flag,
    /// A whole number up to this.
    Number(u32),
}

const COMMAND: &str = "^[A-Za-z0-9_][A-Za-z0-9._+@-]{0,254}$";
const CONSTRAINTS: &str =
    "^(any|auto| *(>=|<=|=|>|<) *[A-Za-z0-9][^ ,]* *(, *(>=|<=|=|>|<) *[A-Za-z0-9][^ ,]* *)*)$";
const DISTRO: &str =
    "^[a-z0-9][a-z0-9._-]{0,63} *((>=|<=|=|>|<) *[0-9.]+ *(, *(>=|<=|=|>|<) *[0-9.]+ *)*)?$";
const DISTRO_ID: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";
const DURATION: &str = "^[0-9]{1,9}(ms|s|m|h)$";
const FINGERPRINT: &str = "^([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})$";
const FINGERPRINT_4: &str = "^[0-9A-Fa-f]{40}$";
const LIBRARY: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]*\\.so[A-Za-z0-9._+-]*$";
const LINE: &str = "[^ ]";
const MODE: &str = "^[0-7]{3,4}$";
const OWNER_AND_NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]*/[A-Za-z0-9][A-Za-z0-9._+-]*$";
const PACKAGE_VERSION: &str = "^[A-Za-z0-9][A-Za-z0-9.+~^:_-]{0,255}$";
const PLACE: &str = "^(/|~/)[^/]";
const PROGRAM: &str = "^(/[A-Za-z0-9/._+@-]+|[A-Za-z0-9_][A-Za-z0-9._+@-]{0,254})$";
const RECIPE: &str = "^[a-z0-9][a-z0-9._+-]{0,99}$";
const RELATIVE: &str = "^[^/]";
const REPOSITORY: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";
const ROLE: &str = "^[a-z][a-z0-9_-]{0,63}$";
const SERVICE: &str = "^[A-Za-z0-9_][A-Za-z0-9:_.@\\\\-]{0,254}$";
const SHA256: &str = "^[0-9A-Fa-f]{64}$";
const STEP_ID: &str = "^[a-z0-9][a-z0-9._-]{0,99}$";
const TEXT: &str = "[^\\s]";
const URL: &str =
    "^https://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?([/?][A-Za-z0-9._~!&'()*+,;=:@/?%{}-]*)?$";
const USER: &str = "^[a-z_][a-z0-9_-]{0,31}$";
const VERSION: &str = "^[0-9][A-Za-z0-9.+~_-]{0,99}$";
const VERSION_FLAG: &str = "^-{0,2}[A-Za-z0-9][A-Za-z0-9._=-]{0,63}$";
const WORD_WITH_PLACEHOLDERS: &str = "^[A-Za-z0-9{]([A-Za-z0-9._+~/{}-]*[A-Za-z0-9}])?$";

const APT: &str = "^[a-z0-9][a-z0-9+.-]*[a-z0-9+.]$";
const RPM: &str =
    "^(@[A-Za-z0-9][A-Za-z0-9._+-]*|/[A-Za-z0-9/._+@-]+|[A-Za-z0-9_][A-Za-z0-9._+-]*)$";
const PACMAN: &str = "^[A-Za-z0-9@_+][A-Za-z0-9@._+-]*$";
const APK: &str = "^[A-Za-z0-9_.][A-Za-z0-9._+-]*$";
const BREW: &str = "^[A-Za-z0-9][A-Za-z0-9._+@/-]*$";

const UNLESS: (Presence, Key) = (
    Optional,
    Key(
        "unless_command",
        Holds::Text(COMMAND),
        "Skip the step where this command is on PATH.",
    ),
);
const FALLBACK: (Presence, Key) = (
    Optional,
    Key(
        "fallback",
        Holds::Text(TEXT),
        "What to tell people when the step fails.",
    ),
);

/// The keys of an action that installs packages named by a pattern.
macro_rules! install {
    ($pattern:expr) => {
        &[
            (
                Required,
                Key("packages", Holds::Packages($pattern), "What to install."),
            ),
            (
                Optional,
                Key(
                    "recommends",
                    Holds::Flag,
                    "Also install what the packages recommend; not done without it.",
                ),
            ),
            UNLESS,
            FALLBACK,
        ]
    };
}

/// The keys of an action of Homebrew.
macro_rules! brew {
    () => {
        &[
            (
                Required,
                Key("packages", Holds::Packages(BREW), "What to install."),
            ),
            (
                Optional,
                Key(
                    "tap",
                    Holds::Text(OWNER_AND_NAME),
                    "The tap they come from, `owner/name`.",
                ),
            ),
            UNLESS,
            FALLBACK,
        ]
    };
}

const KEY_URL: (Presence, Key) = (
    Required,
    Key(
        "key_url",
        Holds::Text(URL),
        "Where the key that signs the repository is.",
    ),
);
const KEY_SHA256: (Presence, Key) = (
    Required,
    Key(
        "key_sha256",
        Holds::Text(SHA256),
        "The sha256 of the key's bytes: no other key is ever used.",
    ),
);
const KEY_FINGERPRINTS: (Presence, Key) = (
    Optional,
    Key(
        "key_fingerprints",
        Holds::List(FINGERPRINT),
        "Fingerprints the key must have.",
    ),
);
const REPOSITORY_NAME: (Presence, Key) = (
    Optional,
    Key(
        "name",
        Holds::Text(REPOSITORY),
        "The repository's name, also the stem of its file.",
    ),
);
const SERVICE_KEY: &[(Presence, Key)] = &[(
    Required,
    Key(
        "service",
        Holds::Text(SERVICE),
        "The unit, with its suffix or without.",
    ),
)];
const COMMAND_KEYS: &[(Presence, Key)] = &[
    (
        Required,
        Key(
            "command",
            Holds::Text(COMMAND),
            "A bare name, looked up on PATH.",
        ),
    ),
    (
        Optional,
        Key(
            "min_version",
            Holds::Text(VERSION),
            "The oldest version that will do.",
        ),
    ),
    (
        Optional,
        Key(
            "version_flag",
            Holds::Text(VERSION_FLAG),
            "What makes it print its version; `--version` without it.",
        ),
    ),
    (
        Optional,
        Key(
            "version_regex",
            Holds::Text(TEXT),
            "A regular expression with one group, which finds the version.",
        ),
    ),
];

/// Every action, in the order in which they are taught.
const ACTIONS: &[Action] = &[
    Action {
        name: "apt_install",
        what: "Installs packages with apt, as root. Debian, Ubuntu and what derives from them.",
        keys: install!(APT),
    },
    Action {
        name: "dnf_install",
        what: "Installs packages with dnf, as root. Fedora, RHEL and what derives from them.",
        keys: install!(RPM),
    },
    Action {
        name: "pacman_install",
        what: "Installs packages with pacman, as root. Arch Linux and what derives from it.",
        keys: install!(PACMAN),
    },
    Action {
        name: "apk_install",
        what: "Installs packages with apk, as root. Alpine Linux.",
        keys: install!(APK),
    },
    Action {
        name: "zypper_install",
        what: "Installs packages with zypper, as root. openSUSE and SLES.",
        keys: install!(RPM),
    },
    Action {
        name: "brew_install",
        what: "Installs formulae with Homebrew, as the user. macOS; planned, never run in a sandbox.",
        keys: brew!(),
    },
    Action {
        name: "brew_cask",
        what: "Installs casks with Homebrew, as the user. macOS; planned, never run in a sandbox.",
        keys: brew!(),
    },
    Action {
        name: "apt_repo",
        what: "Adds a repository and its key to apt, as root.",
        keys: &[
            (
                Required,
                Key(
                    "url",
                    Holds::Text(URL),
                    "The repository; `{distro}`, `{codename}`, `{version_id}` and `{arch}` are filled in.",
                ),
            ),
            KEY_URL,
            KEY_SHA256,
            KEY_FINGERPRINTS,
            (
                Optional,
                Key(
                    "suites",
                    Holds::List(WORD_WITH_PLACEHOLDERS),
                    "Suites; `{codename}` without it.",
                ),
            ),
            (
                Optional,
                Key(
                    "components",
                    Holds::List(WORD_WITH_PLACEHOLDERS),
                    "Components; `main` without it.",
                ),
            ),
            REPOSITORY_NAME,
        ],
    },
    Action {
        name: "apt_ppa",
        what: "Adds a personal package archive of Launchpad to apt, as root. Ubuntu.",
        keys: &[
            (
                Required,
                Key(
                    "ppa",
                    Holds::Text(OWNER_AND_NAME),
                    "The archive, `owner/name`.",
                ),
            ),
            (
                Required,
                Key(
                    "key_fingerprint",
                    Holds::Text(FINGERPRINT_4),
                    "The fingerprint of the key that signs it.",
                ),
            ),
        ],
    },
    Action {
        name: "dnf_repo",
        what: "Adds a repository and its key to dnf, as root.",
        keys: &[
            (
                Required,
                Key(
                    "url",
                    Holds::BaseUrl,
                    "The base URL, not that of a `.repo` file.",
                ),
            ),
            KEY_URL,
            KEY_SHA256,
            KEY_FINGERPRINTS,
            (
                Optional,
                Key(
                    "repo_gpgcheck",
                    Holds::Flag,
                    "Also check the signature of the repository's own data.",
                ),
            ),
            REPOSITORY_NAME,
        ],
    },
    Action {
        name: "group_add",
        what: "Adds a user to a group, as root.",
        keys: &[
            (Required, Key("group", Holds::Text(USER), "The group.")),
            (
                Optional,
                Key("user", Holds::Text(USER), "The user; `dev` without it."),
            ),
            (
                Optional,
                Key(
                    "create",
                    Holds::Flag,
                    "Make the group where there is none; without it that is a failure.",
                ),
            ),
        ],
    },
    Action {
        name: "service_enable",
        what: "Enables a unit of systemd, as root.",
        keys: SERVICE_KEY,
    },
    Action {
        name: "service_start",
        what: "Starts a unit of systemd, as root.",
        keys: SERVICE_KEY,
    },
    Action {
        name: "require_command",
        what: "Checks that a command is there, as the user.",
        keys: COMMAND_KEYS,
    },
    Action {
        name: "download",
        what: "Fetches a file, checks its sha256 and puts it in its place.",
        keys: &[
            (Required, Key("url", Holds::Text(URL), "Where it is.")),
            (
                Required,
                Key("sha256", Holds::Text(SHA256), "The sha256 of its bytes."),
            ),
            (
                Required,
                Key("dest", Holds::Text(PLACE), "Its place: absolute, or `~/…`."),
            ),
        ],
    },
    Action {
        name: "extract",
        what: "Unpacks an archive; refuses what would leave its folder.",
        keys: &[
            (Required, Key("archive", Holds::Text(PLACE), "The archive.")),
            (
                Required,
                Key(
                    "dest",
                    Holds::Text(PLACE),
                    "The folder: absolute, or `~/…`.",
                ),
            ),
            (
                Optional,
                Key(
                    "strip_components",
                    Holds::Number(100),
                    "How many leading folders of each name are dropped.",
                ),
            ),
        ],
    },
    Action {
        name: "install_binaries",
        what: "Installs programs from an unpacked folder.",
        keys: &[
            (
                Required,
                Key("from", Holds::Text(PLACE), "The folder they are in."),
            ),
            (
                Required,
                Key(
                    "binaries",
                    Holds::List(RELATIVE),
                    "The files, relative to it, such as `bin/jq`.",
                ),
            ),
            (
                Optional,
                Key(
                    "dest",
                    Holds::Text(PLACE),
                    "The folder they go to; `/usr/local/bin` without it.",
                ),
            ),
            (
                Optional,
                Key(
                    "mode",
                    Holds::Text(MODE),
                    "Their mode in octal; `0755` without it.",
                ),
            ),
        ],
    },
    Action {
        name: "manual",
        what: "Tells people what to do by hand. Never run; verifications after it are not judged.",
        keys: &[(Required, Key("text", Holds::Text(TEXT), "What to do."))],
    },
];

/// The schema of a recipe.
#[must_use]
pub fn json_schema() -> Value {
    let mut definitions: Map<String, Value> = ACTIONS
        .iter()
        .map(|action| (action.name.to_owned(), strict(action)))
        .collect();
    definitions.insert("when".to_owned(), when());
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "recipe",
        "description": "A recipe of assay: a list of typed system actions.",
        "type": "object",
        "required": ["metadata"],
        "additionalProperties": false,
        "properties": {
            "metadata": metadata(),
            "requires": tables(requires(), "Checked once, before anything is done; exactly one kind each."),
            "steps": tables(step(), "What is done, in this order."),
            "check": tables(check(), "Commands run as the user after the last step."),
            "verify": {
                "type": "object",
                "description": "One command that must succeed at the end, as other tools' recipes write it.",
            },
        },
        "definitions": definitions,
    })
}

fn tables(items: Value, what: &str) -> Value {
    json!({ "type": "array", "items": items, "description": what })
}

/// A step: one of the actions, and checked as that.
fn step() -> Value {
    let names: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
    let mut hints: Vec<Value> = ACTIONS.iter().map(hint).collect();
    hints.push(json!({}));
    let checks = ACTIONS.iter().map(|action| {
        json!({
            "if": { "required": ["action"], "properties": { "action": { "enum": [action.name] } } },
            "then": { "$ref": format!("#/definitions/{}", action.name) },
        })
    });
    json!({
        "type": "object",
        "required": ["action"],
        "properties": { "action": { "type": "string", "enum": names } },
        "allOf": checks.collect::<Vec<_>>(),
        "anyOf": hints,
    })
}

/// An action's words alone.
fn hint(action: &Action) -> Value {
    let mut keys: Map<String, Value> = action
        .keys
        .iter()
        .map(|(_, Key(name, _, what))| ((*name).to_owned(), json!({ "description": what })))
        .collect();
    keys.insert(
        "action".to_owned(),
        json!({ "enum": [action.name], "description": action.what }),
    );
    json!({ "title": action.name, "description": action.what, "properties": keys })
}

/// An action with everything that can be said of it.
fn strict(action: &Action) -> Value {
    let mut properties = Map::new();
    properties.insert(
        "action".to_owned(),
        json!({ "type": "string", "enum": [action.name], "description": action.what }),
    );
    properties.insert("when".to_owned(), json!({ "$ref": "#/definitions/when" }));
    properties.insert(
        "id".to_owned(),
        text(
            STEP_ID,
            "The step's name in reports; its number without it.",
        ),
    );
    properties.insert("description".to_owned(), text(LINE, "One line for people."));
    let mut required = vec!["action"];
    for (presence, Key(name, holds, what)) in action.keys {
        properties.insert((*name).to_owned(), held(*holds, what));
        if *presence == Required {
            required.push(*name);
        }
    }
    json!({
        "type": "object",
        "title": action.name,
        "description": action.what,
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn held(holds: Holds, what: &str) -> Value {
    match holds {
        Holds::Text(pattern) => text(pattern, what),
        Holds::BaseUrl => json!({
            "type": "string",
            "pattern": URL,
            "not": { "pattern": "\\.repo(\\?.*)?$" },
            "description": what,
        }),
        Holds::List(pattern) => one_or_more(json!({ "type": "string", "pattern": pattern }), what),
        Holds::Packages(pattern) => one_or_more(package(pattern), what),
        Holds::Flag => json!({ "type": "boolean", "description": what }),
        Holds::Number(most) => json!({
            "type": "integer",
            "minimum": 0,
            "maximum": most,
            "description": what,
        }),
    }
}

fn text(pattern: &str, what: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": what })
}

/// A list, or the one entry that stands for a list of one.
fn one_or_more(item: Value, what: &str) -> Value {
    json!({
        "description": what,
        "anyOf": [{ "type": "array", "minItems": 1, "items": item }, item],
    })
}

fn package(pattern: &str) -> Value {
    let name = text(pattern, "The package.");
    let version = text(
        CONSTRAINTS,
        "`any` (what is there, else the candidate), `auto` (the candidate), or constraints such as `>=2.36,<3`.",
    );
    json!({
        "anyOf": [
            name,
            {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": { "name": name, "version": version },
            },
        ],
    })
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "description": "What the recipe is.",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": text(RECIPE, "Its name, equal to the file's stem."),
            "description": text(LINE, "One line for people."),
            "homepage": text(URL, "Where the software is at home."),
            "depends_on": one_or_more(
                json!({ "type": "string", "pattern": RECIPE }),
                "Other recipes, run before this one on the same machine.",
            ),
        },
    })
}

fn requires() -> Value {
    let when = json!({ "$ref": "#/definitions/when" });
    let plain = |key: &str, pattern: &str, what: &str| {
        json!({
            "type": "object",
            "required": [key],
            "additionalProperties": false,
            "properties": { key: text(pattern, what), "when": when },
        })
    };
    let mut command = Map::new();
    for (_, Key(name, holds, what)) in COMMAND_KEYS {
        command.insert((*name).to_owned(), held(*holds, what));
    }
    command.insert("when".to_owned(), when.clone());
    let any_package = format!("{APT}|{RPM}|{PACMAN}|{APK}");
    json!({
        "oneOf": [
            {
                "type": "object",
                "required": ["command"],
                "additionalProperties": false,
                "properties": command,
                "dependencies": { "min_version": ["version_flag", "version_regex"] },
            },
            {
                "type": "object",
                "required": ["package"],
                "additionalProperties": false,
                "properties": {
                    "package": text(&any_package, "An installed package."),
                    "min_version": text(
                        PACKAGE_VERSION,
                        "The oldest version that will do, by the distribution's own rules.",
                    ),
                    "when": when,
                },
            },
            plain("library", LIBRARY, "A library by its soname, such as `libssl.so.3`."),
            plain("file", PLACE, "A file by its absolute path."),
            plain("user", USER, "A user."),
        ],
    })
}

fn check() -> Value {
    let contains = |what: &str| one_or_more(json!({ "type": "string", "minLength": 1 }), what);
    json!({
        "type": "object",
        "required": ["name", "argv"],
        "additionalProperties": false,
        "properties": {
            "name": text(LINE, "What is checked, in one line."),
            "argv": {
                "type": "array",
                "minItems": 1,
                "items": [{ "type": "string", "pattern": PROGRAM }],
                "additionalItems": { "type": "string" },
                "description": "A command and its words; no shell reads them.",
            },
            "timeout": text(DURATION, "How long it may take, such as `10s`; at most `1h`."),
            "when": { "$ref": "#/definitions/when" },
            "expect": {
                "type": "object",
                "description": "What must come of it.",
                "additionalProperties": false,
                "properties": {
                    "exit_code": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 255,
                        "description": "0 without it.",
                    },
                    "stdout_contains": contains("Texts that standard output must hold."),
                    "stderr_contains": contains("Texts that standard error must hold."),
                },
            },
        },
    })
}

fn when() -> Value {
    let words = |words: Vec<&str>, what: &str| one_or_more(json!({ "enum": words }), what);
    let texts = |pattern: &str, what: &str| {
        one_or_more(json!({ "type": "string", "pattern": pattern }), what)
    };
    let all = |os: &Os| {
        Arch::ALL
            .iter()
            .map(move |arch| format!("{os}/{arch}"))
            .collect()
    };
    let platforms: Vec<String> = Os::ALL.iter().flat_map::<Vec<String>, _>(all).collect();
    json!({
        "type": "object",
        "description": "Where it applies: all keys must hold, of each any entry.",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": {
            "os": words(Os::ALL.iter().map(|os| os.as_str()).collect(), "The operating system."),
            "arch": words(
                Arch::ALL.iter().map(|arch| arch.as_str()).collect(),
                "The architecture, as container images spell it.",
            ),
            "platform": words(
                platforms.iter().map(String::as_str).collect(),
                "Both in one; never beside `os` or `arch`.",
            ),
            "distro": texts(
                DISTRO,
                "The distribution, with a constraint on its version or without: `ubuntu>=22.04`.",
            ),
            "distro_like": texts(DISTRO_ID, "The distribution or one it derives from."),
            "linux_family": words(
                Family::ALL.iter().map(|family| family.as_str()).collect(),
                "Distributions that share a package manager.",
            ),
            "libc": words(Libc::ALL.iter().map(|libc| libc.as_str()).collect(), "The C library."),
            "role": texts(ROLE, "A role of the machine."),
        },
        "not": {
            "required": ["platform"],
            "anyOf": [{ "required": ["os"] }, { "required": ["arch"] }],
        },
    })
}
