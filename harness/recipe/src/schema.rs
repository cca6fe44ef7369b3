//! The JSON Schema of a recipe, with which an editor's TOML plugin completes and checks.
//!
//! It is written in draft-07, with `enum` for `const` and `definitions`: Taplo (Even Better TOML) and
//! Tombi read that, while the newer drafts are not read by all. A step is checked by `if` and `then`,
//! which say exactly what is wrong with it; Taplo completes through `anyOf` and not through `if`, so
//! every action stands there as well, with words only and refusing nothing.
//!
//! A schema says less than [`crate::parse`] checks – no file names, versions that contradict each
//! other, or repetitions – and it refuses nothing that is a recipe. The tests hold both, for every
//! action and every key: `vocabulary` and the converters cannot differ.

mod project;
mod vocabulary;

use serde_json::{Map, Value, json};

use crate::foreign;
use crate::when::{Arch, Family, Libc, Os};
pub use project::project_schema;
use vocabulary::{
    ACTIONS, APK, APT, Action, BREW, COMMAND_KEYS, CONSTRAINTS, DISTRO, DISTRO_ID, DURATION, Holds,
    Key, LIBRARY, LINE, PACKAGE_VERSION, PACMAN, PLACE, PROGRAM, Presence, RECIPE, ROLE, RPM,
    STEP_ID, TEXT, URL, USER,
};

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
            "verify": verify(),
            "version": { "description": "Read by other tools; nothing here follows from it." },
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
        if *presence == Presence::Required {
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
    let mut properties = Map::new();
    // Keys of other tools stand where they stand; an editor offers the others first.
    for key in foreign::METADATA {
        let what = "Read by other tools; nothing here follows from it.";
        properties.insert((*key).to_owned(), json!({ "description": what }));
    }
    let own = [
        ("name", text(RECIPE, "Its name, equal to the file's stem.")),
        ("description", text(LINE, "One line for people.")),
        ("homepage", text(URL, "Where the software is at home.")),
        (
            "depends_on",
            one_or_more(
                json!({ "type": "string", "pattern": RECIPE }),
                "Other recipes, run before this one on the same machine.",
            ),
        ),
    ];
    properties.extend(own.map(|(key, value)| (key.to_owned(), value)));
    json!({
        "type": "object",
        "description": "What the recipe is.",
        "required": ["name"],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn verify() -> Value {
    let mut properties = Map::new();
    for key in foreign::FOREIGN_VERIFY {
        let what = "Read by other tools; nothing here follows from it.";
        properties.insert((*key).to_owned(), json!({ "description": what }));
    }
    let own = [
        (
            "command",
            text(
                TEXT,
                "A command and its words, without anything only a shell could do.",
            ),
        ),
        (
            "pattern",
            text(
                TEXT,
                "What it must print; `{version}` stands for any version.",
            ),
        ),
        (
            "mode",
            json!({ "enum": ["version", "output", "functional"] }),
        ),
        ("reason", text(LINE, "Why it is verified like this.")),
    ];
    properties.extend(own.map(|(key, value)| (key.to_owned(), value)));
    json!({
        "type": "object",
        "description": "One command that must succeed at the end.",
        "required": ["command"],
        "additionalProperties": false,
        "properties": properties,
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
    let any_package = format!("{APT}|{RPM}|{PACMAN}|{APK}|{BREW}");
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
