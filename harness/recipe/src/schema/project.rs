//! The schema of `assay.toml`, as the one of recipes is written: it says less than
//! [`crate::parse_project`] checks, and refuses nothing that is a project's file.

use assay_wire::consent::GroupTier;
use assay_wire::privileged::KindName;
use serde_json::{Map, Value, json};

use super::vocabulary::{DURATION, FINGERPRINT, SERVICE, USER};
use super::{one_or_more, text};
use crate::code::Code;
use crate::diagnostic::Severity;
use crate::project::Level;

const FOLDER_URL: &str =
    "^https://[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?/([A-Za-z0-9._~!&'()*+,;=:@/%-]*/)?$";
const NETWORK: &str = "^([0-9A-Fa-f:.]+(/(0|[1-9][0-9]{0,2}))?|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$";
const PACKAGE: &str = "^[A-Za-z0-9@/._+-]+$";
const PROJECT_PATH: &str = "^[A-Za-z0-9._][A-Za-z0-9._/-]*$";
const TARGET: &str = "^[a-z0-9][a-z0-9._-]*$";

/// The schema of `assay.toml`.
#[must_use]
pub fn project_schema() -> Value {
    let words: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).collect();
    let level = json!({ "enum": words });
    let kinds: Vec<&str> = KindName::ALL.iter().map(|kind| kind.as_str()).collect();
    let tiers: Vec<&str> = GroupTier::ALL.iter().map(|tier| tier.as_str()).collect();
    let known: Map<String, Value> = Code::ALL
        .iter()
        .filter(|code| code.severity() != Severity::Error)
        .map(|code| (code.as_str().to_owned(), level.clone()))
        .collect();
    let texts = |pattern: &str, what: &str| {
        one_or_more(json!({ "type": "string", "pattern": pattern }), what)
    };
    let table = |properties: Value, what: &str| {
        json!({
            "type": "object",
            "description": what,
            "additionalProperties": false,
            "properties": properties,
        })
    };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "project",
        "description": "The settings of a project of assay; everything is optional.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "targets": texts(TARGET, "The project's targets; every target with a definition without it."),
            "paths": table(json!({
                "recipes": text(PROJECT_PATH, "The folder of recipes: `recipes` without it."),
                "snapshots": text(PROJECT_PATH, "The folder of snapshots: `snapshots` without it."),
                "base_images": text(
                    PROJECT_PATH,
                    "The folder of definitions of targets: `base-images` without it.",
                ),
            }), "Where the project keeps what, below its root."),
            // What is found with more than one file in view has levels as well: its names are not
            // known here.
            "lints": json!({
                "type": "object",
                "description": "Levels of warnings and hints.",
                "properties": known,
                "additionalProperties": level,
            }),
            "network": table(json!({
                "timeout": text(DURATION, "How long a server may stay silent, such as `30s`."),
                "allow": texts(
                    NETWORK,
                    "What may be reached although its address is not public: a range such as \
                     `10.0.0.0/8`, an address, or a host. A host that is named never is at a loopback \
                     or link-local address: these are named themselves.",
                ),
                "mirrors": {
                    "type": "object",
                    "description": "Where else content may be had: the prefix of a URL and its mirrors, \
                                    which are tried in order where the original does not give it. The \
                                    hash decides, wherever it came from.",
                    "propertyNames": { "pattern": FOLDER_URL },
                    "additionalProperties": texts(FOLDER_URL, "Mirrors of this folder."),
                },
            }), "What may be fetched, and from where."),
            "policy": table(json!({
                "repositories": {
                    "type": "array",
                    "description": "Repositories that every recipe may add.",
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["url", "fingerprints"],
                        "properties": {
                            "url": text(FOLDER_URL, "What lies at or below this folder."),
                            "fingerprints": texts(FINGERPRINT, "The keys they may be signed by."),
                            "machine_wide": {
                                "type": "boolean",
                                "description": "True if the keys may be trusted for any repository of \
                                                the machine, as rpm's are.",
                            },
                        },
                    },
                },
                "groups": texts(USER, "Groups that every recipe may make and join."),
                "services": texts(SERVICE, "Services that every recipe may enable and start."),
                "authorities": texts(PACKAGE, "Packages whose certificate authorities every recipe may bring, \
                                                where a key of the image vouches for the package."),
                "forbidden_kinds": one_or_more(
                    json!({ "enum": kinds }),
                    "Kinds of privileged operations that nobody may grant.",
                ),
                "group_tiers": {
                    "type": "object",
                    "description": "What joining a group means, where it is not what the built-in table says.",
                    "propertyNames": { "pattern": USER },
                    "additionalProperties": { "enum": tiers },
                },
            }), "What recipes may do without an entry in `consents.toml`, and what none may."),
        },
    })
}
