//! What of the image cannot have changed, by what overlayfs shows of it: a manifest need not look at it again.
//!
//! Before anything in a folder changes – a name, a content, a mode –, overlayfs copies the folder up, and every
//! folder above it (Documentation/filesystems/overlayfs.rst, "Upper and Lower"). What was copied up is a new
//! inode in the upper file system: its status changed (`ctime`, which nobody can set) after that file system's
//! own root was made. So a folder whose status changed before then has all it has from the image.
//!
//! And what was copied up got a name in its folder's upper one, whose status changes with that as with every
//! name that comes or goes. So a folder whose status is as it was has the names it had, and what was the image's
//! there is so still.
//!
//! What may change all the same is left out: other file systems mounted below, and files with several names,
//! which an index of overlayfs copies up by another of them.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use assay_wire::manifest::EntryKind;
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::time::{ClockId, clock_gettime};

use super::content::Contents;
use super::look::open_folder;
use super::record::{Item, Node, Tree, device};

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAYFS: u64 = 0x794c_7630;

/// Seconds by which the machine's clock may have been set back.
const SLACK: i64 = 2;

/// The root of a session, as long as it is overlayfs and what is said above holds.
#[derive(Debug)]
pub(super) struct Lower {
    device: u64,
    /// When the upper file system's root was made, in seconds since 1970.
    made: i64,
    /// What was mounted.
    mounts: Vec<u8>,
    /// Where.
    places: Vec<Vec<u8>>,
    /// Seconds since 1970 at which the machine began, by its clock.
    began: i64,
}

impl Lower {
    /// What can be said of a root; `None` where it is no overlayfs, or does not say when it was made.
    pub(super) fn of(root: &Path) -> Option<Self> {
        let folder = open_folder(CWD, root.as_os_str().as_encoded_bytes()).ok()?;
        let magic = rustix::fs::fstatfs(&folder).ok()?.f_type;
        if u64::try_from(magic) != Ok(OVERLAYFS) {
            return None;
        }
        let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let stat = rustix::fs::statx(folder.as_fd(), c"", AtFlags::EMPTY_PATH, asked).ok()?;
        if stat.stx_mask & StatxFlags::BTIME.bits() == 0 {
            return None;
        }
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        let clock = |id| clock_gettime(id).tv_sec;
        Some(Self {
            device: device(&stat),
            made: stat.stx_btime.tv_sec,
            places: places(&mounts)?,
            mounts,
            began: clock(ClockId::Realtime) - clock(ClockId::Boottime),
        })
    }

    /// True if this is still the same root, with the same mounted below it, and no clock was set back.
    pub(super) fn goes_on_from(&self, first: &Self) -> bool {
        self.device == first.device
            && self.made == first.made
            && self.mounts == first.mounts
            && self.began + SLACK > first.began
    }

