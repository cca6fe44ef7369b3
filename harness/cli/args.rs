//! The command line, as clap reads it. Texts here are what `--help` teaches.

mod consent;
mod pin;
mod store;
mod test;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::consent::{
    CheckConsentsArgs, ConsentVerb, DiffArgs, GrantArgs, ListArgs, RevokeArgs,
};
pub(crate) use self::pin::{PinArgs, PinVerb};
pub(crate) use self::store::StoreVerb;
pub(crate) use self::test::TestArgs;

/// Where to begin, exit codes and pointers, shown below the help of the whole command.
const AFTER: &str = "\
Begin with:
  assay check                      all faults of all recipes in `recipes/`
  assay plan jq --on debian-12     the exact commands
  assay test jq --on 'debian-*'    run them in sandboxes and judge
  assay VERB --help                more of each verb, with examples

Exit codes, the first that applies:
  130  interrupted
    2  wrong command line or project file
    3  a recipe is invalid or cannot be planned
    7  an undeclared privileged operation, or a gap in capture
    4  content is not what its hash, or the definition of an image, says
    6  consent missing or violated
    5  a snapshot is missing or different
    1  a recipe failed (requires, install, verify, idempotence)
    8  infrastructure or unmet needs: a cell did not run
    0  everything passed

`assay explain CODE` explains a diagnostic; `assay doctor` says what this
machine can run.";

/// Shown below the help of `assay check`.
const CHECK_EXAMPLES: &str = "\
Examples:
  assay check                  the project's recipes
  assay check drafts/jq.toml   one file; no project is needed
  assay check -q               only what must be mended
  assay check --strict         for CI: warnings are errors, hints are not";

/// Shown below the help of `assay plan`.
const PLAN_EXAMPLES: &str = "\
Examples:
  assay plan jq                          on every target of the project
  assay plan jq --on debian-12 -v        with what the harness adds beside it
  assay plan jq --on arch --explain      with what does not apply, and why
  assay plan jq docker --together        as one machine's plan
  assay plan jq --on /etc/os-release     for the machine that file describes
  assay plan jq --on 'debian-*,arm64'    on both Debians, for arm64
  assay plan jq --side-by-side           what differs between distributions
  assay plan --format markdown           for the description of a pull request
  assay plan jq --on arch --format shell   as a script, for reading

A word of --on is one of:
  debian-12, debian-12-arm64, 'debian-*'   an id or a pattern
  all                                      every target with a definition
  arm64                                    an architecture: what the other words
                                           name in it, or the project's targets;
                                           'debian-*,amd64,arm64' is four
  ./os-release                             a path: the machine it describes";

/// Shown below the help of `assay pin`.
const PIN_EXAMPLES: &str = "\
Examples:
  assay pin https://example.org/key.asc   sha256, size, type; keys in full
  assay pin show FILE                     the same of a file
  assay pin --write jq --dry-run          the patch with the missing hashes …
  assay pin --write jq                    … and write it; comments stay
  assay pin --write jq repo               only the step `repo`
  assay pin verify                        is everything still as it is pinned?

What differs from a hash that is there is told and never written, unless
--accept-changed says so: ask its owner first (exit 4).";

/// Shown below the help of `assay explain`.
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  assay explain                  all codes, with how much each matters
  assay explain unknown-action   one of them, with a wrong and a right text";

/// Shown below the help of `assay snapshot`.
const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  assay snapshot check                 all plans of the project
  assay plan jq --on arch              a plan as it is now …
  assay snapshot accept jq --on arch   … and take it
  assay snapshot review                one by one: accept, skip or quit
  assay snapshot prune                 remove what belongs to no plan";

