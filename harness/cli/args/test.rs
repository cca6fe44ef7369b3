//! The command line of `assay test`. Texts here are what `--help` teaches.

use assay_wire::lock::Network;
use clap::{Args, ValueEnum};

use super::{Selection, Sets};

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Which recipes on which targets.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Which sets of them.
    #[command(flatten)]
    pub(crate) sets: Sets,
    /// How many sandboxes at once; as many as there are cores without it
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// How long one cell may take, such as `90s` or `20m`
    #[arg(long, value_name = "TIME", default_value = "60m", value_parser = crate::time::parse_duration)]
    pub(crate) timeout: std::time::Duration,
    /// Stop the sandboxes of failed cells instead of removing them, for `assay shell`; they go
    /// after a day, or with `assay doctor --sweep`
    #[arg(long)]
    pub(crate) keep_failed: bool,
    /// List the cells that would run, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Where what the sandboxes ask for comes from
    #[arg(long, value_enum, value_name = "WHICH", default_value = "live")]
    pub(crate) network: NetworkWord,
    /// Do not count cells whose needs (`expected.toml`) are not met
    #[arg(long)]
    pub(crate) allow_unmet_needs: bool,
    /// Run without a trace of who did what where the engine refuses what tracing takes; otherwise
    /// such a cell fails
    #[arg(long)]
    pub(crate) allow_degraded: bool,
}

/// Where what sandboxes ask for comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkWord {
    /// The world, each time
    Live,
    /// The world, once a URL; kept, and written into `assay.lock`
    Record,
    /// `assay.lock` and the content store alone
    Replay,
    /// Nowhere
    None,
}

impl From<NetworkWord> for Network {
    fn from(word: NetworkWord) -> Self {
        match word {
            NetworkWord::Live => Self::Live,
            NetworkWord::Record => Self::Record,
            NetworkWord::Replay => Self::Replay,
            NetworkWord::None => Self::None,
        }
    }
}
