//! The fuzz targets on stable Rust: every one over its seeds and over changes of them, the same at
//! each run. ci/proofs/fuzz does it with libFuzzer, which looks for what is new.

#[path = "../fuzz/src/lib.rs"]
pub mod assay_fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use assay_fuzz::{SEEDS, TARGETS, Target};

/// Time for the changes of one target's seeds; a machine that is slow tries fewer.
const TIME: Duration = Duration::from_secs(1);

/// Most changes tried of one target's seeds.
const MOST: usize = 1000;

/// Where the bytes are kept that a target failed on, a file each, for libFuzzer.
const FAILURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/fuzz-failures");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of `targets.txt`: a name, files and folders.
fn lines() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = SEEDS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, seeds) = line.split_once(' ').expect("a name and its seeds");
        (name, seeds.split(' ').collect())
    })
}

/// What seeds a target, in the order of paths.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let (_, named) = lines()
        .find(|(name, _)| *name == target)
        .unwrap_or_else(|| panic!("`{target}` has no line in targets.txt"));
    let mut paths = Vec::new();
    for path in named.into_iter().map(|path| root().join(path)) {
        match fs::read_dir(&path) {
            Ok(entries) => paths.extend(entries.map(|entry| entry.expect("an entry").path())),
            Err(_) => paths.push(path),
        }
    }
    paths.retain(|path| !path.is_dir());
    paths.sort();
    assert!(!paths.is_empty(), "`{target}` has no seed");
    let read = |path: &PathBuf| {
        fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

#[test]
fn every_target_has_its_door_and_its_seeds() {
    let named: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert!(named.is_sorted(), "in the order of their names: {named:?}");
    let listed: Vec<&str> = lines().map(|(name, _)| name).collect();
    assert_eq!(listed, named, "targets.txt lists what TARGETS has");
    let folder = root().join("harness/fuzz");
    let doors: BTreeSet<String> = fs::read_dir(folder.join("fuzz_targets"))
        .expect("fuzz_targets")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(doors, named.iter().map(ToString::to_string).collect());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
    for (name, _) in TARGETS {
        let binary = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&binary), "`{name}` has no [[bin]]");
        let door = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs")));
        assert!(
            door.expect("text").contains(&format!("::{name}(bytes)")),
            "{name}"
        );
        assert!(!seeds(name).is_empty());
    }
}

#[test]
fn every_target_keeps_its_promises() {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            if catch_unwind(|| replay(target)).is_err() {
                failed.lock().expect("no panic").push(target.0);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, NonZero::get);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{failed:?}: the bytes are in {FAILURES}");
}

/// Runs a target over its seeds and over changes of them.
fn replay((name, run): &Target) {
    let seeds = seeds(name);
    let mut kept = Kept(name, Vec::new());
    for seed in &seeds {
        kept.1.clone_from(seed);
        run(seed);
    }
    let started = Instant::now();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MOST {
        if started.elapsed() > TIME {
            break;
        }
        kept.1 = changed(&seeds, &mut dice);
        run(&kept.1);
    }
}

/// The bytes a target runs over, written down if it panics.
struct Kept(&'static str, Vec<u8>);

impl Drop for Kept {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = fs::create_dir_all(FAILURES);
            let _ = fs::write(Path::new(FAILURES).join(self.0), &self.1);
        }
    }
}

/// One seed with one to four changes: bytes cut out, doubled, overwritten, or taken from another.
fn changed(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\n\r\t\x1b\x7f\xff\"'\\{}[]=:,./-~^0123456789";
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let start = dice.below(bytes.len() + 1);
        let end = (start + 1 + dice.below(16)).min(bytes.len()).max(start);
        match dice.below(6) {
            0 => drop(bytes.drain(start..end)),
            1 => {
                let piece = bytes[start..end].to_vec();
                bytes.splice(start..start, piece);
            }
            2 => bytes.insert(start, TELLING[dice.below(TELLING.len())]),
            3 => bytes[start..end].fill(TELLING[dice.below(TELLING.len())]),
            4 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(64)).min(other.len());
                bytes.splice(start..end, other[from..to].iter().copied());
            }
            _ => {
                for byte in &mut bytes[start..end] {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}

/// Numbers that look random and are the same at each run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % end.max(1)
    }
}

#[test]
fn seeds_of_journals_are_facts_of_today() {
    for journal in seeds("journal") {
        let text = String::from_utf8(journal).expect("text");
        let folded = assay_observe::fold_journal(text.as_bytes());
        assert!(folded.is_ok(), "{:?}", folded.err());
    }
    for facts in seeds("facts") {
        for line in String::from_utf8(facts).expect("text").lines() {
            let fact = serde_json::from_str::<assay_wire::event::Body>(line).map(drop);
            let event = serde_json::from_str::<assay_wire::event::ExecutorEvent>(line).map(drop);
            assert!(fact.or(event).is_ok(), "{line}");
        }
    }
}
