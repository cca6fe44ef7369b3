//! The scripts of a program: what lies at those paths among its words that are a package's script while
//! it is run, by patterns that come with the program of the session. It is read as the program itself
//! would find it, while it has not yet done anything. Whose script it is, and whether the program runs it
//! or only names it, is not known here: that is for whoever knows what a manager's words mean.
//!
//! The path is hostile and so is what lies there: what is read is bounded and regular, no pipe is
//! waited for, and nothing but a hash leaves.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use assay_wire::digest::Digest;
use assay_wire::manifest::escape_path;
use assay_wire::program::path_matches;
use assay_wire::trace::ScriptText;
use rustix::ffi::CString;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use sha2::{Digest as _, Sha256};

use super::read::{self, Began};

/// Most scripts told of one program.
const SCRIPTS: usize = 8;

/// Most bytes of a script.
const SCRIPT_BYTES: u64 = 16 << 20;

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;

/// The scripts of a program that has just begun: its own file, where that is no interpreter's, and then
/// those its words name, in their order.
pub(super) fn of(pid: i32, began: &Began, patterns: &[String]) -> Vec<ScriptText> {
    if patterns.is_empty() {
        return Vec::new();
    }
    let Some(root) = read::link(pid, "root") else {
        return Vec::new();
    };
    let mut paths: Vec<&[u8]> = Vec::new();
    let words = began.words.iter().flat_map(|word| paths_in(word));
    for path in within(&root, &began.exe).into_iter().chain(words) {
        let is_one = patterns.iter().any(|pattern| path_matches(pattern, path));
        if is_one && !paths.contains(&path) && paths.len() < SCRIPTS {
            paths.push(path);
        }
    }
    let told = |path: &[u8]| ScriptText {
        path: escape_path(&[root.strip_suffix(b"/").unwrap_or(&root), path].concat()),
        sha256: hash(pid, path).ok(),
    };
    paths.into_iter().map(told).collect()
}

/// A path as it is below this root; `None` if it is not.
fn within<'p>(root: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    path.strip_prefix(root)
        .filter(|inside| inside.starts_with(b"/"))
}

/// The absolute paths that a word is or holds: as in `--file=/a` and in a shell's text.
fn paths_in(word: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begins = |at: usize| word[at] == b'/' && (at == 0 || is_between(word[at - 1]));
    let found = (0..word.len()).filter(move |at| begins(*at)).map(|at| {
        let rest = &word[at..];
        let end = rest.iter().position(|byte| ends(*byte));
        &rest[..end.unwrap_or(rest.len())]
    });
    Some(word)
        .filter(|word| word.starts_with(b"/"))
        .into_iter()
        .chain(found)
}

/// True for what a shell, or an option, has before a path.
fn is_between(byte: u8) -> bool {
    ends(byte) || b"=:,{}[]!$@".contains(&byte)
}

/// True for what ends a path in a shell's text.
fn ends(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"'\"`;&|()<>\\".contains(&byte)
}

/// The hash of what lies at a path, for a process and its root: every link on the way stays inside, and
/// none at the end is followed.
fn hash(pid: i32, path: &[u8]) -> io::Result<Digest> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = format!("/proc/{pid}/root");
    let root = rustix::fs::openat(CWD, Path::new(&root), folder, Mode::empty())?;
    let file = rustix::fs::openat2(
        root,
        CString::new(path)?,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    hash_of(file)
}

/// The hash of all of it; it may grow meanwhile.
fn hash_of(mut file: impl Read) -> io::Result<Digest> {
    let (mut hash, mut left) = (Sha256::new(), SCRIPT_BYTES);
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
            Ok(read) => {
                left = left
                    .checked_sub(read as u64)
                    .ok_or(io::ErrorKind::FileTooLarge)?;
                hash.update(&buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_are_found_in_words_and_in_a_shells_text() {
        for (word, found) in [
            ("/a/b", &["/a/b", "/a/b"][..]),
            (". /tmp/x/.INSTALL; post_install 1", &["/tmp/x/.INSTALL"]),
            ("--file=/a/b", &["/a/b"]),
            ("/a/b:c.x /d", &["/a/b:c.x /d", "/a/b:c.x", "/d"]),
            ("'/a b'", &["/a"]),
            ("a/b ./c", &[]),
            ("x>/a&&(/b)|</c", &["/a", "/b", "/c"]),
            ("", &[]),
        ] {
            let all: Vec<_> = paths_in(word.as_bytes()).collect();
            let found: Vec<_> = found.iter().map(|path| path.as_bytes()).collect();
            assert_eq!(all, found, "{word}");
        }
    }

    #[test]
    fn a_path_is_told_apart_from_its_root() {
        for (root, path, inside) in [
            ("/", "/a/b", Some("/a/b")),
            ("/mnt", "/mnt/a", Some("/a")),
            ("/mnt", "/mntx/a", None),
            ("/mnt", "/a", None),
        ] {
            let found = within(root.as_bytes(), path.as_bytes());
            assert_eq!(found, inside.map(str::as_bytes), "{root} {path}");
        }
    }

    #[test]
    fn what_is_no_whole_regular_file_has_no_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("script"), "#!/bin/sh\n").expect("written");
        fs::create_dir(at("folder")).expect("made");
        symlink("script", at("link")).expect("linked");
        symlink("folder", at("way")).expect("linked");
        fs::write(at("folder/script"), "x").expect("written");
        rustix::fs::mkfifoat(CWD, at("pipe"), Mode::RUSR).expect("made");
        let large = File::create(at("large")).expect("made");
        large.set_len(SCRIPT_BYTES + 1).expect("grown");
        let pid = i32::try_from(std::process::id()).expect("an id");
        let hash = |name: &str| hash(pid, at(name).as_os_str().as_bytes()).ok();
        assert_eq!(hash("script"), Some(Digest::of(b"#!/bin/sh\n")));
        assert_eq!(hash("way/script"), Some(Digest::of(b"x")));
        for name in ["folder", "link", "pipe", "large", "nowhere"] {
            assert_eq!(hash(name), None, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_word_panics(word in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for path in paths_in(&word) {
                assert!(path.starts_with(b"/"));
            }
        }
    }
}
