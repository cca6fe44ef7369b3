//! Listing, verifying and collecting: what stays, what goes, and what is nobody's.

use std::fs::File;

use proptest::prelude::*;

use super::super::{Maker, MismatchFacts};
use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    (folder, store)
}

fn age(path: &Path, days: u32) {
    let file = File::open(path).expect("there");
    file.set_modified(SystemTime::now() - days * DAY)
        .expect("dated");
}

/// Kinds and names, without the folder.
fn names(store: &Store, items: &[Item]) -> Vec<String> {
    let shown = |item: &Item| {
        let path = item.path.strip_prefix(&store.root).expect("of the store");
        let path = path.display().to_string();
        format!("{} {}", item.kind.word(), &path[..path.len().min(30)])
    };
    items.iter().map(shown).collect()
}

fn prune(store: &Store, roots: &BTreeSet<Digest>, dry_run: bool) -> Vec<Item> {
    let pruning = Pruning {
        roots,
        older_than: 30 * DAY,
        now: SystemTime::now(),
        dry_run,
    };
    let pruned = store.prune(&pruning).expect("collected");
    let kept = |one: &Pruned| one.kept.clone();
    assert_eq!(pruned.iter().filter_map(kept).count(), 0);
    pruned.into_iter().map(|one| one.item).collect()
}

/// A store with one of everything, all of it 40 days old but for one blob.
fn full(store: &Store) -> [Digest; 3] {
    let [root, young, old] =
        [&b"root"[..], b"young", b"old"].map(|bytes| store.put_bytes(bytes).expect("stored"));
    let damaged = store.put_bytes(b"damaged").expect("stored");
    fs::remove_file(&damaged.path).expect("removed");
    fs::write(&damaged.path, "other bytes").expect("written");
    assert_eq!(store.get(&damaged.digest).expect("readable"), None);
    let mut incoming = store.incoming().expect("begun");
    incoming.write(b"evidence").expect("written");
    let facts = MismatchFacts {
        origin: "https://example.org/key",
        expected: root.digest,
    };
    let evidence = incoming.keep_as_evidence(facts).expect("kept");
    let left = store.temporary().join("1-1");
    fs::write(&left, "half").expect("written");
    let strange = store.blobs().join("ab/notes.txt");
    fs::create_dir_all(strange.parent().expect("a folder")).expect("made");
    fs::write(&strange, "mine").expect("written");
    let maker = Maker("test-1");
    store
        .keep_derived(maker, &root.digest, b"made")
        .expect("kept");
    let made = store.derived_name(maker, &root.digest);
    let note = evidence.with_extension("json");
    let aside = damaged.path.with_extension("corrupt");
    for path in [
        &root.path, &old.path, &evidence, &note, &left, &strange, &aside, &made,
    ] {
        age(path, 40);
    }
    [root.digest, young.digest, old.digest]
}

#[test]
fn everything_is_listed_and_only_what_is_old_and_nobodys_goes() {
    let (_keep, store) = store();
    let [root, young, old] = full(&store);
    let listed = store.list().expect("listed");
    let kinds: Vec<&str> = listed.iter().map(|item| item.kind.word()).collect();
    assert_eq!(
        kinds,
        [
            "blob",
            "blob",
            "blob",
            "corrupt",
            "evidence",
            "derived",
            "temporary",
            "foreign"
        ]
    );
    let evidence = listed
        .iter()
        .find(|item| item.kind == ItemKind::Evidence)
        .expect("listed");
    assert!(evidence.note.is_some() && evidence.bytes > 8);
    let roots = BTreeSet::from([root]);
    let would = prune(&store, &roots, true);
    assert_eq!(
        store.list().expect("listed"),
        listed,
        "a dry run removes nothing"
    );
    let gone = prune(&store, &roots, false);
    assert_eq!(names(&store, &gone), names(&store, &would));
    assert_eq!(
        gone.iter()
            .map(|item| (item.kind.word(), item.digest == Some(old)))
            .collect::<Vec<_>>(),
        [
            ("blob", true),
            ("corrupt", false),
            ("evidence", false),
            ("derived", false),
            ("temporary", false)
        ]
    );
    let left = store.list().expect("listed");
    let kinds: Vec<&str> = left.iter().map(|item| item.kind.word()).collect();
    assert_eq!(kinds, ["blob", "blob", "foreign"]);
    assert!(store.contains(&root) && store.contains(&young) && !store.contains(&old));
    assert_eq!(prune(&store, &roots, false), []);
}

