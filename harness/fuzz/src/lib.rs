//! What every fuzz target does with its bytes: one function each, which panics if a promise of the
//! code is broken.
//!
//! libFuzzer calls them from `fuzz_targets`, the test `fuzz` of the root package from its seeds and
//! from changes of them. Each states what holds for all bytes, not only that nothing panics. None
//! opens a connection, and what is written is written to a temporary folder.
//!
//! A target is added in four places, and the test names the one that is missing: its function here,
//! its line in [`TARGETS`] and in `targets.txt`, its file in `fuzz_targets`, its `[[bin]]`.

pub mod archive;
pub mod journal;
pub mod machine;
pub mod network;
pub mod recipe;
pub mod session;
pub mod show;
pub mod version;
pub mod wire;

use std::borrow::Cow;

use assay_report::sanitise::{LOG_COMMAND, is_hidden};

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order of their names.
pub const TARGETS: &[Target] = &[
    ("addresses", network::addresses),
    ("answers", network::answers),
    ("consents", recipe::consents),
    ("expected", recipe::expected),
    ("extract", archive::extract),
    ("facts", journal::facts),
    ("frames", wire::frames),
    ("image_definition", machine::image_definition),
    ("journal", journal::journal),
    ("keys", network::keys),
    ("lock", recipe::lock),
    ("manifest_paths", wire::manifest_paths),
    ("messages", wire::messages),
    ("migrate", recipe::migrate),
    ("names", recipe::names),
    ("os_release", machine::os_release),
    ("patterns", recipe::patterns),
    ("project", recipe::project),
    ("proxy", network::proxy),
    ("ranges", version::ranges),
    ("recipe", recipe::recipe),
    ("repeated", recipe::repeated),
    ("rootfs", machine::rootfs),
    ("sanitise", show::sanitise),
    ("saved", machine::saved),
    ("session", session::session),
    ("snapshot", show::snapshot),
    ("urls", network::urls),
    ("versions", version::versions),
];

/// `targets.txt`: a target's name and the paths of its seeds, one target a line.
pub const SEEDS: &str = include_str!("../targets.txt");

/// Bytes as text; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A text cut at its first newlines into so many parts, the last of which holds the rest.
fn parts<const N: usize>(text: &str) -> [&str; N] {
    let mut cut = text.splitn(N, '\n');
    std::array::from_fn(|_| cut.next().unwrap_or_default())
}

/// Asserts that a text may be shown to a terminal: lines, and nothing that is obeyed or invisible.
fn assert_showable(text: &str) {
    let bad = text.chars().find(|c| *c != '\n' && is_hidden(*c));
    assert!(bad.is_none(), "{bad:?} in {text:?}");
}

/// Asserts that a text may be shown to a terminal, and anywhere in a line of the log of a job.
fn assert_loggable(text: &str) {
    assert_showable(text);
    assert!(!text.contains(LOG_COMMAND), "{text:?}");
}

/// A folder for what has to be a file, in memory where the machine has such a place.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("a folder in memory")
    } else {
        tempfile::tempdir().expect("a folder")
    }
}
