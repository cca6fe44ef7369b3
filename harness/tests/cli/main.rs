//! The `assay` command as people and programs meet it: whole outputs, in a world of their own
//! ([`env`]), without an engine. One module per group of verbs.

mod check;
mod consent;
mod consent_run;
mod env;
mod fetching;
mod help;
mod hostile;
mod migrate;
mod new;
mod pin;
mod plan;
mod project;
mod report;
mod schema;
mod script;
mod snapshot;
mod store;
mod streams;
mod targets;
mod world;