#[test]
fn what_is_read_is_young_again_and_what_is_verified_is_not() {
    let (_keep, store) = store();
    let blob = store.put_bytes(b"hello").expect("stored");
    let none = BTreeSet::new();
    for read in [true, false] {
        age(&blob.path, 40);
        assert_eq!(
            store.verify(&blob.digest).expect("readable"),
            Verdict::Verified
        );
        if read {
            store.get(&blob.digest).expect("readable").expect("there");
            assert_eq!(prune(&store, &none, false), []);
            age(&blob.path, 40);
            store.path(&blob.digest).expect("readable").expect("there");
        }
        assert_eq!(prune(&store, &none, false).len(), usize::from(!read));
    }
    assert_eq!(
        store.verify(&blob.digest).expect("readable"),
        Verdict::Missing
    );
    // A clock that was ahead makes nothing old.
    let blob = store.put_bytes(b"hello").expect("stored");
    let file = File::open(&blob.path).expect("there");
    file.set_modified(SystemTime::now() + 900 * DAY)
        .expect("dated");
    assert_eq!(prune(&store, &none, false), []);
}

#[test]
fn a_damaged_blob_is_set_aside_by_verifying() {
    let (_keep, store) = store();
    let blob = store.put_bytes(b"hello").expect("stored");
    fs::remove_file(&blob.path).expect("removed");
    fs::write(&blob.path, "hellO").expect("written");
    let aside = blob.path.with_extension("corrupt");
    assert_eq!(
        store.verify(&blob.digest).expect("readable"),
        Verdict::Damaged(aside.clone())
    );
    assert_eq!(fs::read(aside).expect("set aside"), b"hellO");
    assert_eq!(
        store.verify(&blob.digest).expect("readable"),
        Verdict::Missing
    );
}

#[test]
fn what_is_no_file_is_named_and_left_alone() {
    let (_keep, store) = store();
    let digest = Digest::of(b"hello");
    let path = store.name_of(&digest);
    let elsewhere = store.root.join("elsewhere");
    fs::write(&elsewhere, "hello").expect("written");
    let makers: [(&str, &dyn Fn()); 3] = [
        ("a folder", &|| fs::create_dir(&path).expect("made")),
        ("a symbolic link", &|| {
            std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
        }),
        ("a pipe, a socket or a device", &|| {
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.expect("mkfifo(1)").success());
        }),
    ];
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    for (kind, make) in makers {
        make();
        let errors = [
            store.get(&digest).expect_err(kind),
            store.path(&digest).map(drop).expect_err(kind),
            store.verify(&digest).map(drop).expect_err(kind),
            store.put_bytes(b"hello").map(drop).expect_err(kind),
        ];
        for error in errors {
            let said = error.to_string();
            assert_eq!(said, format!("`{}` is {kind}, not a file", path.display()));
            assert!(error.hint().is_some_and(|hint| hint.contains("move it")));
        }
        assert!(!store.contains(&digest) || kind == "a symbolic link");
        let listed = store.list().expect("listed");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].kind, ItemKind::Foreign);
        age_of_link(&path);
        assert_eq!(prune(&store, &BTreeSet::new(), false), []);
        match kind {
            "a folder" => fs::remove_dir(&path).expect("still there"),
            _ => fs::remove_file(&path).expect("still there"),
        }
    }
    assert_eq!(fs::read(elsewhere).expect("untouched"), b"hello");
}

/// Makes what stands there old without opening it, where the system has a tool for that.
fn age_of_link(path: &Path) {
    let touched = std::process::Command::new("touch")
        .args(["-h", "-d", "2001-01-01"])
        .arg(path)
        .status();
    assert!(touched.expect("touch(1)").success());
}

#[test]
fn two_collectors_take_turns() {
    let (_keep, store) = store();
    for number in 0..200_u32 {
        let blob = store.put_bytes(&number.to_le_bytes()).expect("stored");
        age(&blob.path, 40);
    }
    let gone: usize = std::thread::scope(|scope| {
        let collect = || prune(&store, &BTreeSet::new(), false).len();
        let both = [scope.spawn(collect), scope.spawn(collect)];
        both.map(|one| one.join().expect("no error")).iter().sum()
    });
    assert_eq!(gone, 200, "each goes once");
}

#[test]
fn digests_are_found_in_any_text() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let text = format!(
        "sha256 = \"{a}\"\n<<<<<<< x\nsha256:{}\n{a}0 {}\n",
        b.to_string().to_uppercase(),
        &a.to_string()[1..]
    );
    assert_eq!(digests_named_in(text.as_bytes()), BTreeSet::from([a, b]));
    assert_eq!(digests_named_in(b"\xff\x00"), BTreeSet::new());
}

proptest! {
    #[test]
    fn any_bytes_name_digests_or_none(before in prop::collection::vec(any::<u8>(), 0..80), after in prop::collection::vec(any::<u8>(), 0..80)) {
        let digest = Digest::of(&before);
        let mut text = before;
        text.push(b'"');
        text.extend(digest.to_string().bytes());
        text.push(b'"');
        text.extend(after);
        prop_assert!(digests_named_in(&text).contains(&digest));
    }
}