    /// What is below a folder, if a walk before saw it and none of it can have changed since.
    pub(super) fn unchanged<'t>(
        &self,
        path: &[u8],
        node: &Node,
        before: &'t Tree,
        contents: &Contents,
    ) -> Option<&'t [Item]> {
        let (known, below) = before.with_below(path)?;
        let is_same = node.kind == EntryKind::Folder && node.identity == known.identity;
        (is_same && self.is_untouched(path, node, below, before, contents)).then_some(below)
    }

    /// What a walk before saw below a folder, if the names in it are what they were. [`Lower::still`] says which
    /// of them need not be looked at.
    pub(super) fn listed<'t>(
        &self,
        path: &[u8],
        node: &Node,
        before: &'t Tree,
    ) -> Option<&'t [Item]> {
        let (known, below) = before.with_below(path)?;
        (node.identity == known.identity && self.holds(node)).then_some(below)
    }

    /// Of an object in a folder that is [`Lower::listed`]: what is below it, if neither can have changed.
    pub(super) fn still<'t>(
        &self,
        item: &Item,
        before: &'t Tree,
        contents: &Contents,
    ) -> Option<&'t [Item]> {
        let below = match item.node.kind {
            EntryKind::Folder => before.with_below(&item.path)?.1,
            EntryKind::File
            | EntryKind::Symlink
            | EntryKind::Fifo
            | EntryKind::Socket
            | EntryKind::CharDevice
            | EntryKind::BlockDevice => &[],
        };
        let is_read = self.is_as_it_was(item, before, contents);
        (is_read && self.is_untouched(&item.path, &item.node, below, before, contents))
            .then_some(below)
    }

    /// True for what is the image's, with everything below.
    fn is_untouched(
        &self,
        path: &[u8],
        node: &Node,
        below: &[Item],
        before: &Tree,
        contents: &Contents,
    ) -> bool {
        let is_of_image = self.holds(node) && node.identity.times()[0].0 + SLACK < self.made;
        let has_mount = || self.places.iter().any(|place| is_at_or_below(place, path));
        let mut below = below.iter();
        is_of_image && !has_mount() && below.all(|item| self.is_as_it_was(item, before, contents))
    }

    /// True for what is the image's if the folder it is in is.
    fn is_as_it_was(&self, item: &Item, before: &Tree, contents: &Contents) -> bool {
        let is_unread = before.is_without_contents && contents.wants(&item.path);
        self.holds(&item.node) && !item.node.is_linked && !is_unread
    }

    /// True for an object of this file system that need not be looked at once more.
    fn holds(&self, node: &Node) -> bool {
        node.identity.device == self.device && node.identity.is_settled()
    }
}

/// The mount points of a mount table (proc_pid_mountinfo(5), field 5); `None` where one holds what is escaped
/// there.
fn places(mounts: &[u8]) -> Option<Vec<Vec<u8>>> {
    let lines = mounts
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let places = lines.map(|line| {
        let place = line.split(|byte| *byte == b' ').nth(4)?;
        (!place.contains(&b'\\')).then(|| place.to_vec())
    });
    places.collect()
}

