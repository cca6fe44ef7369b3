//! The unprivileged user, and who is who: `/etc/passwd` (passwd(5)) and `/etc/group` (group(5))
//! are read as files. A static binary has no NSS, and a sandbox has no directory service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use assay_wire::program::USER;

use crate::fault::Fault;
use crate::write::{Wanted, write_file};

/// Where ids of people start (`UID_MIN` and `GID_MIN` of login.defs(5) on every target).
const FIRST_ID: u32 = 1000;

/// One past the last (`UID_MAX`).
const LAST_ID: u32 = 60_000;

/// Most names of users, and of groups, that are told, and most bytes of one.
const NAMES: usize = 1000;
const NAME_BYTES: usize = 256;

/// Most bytes of a user database that are read.
const DATABASE_BYTES: u64 = 16 << 20;

/// Someone commands are run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// The id.
    pub(crate) uid: u32,
    /// The id of the first group.
    pub(crate) gid: u32,
    /// The home folder.
    pub(crate) home: String,
    /// The login shell.
    pub(crate) shell: String,
}

impl User {
    /// The superuser, as the sandbox's database has it.
    pub(crate) fn root() -> Self {
        let database = read_database("/etc/passwd").unwrap_or_default();
        find_user(&database, "root").unwrap_or_else(|| Self {
            name: "root".to_owned(),
            uid: 0,
            gid: 0,
            home: "/root".to_owned(),
            shell: "/bin/sh".to_owned(),
        })
    }

    /// The groups the user is in now, the first included, by what `/etc/group` says at this
    /// moment.
    pub(crate) fn groups(&self) -> Vec<u32> {
        let database = read_database("/etc/group").unwrap_or_default();
        let mut groups = groups_of(&database, &self.name);
        groups.push(self.gid);
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// The user `dev`, added if the sandbox has none; true if so. Added like `useradd -m` adds it: the
/// first free ids from 1000, a group of its own, a locked password, a home with mode 0755.
pub(crate) fn ensure_dev() -> Result<(User, bool), Fault> {
    let passwd = database("/etc/passwd")?;
    if let Some(user) = find_user(&passwd, USER) {
        return Ok((user, false));
    }
    let group = database("/etc/group")?;
    let gid = match find_group(&group, USER) {
        Some(gid) => gid,
        None => {
            let gid = first_free(&group).ok_or_else(|| full("/etc/group"))?;
            append("/etc/group", &group, &format!("{USER}:x:{gid}:"))?;
            gid
        }
    };
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    let user = User {
        name: USER.to_owned(),
        uid: first_free(&passwd).ok_or_else(|| full("/etc/passwd"))?,
        gid,
        home: format!("/home/{USER}"),
        shell: shell.to_owned(),
    };
    let User { uid, home, .. } = &user;
    append(
        "/etc/passwd",
        &passwd,
        &format!("{USER}:x:{uid}:{gid}::{home}:{shell}"),
    )?;
    if Path::new("/etc/shadow").exists() {
        // No date of the last change: the account must be the same bytes on every day.
        append(
            "/etc/shadow",
            &database("/etc/shadow")?,
            &format!("{USER}:!::0:99999:7:::"),
        )?;
    }
    let making = || format!("making {home}");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(home)
        .map_err(Fault::io(making()))?;
    chown(home, Some(user.uid), Some(user.gid)).map_err(Fault::io(making()))?;
    Ok((user, true))
}

/// The users by their numbers, and the groups.
pub(crate) fn names() -> [BTreeMap<u32, String>; 2] {
    ["/etc/passwd", "/etc/group"].map(|path| {
        let database = crate::write::read_bounded(Path::new(path), DATABASE_BYTES);
        names_in(&String::from_utf8_lossy(&database.unwrap_or_default()))
    })
}

/// The names of a database by their numbers: of several names of a number the first, as getpwuid(3) has
/// it. What no tool would take for a name is none.
fn names_in(database: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in database.lines() {
        let mut fields = line.split(':');
        let (name, id) = (fields.next().unwrap_or_default(), fields.nth(1));
        let is_name = !name.is_empty()
            && name.len() <= NAME_BYTES
            && !name.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
        if let (true, Some(id)) = (is_name, id.and_then(|id| id.parse().ok())) {
            if names.len() == NAMES {
                break;
            }
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// A user of a passwd database.
fn find_user(database: &str, name: &str) -> Option<User> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        fields.next()?;
        let home = Some(fields.next()?).filter(|home| !home.is_empty());
        let shell = fields.next().filter(|shell| !shell.is_empty());
        Some(User {
            name: name.to_owned(),
            uid,
            gid,
            home: home.unwrap_or("/").to_owned(),
            shell: shell.unwrap_or("/bin/sh").to_owned(),
        })
    })
}

/// The id of a group of a group database.
fn find_group(database: &str, name: &str) -> Option<u32> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The groups of a group database that list a user.
fn groups_of(database: &str, user: &str) -> Vec<u32> {
    database
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let gid = fields.next()?.parse().ok()?;
            fields
                .next()?
                .split(',')
                .any(|member| member == user)
                .then_some(gid)
        })
        .collect()
}

