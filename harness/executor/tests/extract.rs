//! Archives unpacked by ops: who owns what comes of them, what a second time changes, how a refused
//! one ends, and that limits and manifests hold for them as for commands.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use assay_wire::event::{Ending, ExecutorEvent, Limit};
use assay_wire::manifest::{EntryKind, ManifestLine};
use assay_wire::plan::{Action, Limits, Op, Privilege};
use common::{LIMITS, Root, Session, dev, op, root, with_limits};

fn extract(archive: &str, dest: &str, owner: Privilege, strip_components: u32) -> Op {
    op(
        owner,
        Action::Extract {
            archive: archive.parse().expect("a path"),
            dest: dest.parse().expect("a path"),
            owner,
            strip_components,
        },
    )
}

fn header(name: &str, kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("a name");
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(4242);
    header.set_gid(4242);
    header
}

fn append(builder: &mut tar::Builder<Vec<u8>>, mut header: tar::Header, content: &[u8]) {
    header.set_cksum();
    builder.append(&header, content).expect("written");
}

/// A tool in its own top folder, compressed.
fn tool() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let folder = header("tool-1.0/", tar::EntryType::Directory, 0o777, 0);
    append(&mut builder, folder, b"");
    let script = b"#!/bin/sh\necho ran as $(id -u)\n";
    let file = header(
        "tool-1.0/bin/tool",
        tar::EntryType::Regular,
        0o4775,
        script.len(),
    );
    append(&mut builder, file, script);
    let mut link = header("tool-1.0/tool", tar::EntryType::Symlink, 0o777, 0);
    link.set_link_name("bin/tool").expect("a target");
    append(&mut builder, link, b"");
    let plain = builder.into_inner().expect("finished");
    zstd::encode_all(plain.as_slice(), 3).expect("compressed")
}