fn is_at_or_below(place: &[u8], path: &[u8]) -> bool {
    let rest = place.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    use super::super::walk::{Walked, walk, walk_but};
    use super::*;

    /// An overlay over an image of two folders alike.
    struct Overlay {
        folder: tempfile::TempDir,
    }

    impl Overlay {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let overlay = Self { folder };
            for name in ["one", "two", "two/deep", "linked"] {
                fs::create_dir_all(overlay.image().join(name)).expect("made");
                fs::write(overlay.image().join(name).join("f"), "image").expect("written");
            }
            for name in ["one/link", "two/link"] {
                symlink("f", overlay.image().join(name)).expect("linked");
            }
            for name in [
                "two/g", "two/h", "two/1", "two/2", "two/3", "two/4", "two/5",
            ] {
                fs::write(overlay.image().join(name), "image").expect("written");
            }
            let linked = overlay.image().join("linked");
            fs::hard_link(linked.join("f"), linked.join("g")).expect("linked");
            // The image is older than what is made of it.
            thread::sleep(Duration::from_secs(SLACK.unsigned_abs() + 1));
            for name in ["upper", "work", "root"] {
                fs::create_dir(overlay.at(name)).expect("made");
            }
            let [lower, upper, work] = ["image", "upper", "work"].map(|name| overlay.at(name));
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                lower.display(),
                upper.display(),
                work.display()
            );
            let mount = Command::new("mount")
                .args(["-t", "overlay", "overlay", "-o", &options])
                .arg(overlay.root())
                .status();
            assert!(mount.expect("mount can be started").success(), "{options}");
            overlay
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn image(&self) -> PathBuf {
            self.at("image")
        }

        fn root(&self) -> PathBuf {
            self.at("root")
        }

        fn look(&self, before: Option<&Walked>) -> Walked {
            let contents = Contents::default();
            let lower = Lower::of(&self.root()).expect("an overlay");
            match before {
                None => walk(&self.root(), None, &contents),
                Some(before) => walk_but(&self.root(), Some(&before.tree), Some(&lower), &contents),
            }
        }
    }

    impl Drop for Overlay {
        fn drop(&mut self) {
            let unmounted = Command::new("umount").arg(self.root()).status();
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }

    fn size(walked: &Walked, path: &str) -> u64 {
        let (node, _) = walked.tree.with_below(path.as_bytes()).expect("there");
        node.size
    }

    #[test]
    fn what_the_image_has_is_not_looked_at_again_and_every_change_is_seen() {
        let overlay = Overlay::new();
        let first = overlay.look(None);
        // Behind the overlay's back: whoever looks would see it.
        for name in ["one/f", "two/deep/f", "linked/f"] {
            fs::write(overlay.image().join(name), "other bytes").expect("written");
        }
        let second = overlay.look(Some(&first));
        assert_eq!(second.tree.items().len(), first.tree.items().len());
        assert_eq!(
            (size(&second, "/one/f"), size(&second, "/two/deep/f")),
            (5, 5)
        );
        // Another name of it might have been changed.
        assert_eq!(size(&second, "/linked/f"), 11);
        // So might what is mounted there.
        let mounted = Lower {
            places: vec![b"/one/f".to_vec()],
            ..Lower::of(&overlay.root()).expect("an overlay")
        };
        let contents = Contents::default();
        let seen = walk_but(
            &overlay.root(),
            Some(&second.tree),
            Some(&mounted),
            &contents,
        );
        assert_eq!((size(&seen, "/one/f"), size(&seen, "/two/deep/f")), (11, 5));

        fs::write(overlay.root().join("two/deep/new"), "new").expect("written");
        // Long enough ago that the folder is known again (see `Identity::settled_before`).
        thread::sleep(Duration::from_millis(100));
        let third = overlay.look(Some(&second));
        assert_eq!(size(&third, "/two/deep/new"), 3);
        assert_eq!(
            (size(&third, "/one/f"), size(&third, "/two/deep/f")),
            (5, 11)
        );

        // What was changed once is looked at every time.
        fs::write(overlay.root().join("two/deep/new"), "newer").expect("written");
        let fourth = overlay.look(Some(&third));
        assert_eq!(
            (size(&fourth, "/two/deep/new"), size(&fourth, "/one/f")),
            (5, 5)
        );

        let mode = fs::Permissions::from_mode(0o4755);
        fs::set_permissions(overlay.root().join("one/f"), mode).expect("changed");
        fs::remove_file(overlay.root().join("one/link")).expect("removed");
        let fifth = overlay.look(Some(&fourth));
        let (node, _) = fifth.tree.with_below(b"/one/f").expect("there");
        assert_eq!(node.mode, 0o4755);
        assert!(fifth.tree.with_below(b"/one/link").is_none());
    }

    #[test]
    fn in_a_folder_copied_up_only_what_was_copied_up_is_looked_at_until_its_names_change() {
        // Long enough ago that everything is known again (see `Identity::settled_before`).
        let settle = || thread::sleep(Duration::from_millis(100));
        let overlay = Overlay::new();
        let two = overlay.root().join("two");
        fs::write(two.join("new"), "new").expect("written");
        settle();
        let mut before = overlay.look(None);
        // Each changes what is the image's in a folder that is not, or below.
        let changes: [(&str, &str, &dyn Fn()); 5] = [
            ("mode", "/two/f", &|| {
                let mode = fs::Permissions::from_mode(0o4755);
                fs::set_permissions(two.join("f"), mode).expect("changed");
            }),
            ("content", "/two/g", &|| {
                fs::write(two.join("g"), "other").expect("written");
            }),
            ("attribute", "/two/h", &|| {
                let path = two.join("h");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(path, "user.assay", b"x", flags).expect("set");
            }),
            ("owner of a link", "/two/link", &|| {
                std::os::unix::fs::lchown(two.join("link"), Some(1), Some(1)).expect("changed");
            }),
            ("content below", "/two/deep/f", &|| {
                fs::write(two.join("deep/f"), "below").expect("written");
            }),
        ];
        for (number, (what, path, change)) in (1..).zip(changes) {
            // Behind the overlay's back, which makes it look copied up: each time another.
            let beside = format!("/two/{number}");
            fs::write(overlay.image().join(&beside[1..]), what).expect("written");
            let same = overlay.look(Some(&before));
            assert_eq!(size(&same, &beside), 5, "{what}");
            fs::write(two.join("new"), what).expect("written");
            change();
            let after = overlay.look(Some(&same));
            let [old, new] =
                [&before, &after].map(|walked| walked.tree.with_below(path.as_bytes()));
            let ((old, _), (new, _)) = old.zip(new).expect("there");
            assert!(!old.looks_like(new), "{what}");
            // Its folder was read anew, and what stands beside it with it.
            assert_eq!(size(&after, &beside), what.len() as u64, "{what}");
            assert_eq!(size(&after, "/two/new"), what.len() as u64, "{what}");
            settle();
            before = overlay.look(Some(&after));
        }
        fs::remove_file(two.join("h")).expect("removed");
        let after = overlay.look(Some(&before));
        assert!(after.tree.with_below(b"/two/h").is_none());
    }

    #[test]
    fn what_was_learned_is_enough_but_for_what_files_say() {
        let overlay = Overlay::new();
        let first = overlay.look(None);
        let learned = Tree::learned(first.tree.items().to_vec());
        for name in ["one/f", "two/deep/f"] {
            fs::write(overlay.image().join(name), "other bytes").expect("written");
        }
        let contents = Contents::new(&["/two/deep/*".to_owned()]);
        let lower = Lower::of(&overlay.root()).expect("an overlay");
        let session = walk_but(&overlay.root(), Some(&learned), Some(&lower), &contents);
        assert_eq!(
            (size(&session, "/one/f"), size(&session, "/two/deep/f")),
            (5, 11)
        );
        let (node, _) = session.tree.with_below(b"/two/deep/f").expect("there");
        assert_eq!(node.content(), Some("other bytes"));
        // It is known from now on.
        let again = walk_but(
            &overlay.root(),
            Some(&session.tree),
            Some(&lower),
            &contents,
        );
        let (node, _) = again.tree.with_below(b"/two/deep/f").expect("there");
        assert_eq!(node.content(), Some("other bytes"));
    }

    #[test]
    fn what_is_mounted_at_a_path_or_below_is_told_from_its_neighbours() {
        let table = b"22 1 0:2 / / rw - overlay overlay rw\n23 22 0:3 / /run/a rw - tmpfs t rw\n";
        let places = places(table).expect("plain");
        assert_eq!(places, [&b"/"[..], b"/run/a"]);
        for (path, wanted) in [
            ("/run", true),
            ("/run/a", true),
            ("/ru", false),
            ("/run/a/b", false),
        ] {
            let found = places
                .iter()
                .any(|place| is_at_or_below(place, path.as_bytes()));
            assert_eq!(found, wanted, "{path}");
        }
        assert_eq!(
            super::places(b"23 22 0:3 / /run/a\\040b rw - tmpfs t rw\n"),
            None
        );
        assert_eq!(super::places(b"short\n"), None);
    }

    #[test]
    fn another_root_a_mount_or_a_clock_set_back_ends_it() {
        let overlay = Overlay::new();
        let first = Lower::of(&overlay.root()).expect("an overlay");
        // Other tests mount and unmount meanwhile.
        let now = || Lower {
            mounts: first.mounts.clone(),
            ..Lower::of(&overlay.root()).expect("an overlay")
        };
        assert!(now().goes_on_from(&first));
        for other in [
            Lower {
                mounts: b"other".to_vec(),
                ..now()
            },
            Lower {
                made: first.made + 1,
                ..now()
            },
            Lower {
                began: first.began - SLACK,
                ..now()
            },
        ] {
            assert!(!other.goes_on_from(&first), "{other:?}");
        }
        assert!(Lower::of(Path::new("/proc")).is_none());
    }
}