/// Shown below the help of `assay report`.
const REPORT_EXAMPLES: &str = "\
Examples:
  assay report                     the newest run
  assay report -v                  every cell, with what each op changed
  assay report --format json       all that is known of it
  assay report --format junit      for what shows results of tests
  assay report --format github     in a GitHub job: annotations at recipes' lines
  assay report --format markdown   for its summary (>> \"$GITHUB_STEP_SUMMARY\")
  assay report --format sarif > run.sarif
                                   for code scanning: a result at the line of
                                   each step that is to blame, with its
                                   technique of ATT&CK
  assay report --format html > run.html
                                   one page with all there is to see: cells,
                                   ops, programs, files, packages, times;
                                   no network, prints well";

/// Shown below the help of `assay new`.
const NEW_EXAMPLES: &str = "\
Examples:
  assay new jq      recipes/jq.toml with its first snapshots; outside a project
                    ./jq.toml
  assay check jq    what is wrong with it …
  assay plan jq     … and what it means";

/// Shown below the help of `assay migrate`.
const MIGRATE_EXAMPLES: &str = "\
Examples:
  assay migrate old.toml           the patch, and what to know of it
  assay migrate old.toml --write   do it; comments and layout stay
Commands of package managers become typed actions, everything else a `manual`
step with its text. Nothing is run.";

/// Shown below the help of `assay images`.
const IMAGES_EXAMPLES: &str = "\
Examples:
  assay images build                 what is missing, from the first source that gives it
  assay images pull ubuntu-24.04     the distribution's own, by the digest of its definition
  assay images verify                every byte of what is there
  assay images prune --dry-run       what nothing needs any more, and how much it holds

Images are the engine's: all projects of a machine share them. What each target's image is made of
stands in its definition; `base-images/TARGET.toml` of a project replaces a built-in one.";

/// Shown below the help of `assay images pull`.
const PULL_EXAMPLES: &str = "\
Examples:
  assay images pull                 for every target whose definition names a registry's image
  assay images pull 'debian-*'      for those among these

An image is pulled by its digest alone, through the engine's own pull. It is then held against the
definition: the digest, the architecture, the distribution. One that is something else is refused
(exit 4) and does not stay; a registry that does not give it is exit 8. No credentials are sent: log
in and `docker pull` the same reference yourself, and it is used from then on.
A registry of your own is named by the definition: copy it into the project's `base-images/` and
write `reference = \"HOST:PORT/NAME:TAG@sha256:…\"`. Engines speak plain http to localhost alone.";

/// Shown below the help of `assay images verify`.
const VERIFY_EXAMPLES: &str = "\
Examples:
  assay images verify                   every image of a target with a definition
  assay images verify debian-12         those of one target
  assay images verify --remove          and remove what is not what it claims to be
  assay images verify --format json     with what differs

The engine is made to read every layer (some seconds an image), and id, configuration and layers
must prove each other; labels, digests, architecture and os-release must be what the definition
says. `differs` is exit 4, `unknown` (it could not be told) exit 8. Prepared images are a cache made
of these and are not looked at. An engine keeps a damaged layer as long as anything has it, so that
building again mends nothing: `--remove`, then `assay images build` or `pull`.";

/// Shown below the help of `assay images prune`.
const PRUNE_EXAMPLES: &str = "\
Examples:
  assay images prune --dry-run      what would go, and why
  assay images prune                of the targets with a definition here
  assay images prune old-target     of these alone, with a definition or without
  assay images prune --all          of all targets, those of other projects among them

What goes: images whose definition has changed or that a newer build replaced, variants and prepared
images made of them, images that another version of assay prepared, and pulled images that no
definition names any more. What a container uses, or somebody else has named or built upon, stays
and is told. An image without our labels, or that you pulled yourself, is never touched.";

/// Shown below the help of `assay completions`.
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  assay completions bash > ~/.local/share/bash-completion/completions/assay
  assay completions fish > ~/.config/fish/completions/assay.fish";

/// Shown below the help of `assay schema`.
const SCHEMA_EXAMPLES: &str = "\
Examples:
  assay schema                         all names
  assay schema assay-record            of what `assay test --format json` prints
  assay schema recipe > recipe.json    of recipes: an editor's TOML plugin
                                       completes and checks with it, where a
                                       recipe begins with
                                       `#:schema ./recipe.json`";

/// Shown below the help of `assay test`.
const TEST_EXAMPLES: &str = "\
Examples:
  assay test                              all recipes, wherever they can run
  assay test jq --on 'debian-*'           one recipe on some targets
  assay test jq --on arch --keep-failed   keep its sandbox if it fails …
  assay shell arch:jq                     … and look inside
  assay test --list                       what would run, and in which image
  assay test --format junit > junit.xml   a report in one of `assay report`'s formats

Targets that are only planned for (alpine, darwin, other architectures) run
nowhere: without --on they are left out, with it their cells are `not_run`,
which is exit 8.";

/// Shown below the help of `assay shell`.
const SHELL_EXAMPLES: &str = "\
Examples:
  assay shell debian-12         a fresh sandbox
  assay shell debian-12:jq      the one that `assay test jq --keep-failed` left";

/// The heading of what every verb takes.
const OUTPUT: &str = "Output";

/// Tests provisioning recipes in sandboxes and shows what root did.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    after_help = AFTER,
    max_term_width = 100,
    subcommand_help_heading = "Verbs",
    subcommand_value_name = "VERB"
)]
pub(crate) struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// `human`, or `json`: one document alone on stdout, all else on stderr; some verbs have more
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, hide_possible_values = true, help_heading = OUTPUT)]
    pub(crate) format: Format,
    /// `auto` (on a terminal, unless NO_COLOR is set), `always` or `never`
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto, hide_possible_values = true, help_heading = OUTPUT)]
    pub(crate) color: When,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) verbose: bool,
}