/// The first id from 1000 that no line of a database has in its third field.
fn first_free(database: &str) -> Option<u32> {
    let taken: BTreeSet<u32> = database
        .lines()
        .filter_map(|line| line.split(':').nth(2)?.parse().ok())
        .collect();
    (FIRST_ID..LAST_ID).find(|id| !taken.contains(id))
}

fn full(path: &str) -> Fault {
    Fault::Io {
        what: format!("adding the user `{USER}` to {path}"),
        source: io::Error::other("no id is free"),
    }
}

/// A database that must be readable; one that does not exist is empty.
fn database(path: &str) -> Result<String, Fault> {
    match read_database(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(Fault::io(format!("reading {path}"))),
    }
}

fn read_database(path: &str) -> io::Result<String> {
    let bytes = crate::write::read_bounded(Path::new(path), DATABASE_BYTES)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Appends a line to a database, keeping its owner and mode.
fn append(path: &str, database: &str, line: &str) -> Result<(), Fault> {
    let adding = || format!("adding the user `{USER}` to {path}");
    let (mode, uid, gid) = match fs::metadata(path) {
        Ok(found) => (found.mode() & 0o7777, found.uid(), found.gid()),
        Err(_) => (0o644, 0, 0),
    };
    let newline = if database.is_empty() || database.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let content = format!("{database}{newline}{line}\n");
    let wanted = Wanted {
        mode,
        uid,
        gid,
        content: content.as_bytes().into(),
    };
    write_file(Path::new(path), &wanted)
        .map(|_| ())
        .map_err(Fault::io(adding()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        ubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\n\
        broken\n\
        odd:x:a:b::/:\n\
        nobody:x:65534:65534::/nonexistent:\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:syslog,dev\ndevs:x:1001:\ndocker:x:999:dev\nx:x\n";

    #[test]
    fn users_are_found_by_their_whole_name() {
        let root = find_user(PASSWD, "root").expect("listed");
        assert_eq!((root.uid, root.home.as_str()), (0, "/root"));
        let nobody = find_user(PASSWD, "nobody").expect("listed");
        assert_eq!(nobody.shell, "/bin/sh");
        assert_eq!(find_user(PASSWD, "ubunt"), None);
        assert_eq!(find_user(PASSWD, "odd"), None);
    }

    #[test]
    fn the_first_free_id_passes_over_those_taken() {
        assert_eq!(first_free(PASSWD), Some(1001));
        assert_eq!(first_free(GROUP), Some(1000));
        assert_eq!(first_free(""), Some(1000));
    }

    #[test]
    fn groups_are_those_that_list_the_user() {
        assert_eq!(groups_of(GROUP, "dev"), [4, 999]);
        assert_eq!(find_group(GROUP, "docker"), Some(999));
        assert_eq!(find_group(GROUP, "dev"), None);
    }

    #[test]
    fn names_go_by_the_first_of_a_number_and_nothing_odd_is_one() {
        let database = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n\
            a\u{1b}[2J:x:7:7:::\n:x:8:8:::\n+::::::\nodd:x:-1:\n\u{fffd}:x:9:\n\
            _apt:*:42:65534:::";
        let wanted = [(0, "root"), (42, "_apt")].map(|(id, name)| (id, name.to_owned()));
        assert_eq!(names_in(database), wanted.into());
        let long = format!("{}:x:1:\n{}:x:2:\n", "a".repeat(257), "b".repeat(256));
        assert_eq!(names_in(&long).into_keys().collect::<Vec<_>>(), [2]);
        let many: String = (0..2000).map(|id| format!("u{id}:x:{id}:\n")).collect();
        assert_eq!(names_in(&many).len(), NAMES);
    }

    proptest::proptest! {
        #[test]
        fn no_database_panics(text in "[a-z0-9:,\n\\PC]{0,200}") {
            find_user(&text, "dev");
            groups_of(&text, "dev");
            first_free(&text);
            names_in(&text);
        }
    }
}
