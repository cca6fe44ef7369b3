//! The command line of `assay pin`. Texts here are what `--help` teaches.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Recipes;

/// Shown below the help of `assay pin verify`.
const PIN_VERIFY_EXAMPLES: &str = "\
Examples:
  assay pin verify                 all recipes of the project
  assay pin verify docker          one of them
  assay pin verify --format json   for a job that runs every night

Every URL is fetched once, whatever the store has. What changed, or is a key
that must not be used any more, is exit 4; what only did not come is exit 8.
Nothing is written.";

/// Arguments of `pin`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PinArgs {
    /// What to do, if not to show or to write.
    #[command(subcommand)]
    pub(crate) verb: Option<PinVerb>,
    /// URLs to show; with --write the steps to pin, all without any
    #[arg(value_name = "URL|STEP")]
    pub(crate) words: Vec<String>,
    /// Fetch what this recipe names and write its hashes and fingerprints into it
    #[arg(long, value_name = "RECIPE")]
    pub(crate) write: Option<PathBuf>,
    /// With --write: also take what differs from a hash or fingerprint that is there
    #[arg(long, requires = "write")]
    pub(crate) accept_changed: bool,
    /// With --write: only show the patch
    #[arg(long, requires = "write")]
    pub(crate) dry_run: bool,
}

/// What else to do with pins.
#[derive(Debug, Subcommand)]
pub(crate) enum PinVerb {
    /// Show what files are, as for URLs
    Show {
        /// The files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Fetch everything that recipes name anew, and say what differs
    #[command(after_help = PIN_VERIFY_EXAMPLES)]
    Verify(Recipes),
}
