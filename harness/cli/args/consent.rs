//! The command line of `assay consent`. Texts here are what `--help` teaches.

use clap::{Args, Subcommand};

use super::{Recipes, Selection};

/// Shown below the help of `assay consent`.
pub(super) const EXAMPLES: &str = "\
Examples:
  assay consent list docker        what its plans do as root, and what allows it
  assay consent check              is everything granted? (exit 6 if not)
  assay consent grant docker --note 'its users need the engine'
                                   show what is missing, ask, and write it
  assay consent diff main          what changed since a branch: added, removed,
                                   changed operations, and nothing else
  assay consent grant --from latest --note '…'
                                   the same for what the newest run showed

Plans show what recipes declare. What comes with packages only a run shows:
`--from RUN` (an id, the path of a journal, or `latest`) lists, checks and
grants both.

The ledger is `consents.toml` at the project's root: commit and review it. What
every recipe may do, and what none may, stands in `[policy]` of `assay.toml`.";

/// Shown below the help of `assay consent list`.
const LIST_EXAMPLES: &str = "\
Examples:
  assay consent list                    all recipes of the project
  assay consent list docker -v          with commands, digests, and what is ordinary
  assay consent list drafts/x.toml      a file; no project is needed
  assay consent list --at v1.2 docker   as of a revision of git
  assay consent list --from latest      what the newest run showed";

/// Shown below the help of `assay consent grant`.
const GRANT_EXAMPLES: &str = "\
Examples:
  assay consent grant docker --note 'its users need the engine'
  assay consent grant docker --kind group.member --on 'debian-*' --note '…'
  assay consent grant docker --yes --digest sha256:… --note '…'
  assay consent grant --from latest --note 'what its packages bring'
  assay consent grant --from latest --note-for 'containerd*' 'runs containers' \\
    --note-for docker-ce 'starts at boot' --note 'what its packages bring'

It shows what it is about to grant and asks. Without a terminal it refuses,
unless `--yes` and the digests name what is granted; `consent check --from RUN`
prints them. What the policy forbids cannot be granted, and neither can what no
step declares and no package brings. What is granted anew replaces what has
expired or changed. One entry holds all targets on which a package brings the
same.";

/// Shown below the help of `assay consent revoke`.
const REVOKE_EXAMPLES: &str = "\
Examples:
  assay consent revoke docker                    all its entries
  assay consent revoke docker --on 'debian-*'    on these targets alone
  assay consent revoke docker --digest sha256:…  one decision
  assay consent revoke --stale                   what nothing uses any more
  assay consent revoke --stale --from latest     what its cells did not use: of
                                                 what packages bring, too";

/// Shown below the help of `assay consent check`.
const CHECK_EXAMPLES: &str = "\
Examples:
  assay consent check             what is missing, and what to run (exit 6)
  assay consent check docker      of one recipe
  assay consent check --strict    for CI: entries that nothing uses fail, too
  assay consent check --from latest
                                  what the newest run showed, by the ledger of
                                  now: with what came with packages, and what
                                  nobody declared (exit 7)";

/// Shown below the help of `assay consent diff`.
const DIFF_EXAMPLES: &str = "\
Examples:
  assay consent diff main             from a branch to the files as they are
  assay consent diff v1.0 v1.1        between two revisions of git
  assay consent diff RUN latest       between two runs, with what came with
                                      packages; a run is its id or the path of
                                      its journal
  assay consent diff main --format json";

/// What to do with consents.
#[derive(Debug, Subcommand)]
pub(crate) enum ConsentVerb {
    /// List what recipes do as root, how grave it is, and what allows it
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Grant what is missing: shown first, then asked for, then written
    #[command(after_help = GRANT_EXAMPLES)]
    Grant(GrantArgs),
    /// Take entries out of the ledger
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
    /// Fail if anything above ordinary is not granted
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckConsentsArgs),
    /// Show what changed between two revisions of git, or between two runs
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
}

/// Arguments of `consent list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Which recipes on which targets.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The project as of this revision of git, instead of its files
    #[arg(long, value_name = "REVISION", conflicts_with = "from")]
    pub(crate) at: Option<String>,
    /// What this run showed, instead of what plans declare
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<String>,
}

/// Arguments of `consent grant`.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Names of recipes of the project
    #[arg(value_name = "RECIPE", required_unless_present = "from")]
    pub(crate) recipes: Vec<std::path::PathBuf>,
    /// Targets, such as `ubuntu-24.04,debian-*`; the project's targets, or the run's, without it
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',')]
    pub(crate) on: Vec<String>,
    /// What this run showed, with what came with packages: an id, a journal, or `latest`
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<String>,
    /// Only operations of this kind, such as `group.member`
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only the operation with this digest; may be given several times
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Vec<String>,
    /// Only what has this subject, such as the name of a package; `*` stands for any text
    #[arg(long, value_name = "PATTERN")]
    pub(crate) subject: Vec<String>,
    /// Why it is right, for those who review it
    #[arg(long, value_name = "TEXT", required_unless_present = "note_for")]
    pub(crate) note: Option<String>,
    /// Why what has this subject is right, instead of `--note`; the first that fits counts
    #[arg(long, num_args = 2, value_names = ["PATTERN", "TEXT"])]
    pub(crate) note_for: Vec<String>,
    /// Who decides; the address that git knows without it
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    /// The last day on which it counts, such as `2027-11-20`
    #[arg(long, value_name = "DAY")]
    pub(crate) expires: Option<String>,
    /// Do not ask: grant what the digests name
    #[arg(long, requires = "digest")]
    pub(crate) yes: bool,
}

/// Arguments of `consent revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Recipes as the ledger names them
    #[arg(value_name = "RECIPE", required_unless_present = "stale")]
    pub(crate) recipes: Vec<String>,
    /// Only on these targets, such as `debian-*`
    #[arg(
        long,
        value_name = "TARGET,…",
        value_delimiter = ',',
        conflicts_with = "stale"
    )]
    pub(crate) on: Vec<String>,
    /// Only the entry with this digest; may be given several times
    #[arg(long, value_name = "DIGEST", conflicts_with = "stale")]
    pub(crate) digest: Vec<String>,
    /// Everything that no recipe of the project uses any more
    #[arg(long, conflicts_with = "recipes")]
    pub(crate) stale: bool,
    /// With --stale: what the cells of this run did not use
    #[arg(long, value_name = "RUN", requires = "stale")]
    pub(crate) from: Option<String>,
}

/// Arguments of `consent check`.
#[derive(Debug, Args)]
pub(crate) struct CheckConsentsArgs {
    /// Which recipes on which targets.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// What this run showed, with what came with packages: an id, a journal, or `latest`
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<String>,
    /// Fail on entries that nothing uses, too
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Arguments of `consent diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The revision, or the run, to compare with
    #[arg(value_name = "BASE")]
    pub(crate) base: String,
    /// The one that is compared; without it the files as they are, or the newest run
    #[arg(value_name = "HEAD")]
    pub(crate) head: Option<String>,
}

impl GrantArgs {
    /// Which recipes on which targets.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            recipes: Recipes {
                recipes: self.recipes.clone(),
            },
            on: self.on.clone(),
        }
    }
}
