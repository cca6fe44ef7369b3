//! The command line of `assay store`. Texts here are what `--help` teaches.

use clap::Subcommand;

/// Shown below the help of `assay store`.
pub(super) const EXAMPLES: &str = "\
Examples:
  assay store list               what was fetched, and when it was last used
  assay store verify             is it still what its hash says?
  assay store prune --dry-run    what nobody has used for 30 days, and how much

The store keeps declared content by its sha256, in `content` of the cache folder
($XDG_CACHE_HOME/assay, else ~/.cache/assay). All projects of a user share it, and any number of
processes use it at once.";

/// Shown below the help of `assay store verify`.
const VERIFY_EXAMPLES: &str = "\
Examples:
  assay store verify                   every byte of every blob
  assay store verify --format json     with what was found

Each use of content verifies it, too: this finds damage before it costs a download. A blob that is
`damaged` is set aside as `.corrupt` and fetched again when it is next needed (exit 4); `unknown` is
what cannot be read, or was not written by assay (exit 8).";

/// Shown below the help of `assay store prune`.
const PRUNE_EXAMPLES: &str = "\
Examples:
  assay store prune --dry-run           what would go, and how much it holds
  assay store prune                     what was not used for 30 days
  assay store prune --older-than 12h    for less

What stays: content that was read or written within that time, by any project, and all that the
recipes of this project and its `assay.lock` name, however old. What goes: other content, damaged
blobs, evidence of mismatches, and what killed processes left half-written. What goes is fetched
again when it is needed. A run that is going on loses nothing it has in use.";

/// What to do with the content store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// List what lies in the store, and when it was last used
    List,
    /// Say whether all content is what its hash says, to the last byte
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify,
    /// Remove the content that nobody needs any more
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune {
        /// Keep what was used within this time, such as `12h` or `30d`
        #[arg(long, value_name = "TIME", default_value = "30d", value_parser = crate::time::parse_age)]
        older_than: std::time::Duration,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}
