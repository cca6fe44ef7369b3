//! `assay schema`: the JSON Schema of every document the command prints, and of recipes.
//!
//! The schemas of documents are derived from the very types that are printed. A new document joins
//! in [`SCHEMAS`]; the tests hold every document they read against its schema.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::error::CliError;
use crate::terminal::{Terminal, plain};
use crate::{
    check, consent, doctor, explain, images, migrate, new, pin, plan, snapshot, store, test,
};

/// A schema that can be asked for.
struct Known {
    /// What the document's own `schema` says.
    name: &'static str,
    /// What prints it, in words.
    what: &'static str,
    make: fn(SchemaGenerator) -> Schema,
}

/// Every schema of a document, by name.
const SCHEMAS: &[Known] = &[
    Known {
        name: "assay-cells",
        what: "`assay test --list`",
        make: SchemaGenerator::into_root_schema_for::<test::CellList>,
    },
    Known {
        name: "assay-check",
        what: "`assay check`",
        make: |generator| generator.into_root_schema_for::<check::Document<'_>>(),
    },
    Known {
        name: "assay-consent-check",
        what: "`assay consent check`",
        make: |generator| generator.into_root_schema_for::<consent::CheckDocument<'_>>(),
    },
    Known {
        name: "assay-consent-diff",
        what: "`assay consent diff`",
        make: |generator| generator.into_root_schema_for::<consent::DiffDocument<'_>>(),
    },
    Known {
        name: "assay-consent-granted",
        what: "`assay consent grant`",
        make: |generator| generator.into_root_schema_for::<consent::GrantDocument<'_>>(),
    },
    Known {
        name: "assay-consent-revoked",
        what: "`assay consent revoke`",
        make: SchemaGenerator::into_root_schema_for::<consent::RevokeDocument>,
    },
    Known {
        name: "assay-consents",
        what: "`assay consent list`",
        make: |generator| generator.into_root_schema_for::<consent::Document<'_>>(),
    },
    Known {
        name: "assay-doctor",
        what: "`assay doctor`",
        make: SchemaGenerator::into_root_schema_for::<doctor::Document>,
    },
    Known {
        name: "assay-explain",
        what: "`assay explain`",
        make: SchemaGenerator::into_root_schema_for::<explain::Document>,
    },
    Known {
        name: "assay-images",
        what: "`assay images list`, `build` and `pull`",
        make: SchemaGenerator::into_root_schema_for::<images::Document>,
    },
    Known {
        name: "assay-migration",
        what: "`assay migrate`",
        make: SchemaGenerator::into_root_schema_for::<migrate::Document>,
    },
    Known {
        name: "assay-new",
        what: "`assay new`",
        make: SchemaGenerator::into_root_schema_for::<new::Document>,
    },
    Known {
        name: "assay-pin",
        what: "`assay pin URL` and `assay pin show`",
        make: SchemaGenerator::into_root_schema_for::<pin::Document>,
    },
    Known {
        name: "assay-pin-verified",
        what: "`assay pin verify`",
        make: SchemaGenerator::into_root_schema_for::<pin::verify::Document>,
    },
    Known {
        name: "assay-pin-written",
        what: "`assay pin --write`",
        make: SchemaGenerator::into_root_schema_for::<pin::write::Document>,
    },
    Known {
        name: "assay-plan",
        what: "`assay plan`",
        make: |generator| generator.into_root_schema_for::<plan::Document<'_>>(),
    },
    Known {
        name: "assay-pruned",
        what: "`assay images prune`",
        make: SchemaGenerator::into_root_schema_for::<images::prune::Document>,
    },
    Known {
        name: "assay-record",
        what: "`assay test` and `assay report`",
        make: assay_report::json_schema,
    },
    Known {
        name: "assay-schemas",
        what: "`assay schema`",
        make: SchemaGenerator::into_root_schema_for::<Document>,
    },
    Known {
        name: "assay-side-by-side",
        what: "`assay plan --side-by-side`",
        make: SchemaGenerator::into_root_schema_for::<plan::BesideDocument>,
    },
    Known {
        name: "assay-snapshots",
        what: "`assay snapshot`",
        make: SchemaGenerator::into_root_schema_for::<snapshot::Document>,
    },
    Known {
        name: "assay-store",
        what: "`assay store list`",
        make: SchemaGenerator::into_root_schema_for::<store::Document>,
    },
    Known {
        name: "assay-store-pruned",
        what: "`assay store prune`",
        make: SchemaGenerator::into_root_schema_for::<store::PrunedDocument>,
    },
    Known {
        name: "assay-store-verified",
        what: "`assay store verify`",
        make: SchemaGenerator::into_root_schema_for::<store::VerifiedDocument>,
    },
    Known {
        name: "assay-verified",
        what: "`assay images verify`",
        make: SchemaGenerator::into_root_schema_for::<images::verify::Document>,
    },
];

/// A schema of what is read, not written.
struct Read {
    word: &'static str,
    what: &'static str,
    make: fn() -> serde_json::Value,
}

/// Every schema of what is read.
const READ: [Read; 2] = [
    Read {
        word: "recipe",
        what: "recipes, for an editor",
        make: assay_recipe::schema::json_schema,
    },
    Read {
        word: "project",
        what: "`assay.toml`, for an editor",
        make: assay_recipe::schema::project_schema,
    },
];

/// The schemas there are.
#[derive(Serialize, JsonSchema)]
struct Document {
    schema: &'static str,
    version: u32,
    schemas: Vec<Row>,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    name: &'static str,
    what: &'static str,
}

/// Prints one schema, or lists all.
pub(crate) fn run(terminal: &Terminal, name: Option<&str>) -> Result<(), CliError> {
    let Some(name) = name else {
        return list(terminal);
    };
    if let Some(read) = READ.iter().find(|read| read.word == name) {
        return terminal.json(&(read.make)());
    }
    let known = SCHEMAS.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| {
        CliError::usage(format!("there is no schema `{}`", plain(name)))
            .hint("`assay schema` lists all")
    })?;
    terminal.json(&of_document(known))
}

fn list(terminal: &Terminal) -> Result<(), CliError> {
    let read = READ.iter().map(|read| Row {
        name: read.word,
        what: read.what,
    });
    let documents = SCHEMAS.iter().map(|known| Row {
        name: known.name,
        what: known.what,
    });
    let rows: Vec<Row> = documents.chain(read).collect();
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-schemas",
            version: 1,
            schemas: rows,
        });
    }
    terminal.result(|out| {
        rows.iter()
            .try_for_each(|row| writeln!(out, "{:<22} {}", row.name, row.what))
    })
}

/// The schema of what is written, with the name and version it must carry.
fn of_document(known: &Known) -> Schema {
    let generator = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = (known.make)(generator.into_generator());
    schema.insert("title".to_owned(), known.name.into());
    for (key, value) in [
        ("schema", serde_json::Value::from(known.name)),
        ("version", 1.into()),
    ] {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{key}")) {
            *property = serde_json::json!({ "const": value });
        }
    }
    schema
}