/// Output for people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text.
    Human,
    /// One JSON document on stdout.
    Json,
    /// JUnit XML.
    Junit,
    /// Workflow commands of GitHub.
    Github,
    /// Markdown of GitHub's flavour.
    Markdown,
    /// One page that needs no network.
    Html,
    /// A SARIF 2.1.0 log.
    Sarif,
    /// A POSIX shell script.
    Shell,
}

impl Format {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Github => "github",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Sarif => "sarif",
            Self::Shell => "shell",
        }
    }
}

/// What every verb can write.
const PLAIN: &[Format] = &[Format::Human, Format::Json];

/// What plans can be rendered as.
const PLANS: &[Format] = &[Format::Human, Format::Json, Format::Markdown, Format::Shell];

/// What a run can be rendered as.
const RUN: &[Format] = &[
    Format::Human,
    Format::Json,
    Format::Junit,
    Format::Github,
    Format::Markdown,
    Format::Html,
    Format::Sarif,
];

impl Verb {
    /// The formats this verb can write.
    pub(crate) fn formats(&self) -> &'static [Format] {
        match self {
            Self::Plan(arguments) if !arguments.side_by_side => PLANS,
            Self::Report { .. } => RUN,
            Self::Test(arguments) if !arguments.list => RUN,
            Self::Completions { .. }
            | Self::Snapshot(SnapshotVerb::Review(_) | SnapshotVerb::Prune(_)) => &[Format::Human],
            Self::New { .. }
            | Self::Check(_)
            | Self::Migrate { .. }
            | Self::Explain { .. }
            | Self::Pin(_)
            | Self::Plan(_)
            | Self::Snapshot(_)
            | Self::Consent(_)
            | Self::Test(_)
            | Self::Shell(_)
            | Self::Images(_)
            | Self::Store(_)
            | Self::Doctor { .. }
            | Self::Schema { .. } => PLAIN,
        }
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Begin a recipe: a commented skeleton with its first snapshots
    #[command(after_help = NEW_EXAMPLES)]
    New {
        /// Its name, such as `jq`
        name: String,
    },
    /// Parse and lint recipes: all diagnostics at once, with the line, a code and advice
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Write old install guides (`require_system`, `install_guide`) anew as typed actions
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate {
        /// The recipe's file
        file: PathBuf,
        /// Write the file instead of showing the patch
        #[arg(long)]
        write: bool,
    },
    /// Explain a diagnostic's code, or list all codes
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// The code, such as `unknown-action`
        code: Option<String>,
    },
    /// Show what a URL gives; write hashes into a recipe; compare what recipes name with what is there
    #[command(
        after_help = PIN_EXAMPLES,
        subcommand_help_heading = "Verbs",
        subcommand_value_name = "VERB"
    )]
    Pin(PinArgs),
    /// Show the exact commands a recipe means on each target
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Compare plans with the snapshots in `snapshots/`, or accept them
    #[command(
        subcommand,
        after_help = SNAPSHOT_EXAMPLES,
        subcommand_help_heading = "Verbs",
        subcommand_value_name = "VERB"
    )]
    Snapshot(SnapshotVerb),
    /// What recipes do as root, and what of it was granted
    #[command(
        subcommand,
        after_help = consent::EXAMPLES,
        subcommand_help_heading = "Verbs",
        subcommand_value_name = "VERB"
    )]
    Consent(ConsentVerb),
    /// Run recipes in sandboxes and judge them: plan, prepare, apply, verify, apply again
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Render a finished run again, from its journal alone
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        /// The run's id or journal; the newest run without it
        run: Option<String>,
    },
    /// Open a shell in the sandbox of a cell: same image, network and user
    #[command(after_help = SHELL_EXAMPLES)]
    Shell(ShellArgs),
    /// The images that sandboxes are made of
    #[command(
        subcommand,
        after_help = IMAGES_EXAMPLES,
        subcommand_help_heading = "Verbs",
        subcommand_value_name = "VERB"
    )]
    Images(ImagesVerb),
    /// The content that was fetched, by its hash
    #[command(
        subcommand,
        after_help = store::EXAMPLES,
        subcommand_help_heading = "Verbs",
        subcommand_value_name = "VERB"
    )]
    Store(StoreVerb),
    /// Say what this machine can run and name the command that mends what it cannot
    Doctor {
        /// Remove what earlier runs left behind, sandboxes kept by --keep-failed included
        #[arg(long)]
        sweep: bool,
    },
    /// Print the JSON Schema of a document, or list all names
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema {
        /// The name, such as `assay-record`
        name: Option<String>,
    },
    /// Print what a shell needs to complete the words of `assay`
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which recipes.
#[derive(Debug, Args)]
pub(crate) struct Recipes {
    /// Names, files or folders; the project's recipes without any
    #[arg(value_name = "RECIPE")]
    pub(crate) recipes: Vec<PathBuf>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Which recipes.
    #[command(flatten)]
    pub(crate) recipes: Recipes,
    /// Count warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Which recipes on which targets.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Which recipes.
    #[command(flatten)]
    pub(crate) recipes: Recipes,
    /// Targets, such as `ubuntu-24.04,debian-*` or `arm64`; the project's targets without it
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',')]
    pub(crate) on: Vec<String>,
}

