//! The store on a real folder: whole, damaged, contended, and full of leftovers.

use std::thread;

use proptest::prelude::*;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    (folder, store)
}

fn temporary_files(store: &Store) -> usize {
    fs::read_dir(store.temporary()).expect("readable").count()
}

/// Overwrites a stored blob in place, as a bad disk or a careless hand would.
fn damage(blob: &Blob, bytes: &[u8]) {
    fs::remove_file(&blob.path).expect("removable");
    fs::write(&blob.path, bytes).expect("writable");
}

#[test]
fn what_is_put_is_got() {
    let (_keep, store) = store();
    let blob = store.put_bytes(b"hello").expect("stored");
    assert_eq!((blob.digest, blob.size), (Digest::of(b"hello"), 5));
    let hex = blob.digest.to_string();
    assert!(
        blob.path
            .ends_with(format!("blobs/sha256/{}/{hex}", &hex[..2]))
    );
    assert_eq!(
        store.get(&blob.digest).expect("readable"),
        Some(b"hello".to_vec())
    );
    assert_eq!(
        store.path(&blob.digest).expect("readable"),
        Some(blob.clone())
    );
    assert!(store.contains(&blob.digest));
    assert!(
        fs::metadata(&blob.path)
            .expect("there")
            .permissions()
            .readonly()
    );
    assert!(!store.contains(&Digest::of(b"other")));
    assert_eq!(store.get(&Digest::of(b"other")).expect("readable"), None);
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn a_damaged_blob_is_set_aside_and_can_be_put_again() {
    let (_keep, store) = store();
    let blob = store.put_bytes(b"hello").expect("stored");
    for damaged in [&b"hellO"[..], b"", b"hello!"] {
        damage(&blob, damaged);
        assert_eq!(store.path(&blob.digest).expect("readable"), None);
        assert!(!store.contains(&blob.digest));
        assert_eq!(
            fs::read(blob.path.with_extension("corrupt")).expect("set aside"),
            damaged
        );
        assert_eq!(store.put_bytes(b"hello").expect("stored again"), blob);
        assert_eq!(
            store.get(&blob.digest).expect("readable"),
            Some(b"hello".to_vec())
        );
    }
    damage(&blob, b"wrong");
    store
        .put_bytes(b"hello")
        .expect("stored over a damaged one");
    assert_eq!(
        store.get(&blob.digest).expect("readable"),
        Some(b"hello".to_vec())
    );
}

#[test]
fn a_reader_is_bounded_and_its_failure_leaves_nothing() {
    struct Failing(u32);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 3 {
                Err(io::Error::other("torn"))
            } else {
                Ok(buffer.len())
            }
        }
    }
    let (_keep, store) = store();
    assert_eq!(
        store.put_reader(&mut &b"12345"[..], 5).expect("fits").size,
        5
    );
    let error = store
        .put_reader(&mut io::repeat(7), 1_000_000)
        .expect_err("endless");
    assert!(matches!(error, StoreError::TooLarge { limit: 1_000_000 }));
    assert!(matches!(
        store.put_reader(&mut Failing(0), u64::MAX),
        Err(StoreError::Source(_))
    ));
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn parallel_writers_of_the_same_and_of_other_bytes_all_succeed() {
    let (_keep, store) = store();
    let writers: Vec<_> = (0..8u8)
        .map(|writer| {
            let store = Store::open(store.root.clone()).expect("the same folder");
            thread::spawn(move || {
                for round in 0..12u8 {
                    let shared = vec![round; 70_000];
                    let digest = store.put_bytes(&shared).expect("stored").digest;
                    assert_eq!(store.get(&digest).expect("readable"), Some(shared));
                    store.put_bytes(&[writer, round]).expect("stored");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no writer failed");
    }
    for writer in 0..8u8 {
        assert!((0..12u8).all(|round| store.contains(&Digest::of(&[writer, round]))));
    }
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn leftovers_of_killed_processes_are_ignored_and_swept_when_old() {
    let (_keep, store) = store();
    // The names this process is about to use, as if a killed one had had the same id.
    for number in 0..500 {
        fs::write(
            store
                .temporary()
                .join(format!("{}-{number}", std::process::id())),
            "half",
        )
        .expect("written");
    }
    let old = store.temporary().join("1-1");
    let file = File::create(&old).expect("created");
    file.set_modified(SystemTime::now() - Duration::from_secs(25 * 60 * 60))
        .expect("dated");
    let blob = store.put_bytes(b"hello").expect("stored all the same");
    let again = Store::open(store.root.clone()).expect("opens");
    assert_eq!(
        again.get(&blob.digest).expect("readable"),
        Some(b"hello".to_vec())
    );
    assert!(!old.exists(), "a day old");
    assert_eq!(
        temporary_files(&store),
        500,
        "young ones may belong to somebody"
    );
}

#[test]
fn evidence_is_kept_with_the_facts() {
    let (_keep, store) = store();
    let mut incoming = store.incoming().expect("begun");
    incoming.write(b"not what was asked for").expect("written");
    let facts = MismatchFacts {
        origin: "https://example.org/key",
        expected: Digest::of(b"asked for"),
    };
    let path = incoming.keep_as_evidence(facts).expect("kept");
    assert_eq!(fs::read(&path).expect("bytes"), b"not what was asked for");
    let note = fs::read_to_string(path.with_extension("json")).expect("a note");
    let note: serde_json::Value = serde_json::from_str(&note).expect("JSON");
    assert_eq!(
        note["expected_sha256"],
        Digest::of(b"asked for").to_string()
    );
    assert_eq!(
        note["actual_sha256"],
        Digest::of(b"not what was asked for").to_string()
    );
    assert_eq!(note["size"], 22);
    assert!(
        !store.contains(&Digest::of(b"not what was asked for")),
        "evidence is never content"
    );
    assert_eq!(temporary_files(&store), 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let error = Store::open(file.join("store")).expect_err("below a file");
    let said = format!("`{}` is not a folder", file.display());
    assert_eq!(error.to_string(), said);
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("XDG_CACHE_HOME"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bytes_in_any_pieces_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 1usize..300) {
        let (_keep, store) = store();
        let mut incoming = store.incoming().expect("begun");
        for piece in bytes.chunks(cut) {
            incoming.write(piece).expect("written");
        }
        let blob = incoming.commit().expect("stored");
        prop_assert_eq!(blob.digest, Digest::of(&bytes));
        prop_assert_eq!(store.get(&blob.digest).expect("readable"), Some(bytes));
    }
}