#[test]
fn what_is_unpacked_belongs_to_whoever_unpacks() {
    let place = Root::new();
    fs::write(place.join("/tmp/tool.txt"), tool()).expect("written");
    let mut session = Session::with_ops(
        &place,
        vec![
            extract("/tmp/tool.txt", "/opt/a/tool", Privilege::Root, 1),
            dev("/opt/a/tool/tool"),
            extract("/tmp/tool.txt", "/home/dev/tool", Privilege::User, 1),
            dev("tool/tool; umask 0; touch x"),
            extract("/tmp/tool.txt", "/opt/mine", Privilege::User, 0),
            extract("/tmp/none.tar", "/opt/none", Privilege::Root, 0),
        ],
    );
    let bits = "set-user-id, set-group-id and sticky bits were dropped from 1 of the archive's \
                entries; the first is `tool-1.0/bin/tool`\n";
    let as_root = session.op().expect("run");
    assert_eq!(as_root.ending, Ending::Exited(0));
    assert_eq!(
        (as_root.stdout.as_str(), as_root.stderr.as_str()),
        ("", bits)
    );
    assert_eq!(session.ok(), "ran as 1001\n");
    let as_dev = session.op().expect("run");
    assert_eq!(as_dev.ending, Ending::Exited(0), "{as_dev:?}");
    assert_eq!(session.ok(), "ran as 1001\n");
    let denied = session.op().expect("run");
    assert_eq!(denied.ending, Ending::Exited(1));
    assert_eq!(
        denied.stderr,
        "/tmp/tool.txt was not unpacked: the folder /opt/mine cannot be made: Permission denied \
         (os error 13)\n"
    );
    let missing = session.op().expect("run");
    assert_eq!(missing.ending, Ending::Exited(1));
    assert_eq!(
        missing.stderr,
        "/tmp/none.tar was not unpacked: it cannot be opened: No such file or directory (os error \
         2)\n"
    );
    session.stop();
    let look = |path: &str| {
        let found = fs::symlink_metadata(place.join(path)).expect("there");
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    // The top folder is dropped, so nothing says how `dest` should be.
    assert_eq!(look("/opt/a"), (0, 0, 0o755));
    assert_eq!(look("/opt/a/tool"), (0, 0, 0o755));
    assert_eq!(look("/opt/a/tool/bin/tool"), (0, 0, 0o775));
    assert_eq!(look("/home/dev/tool"), (1001, 1001, 0o755));
    assert_eq!(
        look("/home/dev/tool/bin/tool"),
        (1001, 1001, 0o755),
        "a umask of 022"
    );
    assert_eq!(look("/home/dev/tool/tool").0, 1001);
}

#[test]
fn a_second_time_changes_nothing_in_the_manifest() {
    let place = Root::new();
    fs::write(place.join("/tmp/tool"), tool()).expect("written");
    // As in Debian: what is made here would belong to another group.
    fs::create_dir(place.join("/srv")).expect("made");
    chown(place.join("/srv"), Some(0), Some(50)).expect("owned");
    fs::set_permissions(place.join("/srv"), fs::Permissions::from_mode(0o2775)).expect("set");
    let again = || extract("/tmp/tool", "/srv/x", Privilege::Root, 0);
    let mut session = Session::with_ops(
        &place,
        vec![again(), again(), root("rm /srv/x/tool-1.0/tool")],
    );
    session.manifest();
    session.ok();
    let (lines, _) = session.manifest();
    let made: Vec<(&str, EntryKind, u32, u32)> = lines
        .iter()
        .filter_map(|line| match line {
            ManifestLine::Path(change) => {
                let after = change.after.as_ref()?;
                Some((change.path.as_str(), after.kind, after.mode, after.gid))
            }
            ManifestLine::State(_) => None,
        })
        .collect();
    assert_eq!(
        made,
        [
            // `dest` itself is made as any other folder there is.
            ("/srv/x", EntryKind::Folder, 0o2755, 50),
            ("/srv/x/tool-1.0", EntryKind::Folder, 0o777, 0),
            ("/srv/x/tool-1.0/bin", EntryKind::Folder, 0o755, 0),
            ("/srv/x/tool-1.0/bin/tool", EntryKind::File, 0o775, 0),
            ("/srv/x/tool-1.0/tool", EntryKind::Symlink, 0o777, 0),
        ]
    );
    session.ok();
    let (lines, _) = session.manifest();
    assert_eq!(lines, [], "nothing changed");
    session.ok();
    session.stop();
}

#[test]
fn a_refused_archive_ends_its_op_and_nothing_else() {
    let place = Root::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut evil = header("x", tar::EntryType::Regular, 0o644, 4);
    evil.as_old_mut().name[..16].copy_from_slice(b"../etc/\x1b[2Jevil\0");
    append(&mut builder, evil, b"evil");
    let evil = builder.into_inner().expect("finished");
    fs::write(place.join("/tmp/evil.tar"), evil).expect("written");
    let mut session = Session::with_ops(
        &place,
        vec![
            extract("/tmp/evil.tar", "/opt", Privilege::Root, 0),
            extract("/etc/passwd", "/opt", Privilege::Root, 0),
            extract("/dev/zero", "/opt", Privilege::Root, 0),
            root("ls -A /opt"),
        ],
    );
    let refused = |session: &mut Session| {
        let ran = session.op().expect("run");
        assert_eq!(ran.ending, Ending::Exited(1));
        ran.stderr
    };
    assert_eq!(
        refused(&mut session),
        "/tmp/evil.tar was not unpacked: entry `../etc/\\x1b[2Jevil` has control characters in \
         its name\n"
    );
    assert_eq!(
        refused(&mut session),
        "/etc/passwd was not unpacked: it is no archive that can be read: neither tar (plain, \
         gzip, xz, zstd or bzip2) nor zip\n"
    );
    assert_eq!(
        refused(&mut session),
        "/dev/zero was not unpacked: it cannot be opened: it is no regular file\n"
    );
    assert_eq!(session.ok(), "");
    session.stop();
}

/// Gigabytes of zeros, compressed to next to nothing.
fn bomb(bytes: u64) -> Vec<u8> {
    let mut file = header("zeros", tar::EntryType::Regular, 0o644, 0);
    file.set_size(bytes);
    file.set_cksum();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    let mut write = |bytes: &[u8]| std::io::Write::write_all(&mut encoder, bytes).expect("written");
    write(file.as_bytes());
    let zeros = vec![0; 1 << 20];
    (0..bytes >> 20).for_each(|_| write(&zeros));
    write(&zeros[..1024]);
    encoder.finish().expect("finished")
}

#[test]
fn limits_hold_for_archives() {
    let place = Root::new();
    fs::write(place.join("/tmp/bomb"), bomb(1 << 30)).expect("written");
    let limits = |seconds, written_bytes| Limits {
        seconds,
        written_bytes,
        ..LIMITS
    };
    for owner in [Privilege::Root, Privilege::User] {
        let unpack = |limits| with_limits(extract("/tmp/bomb", "/tmp/out", owner, 0), limits);
        let mut session = Session::with_ops(
            &place,
            vec![
                unpack(limits(60, 100 << 20)),
                dev("ls -A /tmp/out"),
                unpack(limits(0, 2 << 30)),
            ],
        );
        let refused = session.op().expect("run");
        assert_eq!(refused.ending, Ending::Exited(1));
        assert_eq!(
            refused.stderr,
            "/tmp/bomb was not unpacked: more than 104857600 bytes would come out of it, the \
             limit of what the step may write\n"
        );
        assert_eq!(session.ok(), "", "refused before anything was written");
        let killed = session.op().expect("run");
        assert_eq!(killed.ending, Ending::Limit(Limit::Time));
        let finished = |event: &&ExecutorEvent| matches!(event, ExecutorEvent::OpFinished { .. });
        assert_eq!(session.events.iter().filter(finished).count(), 3);
        drop(session);
        fs::remove_dir_all(place.join("/tmp/out")).expect("removed");
    }
}