/// Which sets of recipes.
#[derive(Debug, Args)]
pub(crate) struct Sets {
    /// Plan all recipes as one machine's, instead of each by itself
    #[arg(long)]
    pub(crate) together: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Which recipes on which targets.
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Which sets of them.
    #[command(flatten)]
    pub(crate) sets: Sets,
    /// Also show the steps that do not apply, and why
    #[arg(long)]
    pub(crate) explain: bool,
    /// Show all targets beside each other, with what differs between them, and why
    #[arg(long, conflicts_with = "explain")]
    pub(crate) side_by_side: bool,
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Show every snapshot that is missing or different, and ask what to do with it
    Review(Selection),
    /// Remove the snapshots that belong to no recipe or target any more
    Prune(Recipes),
    /// Fail if a snapshot is missing, different or orphaned
    Check(Selection),
    /// Write the snapshots as the plans are now, and remove orphaned ones
    Accept(Selection),
}

/// Arguments of `shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// A cell such as `debian-12:jq`: its kept sandbox if there is one, else a fresh one;
    /// or a target alone
    #[arg(value_name = "CELL")]
    pub(crate) cell: String,
    /// Be root instead of `dev`
    #[arg(long)]
    pub(crate) root: bool,
}

/// An image variant that is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VariantWord {
    /// With systemd and D-Bus.
    Systemd,
}

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImagesVerb {
    /// Build or import what is missing or stale
    Build {
        /// Targets, such as `debian-12`; all without any
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// Also make this variant of each: `systemd`, for recipes with services. Without it one is
        /// made when a test first needs it
        #[arg(long, value_enum, value_name = "VARIANT", hide_possible_values = true)]
        variant: Option<VariantWord>,
        /// Build again what is there already
        #[arg(long)]
        rebuild: bool,
    },
    /// List the images and where they came from
    List,
    /// Pull the images that definitions name by digest in a registry
    #[command(after_help = PULL_EXAMPLES)]
    Pull {
        /// Targets, such as `ubuntu-24.04`; all that have a registry's image without any
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Say whether the images are what they claim to be, to the last byte
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// Targets, such as `debian-12`; all with a definition without any
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// Remove what differs, and all that was made of it
        #[arg(long)]
        remove: bool,
    },
    /// Remove the images that nothing needs any more
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune {
        /// Targets, such as `debian-12`; all with a definition without any
        #[arg(value_name = "TARGET", conflicts_with = "all")]
        targets: Vec<String>,
        /// Also images of targets that have no definition here
        #[arg(long)]
        all: bool,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The longest lines of a command's help and of those of its verbs.
    fn too_wide(mut command: clap::Command, found: &mut Vec<String>) {
        let help = command.render_long_help().to_string();
        let wide = help.lines().filter(|line| line.chars().count() > 80);
        found.extend(wide.map(|line| format!("{}: {line}", command.get_name())));
        for verb in command.get_subcommands() {
            too_wide(verb.clone().term_width(80), found);
        }
    }

    #[test]
    fn every_help_fits_a_terminal_of_80_columns() {
        let mut found = Vec::new();
        too_wide(Cli::command().term_width(80), &mut found);
        assert_eq!(found, [] as [&str; 0]);
    }
}
