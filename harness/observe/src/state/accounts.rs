//! Who is who: passwd(5), group(5), shadow(5), gshadow(5), subuid(5), before and after.
//!
//! A user, a group and a member that come are operations of their own. Everything else that changes in
//! these files – a shell, a number, a password, a line nobody understands – is the file being written,
//! with what was and what is. Passwords come redacted ([`assay_wire::manifest::password`]).

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::manifest::{Entry, PathChange, password};
use assay_wire::privileged::Kind;

use super::{Found, SHOWN, cut, text};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";
const GSHADOW: &str = "/etc/gshadow";
const SUBORDINATE: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// Groups that are nobody's in particular, and give nothing.
const NOBODY: [u32; 2] = [65_533, 65_534];

/// What is known of groups, from one manifest to the next.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    groups: BTreeMap<u32, String>,
}

/// Lines by their first field. What does not fit, or stands there twice, is odd.
#[derive(Debug, Default)]
struct Table<'t> {
    rows: BTreeMap<&'t str, Vec<&'t str>>,
    odd: BTreeSet<&'t str>,
}

/// A file before and after, both understood.
struct Sides<'t> {
    change: &'t PathChange,
    before: Table<'t>,
    after: Table<'t>,
}

impl Accounts {
    /// What changes of these files mean, and what is known from now on.
    pub(super) fn found(&mut self, paths: &[PathChange]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut side = |path: &str, fields: usize| {
            let change = paths.iter().find(|change| change.path == path)?;
            match (table(&change.before, fields), table(&change.after, fields)) {
                (Some(before), Some(after)) if change.after.is_some() => Some(Sides {
                    change,
                    before,
                    after,
                }),
                _ => {
                    found.push(unread(change));
                    None
                }
            }
        };
        let passwd = side(PASSWD, 7);
        let group = side(GROUP, 4);
        let shadow = side(SHADOW, 9);
        let gshadow = side(GSHADOW, 4);
        let subordinate = SUBORDINATE.map(|path| side(path, 3));
        for sides in [&passwd, &group, &shadow, &gshadow] {
            found.extend(sides.iter().flat_map(odd));
        }
        found.extend(subordinate.iter().flatten().flat_map(odd));
        let all = [&passwd, &group, &shadow, &gshadow].into_iter().flatten();
        found.extend(all.filter_map(Sides::opened));
        let users: BTreeSet<&str> = passwd.iter().flat_map(Sides::added).collect();
        let gone = passwd.iter().flat_map(Sides::removed);
        let gone: BTreeSet<&str> = gone.map(|(name, _)| *name).collect();
        if let Some(group) = &group {
            self.groups = names_of(&group.after);
            found.extend(self::groups(group));
        }
        if let Some(passwd) = &passwd {
            found.extend(self.users(passwd));
        }
        found.extend(
            shadow
                .iter()
                .flat_map(|sides| passwords(sides, &users, &gone)),
        );
        found.extend(
            gshadow
                .iter()
                .flat_map(|sides| administrators(sides, group.as_ref())),
        );
        for sides in subordinate.iter().flatten() {
            let added = sides.after.rows.iter();
            let foreign = added.filter(|(name, row)| {
                sides.before.rows.get(*name) != Some(row) && !users.contains(**name)
            });
            found.extend(foreign.map(|(_, row)| sides.written(None, Some(row.join(":")))));
        }
        found
    }

    fn users(&self, sides: &Sides<'_>) -> Vec<Found> {
        let mut found = Vec::new();
        for (name, row) in &sides.after.rows {
            let before = sides.before.rows.get(name);
            let [_, secret, uid, gid, _, _, shell] = row[..] else {
                continue;
            };
            let was = |at: usize| before.map(|before| before[at]);
            let id = uid.parse::<u32>().ok();
            // A number that is none is 0 to some readers.
            let superuser = id.is_none_or(|id| id == 0);
            if before.is_none() || (superuser && was(2) != Some(uid)) {
                let kind = Kind::UserAdd {
                    name: (*name).to_owned(),
                    shell: Some(shell.to_owned()),
                    superuser,
                };
                found.push(Found {
                    before: before.map(|row| shown(row)),
                    after: Some(shown(row)),
                    id,
                    ..Found::of(kind, sides.change)
                });
            } else if let Some(before) = before.filter(|before| before[2..] != row[2..]) {
                found.push(sides.written(Some(shown(before)), Some(shown(row))));
            }
            if was(1) != Some(secret) && !matches!(word(secret), "x" | password::LOCKED) {
                let state = |secret| format!("password of {name}: {}", word(secret));
                found.push(sides.written(was(1).map(state), Some(state(secret))));
            }
            if was(3) != Some(gid)
                && let Some(group) = self.primary_group(name, gid)
            {
                let kind = Kind::GroupMember {
                    user: (*name).to_owned(),
                    group,
                };
                found.push(Found {
                    after: Some(format!("primary group {gid}")),
                    ..Found::of(kind, sides.change)
                });
            }
        }
        for (_, row) in sides.removed() {
            found.push(sides.written(Some(shown(row)), None));
        }
        found
    }

    /// The group that a user joins by being of it: none if it is the user's own.
    fn primary_group(&self, user: &str, gid: &str) -> Option<String> {
        let id = gid.parse::<u32>().ok();
        let name = match id {
            Some(0) => Some("root".to_owned()),
            Some(id) if NOBODY.contains(&id) => return None,
            Some(id) => self.groups.get(&id).cloned(),
            None => None,
        };
        let name = name.unwrap_or_else(|| format!("gid {gid}"));
        (name != user).then_some(name)
    }
}

fn groups(sides: &Sides<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, row) in &sides.after.rows {
        let before = sides.before.rows.get(name);
        let [_, secret, gid, members] = row[..] else {
            continue;
        };
        if before.is_none() {
            let kind = Kind::GroupAdd {
                name: (*name).to_owned(),
            };
            found.push(Found {
                after: Some(shown(row)),
                id: gid.parse().ok(),
                ..Found::of(kind, sides.change)
            });
        }
        let was = |at: usize| before.map_or("", |before| before[at]);
        let is_root = gid.parse::<u32>().map_or(true, |gid| gid == 0);
        if before.is_some_and(|before| before[2] != gid) || (before.is_none() && is_root) {
            found.push(sides.written(before.map(|row| shown(row)), Some(shown(row))));
        }
        if was(1) != secret && !matches!(word(secret), "x" | password::LOCKED | password::NONE) {
            let after = format!("password of group {name}: {}", word(secret));
            found.push(sides.written(None, Some(after)));
        }
        let (old, new) = (list(was(3)), list(members));
        for user in new.difference(&old) {
            let kind = Kind::GroupMember {
                user: (*user).to_owned(),
                group: (*name).to_owned(),
            };
            found.push(Found {
                before: before.map(|row| shown(row)),
                after: Some(shown(row)),
                ..Found::of(kind, sides.change)
            });
        }
        if old.difference(&new).next().is_some() {
            found.push(sides.written(before.map(|row| shown(row)), Some(shown(row))));
        }
    }
    for (_, row) in sides.removed() {
        found.push(sides.written(Some(shown(row)), None));
    }
    found
}

/// A user who is added is locked; anything else is told.
fn passwords(sides: &Sides<'_>, added: &BTreeSet<&str>, gone: &BTreeSet<&str>) -> Vec<Found> {
    let removed = sides.removed().filter(|(name, _)| !gone.contains(**name));
    let removed = removed.map(|(name, row)| {
        sides.written(Some(format!("password of {name}: {}", word(row[1]))), None)
    });
    let mut found: Vec<Found> = removed.collect();
    for (name, row) in &sides.after.rows {
        let before = sides.before.rows.get(name);
        let secret = row[1];
        let is_new_and_locked =
            before.is_none() && added.contains(name) && secret.starts_with(password::LOCKED);
        if is_new_and_locked {
            continue;
        }
        let state = |row: &Vec<&str>| format!("password of {name}: {}", word(row[1]));
        match before {
            Some(before) if before[1] == secret => {
                // The day on which it expires; when a password was changed says nothing by itself.
                if before[7] != row[7] {
                    let day = |row: &Vec<&str>| Some(format!("{name} expires: {}", row[7]));
                    found.push(sides.written(day(before), day(row)));
                }
            }
            Some(before) if word(before[1]) == word(secret) => {
                let after = format!("{}, another than before", state(row));
                found.push(sides.written(Some(state(before)), Some(after)));
            }
            _ => found.push(sides.written(before.map(state), Some(state(row)))),
        }
    }
    found
}

/// Who may change a group, and who is of it by gshadow(5) alone.
fn administrators(sides: &Sides<'_>, group: Option<&Sides<'_>>) -> Vec<Found> {
    let mut found = Vec::new();
    for (name, row) in &sides.after.rows {
        let before = sides.before.rows.get(name);
        let was = |at: usize| before.map_or("", |before| before[at]);
        let known = group.and_then(|group| group.after.rows.get(name));
        let known = known.map_or_else(BTreeSet::new, |row| list(row[3]));
        let (old, new) = (list(was(3)), list(row[3]));
        let hidden = new.difference(&old).any(|user| !known.contains(user));
        let secret = row[1];
        let opened =
            was(1) != secret && !secret.starts_with(password::LOCKED) && secret != password::NONE;
        if hidden || was(2) != row[2] || (opened && secret != "x") {
            let line = |row: &Vec<&str>| format!("{name}:{}:{}:{}", word(row[1]), row[2], row[3]);
            found.push(sides.written(before.map(line), Some(line(row))));
        }
    }
    found
}

/// Lines nobody understands that came or went.
fn odd(sides: &Sides<'_>) -> Vec<Found> {
    let line = |line: &&&str| cut(line, SHOWN);
    let came = sides.after.odd.difference(&sides.before.odd);
    let went = sides.before.odd.difference(&sides.after.odd);
    let came = came.map(|odd| sides.written(None, Some(line(&odd))));
    let went = went.map(|odd| sides.written(Some(line(&odd)), None));
    came.chain(went).collect()
}

/// The file as such is written, or gone, and what it says is not known.
fn unread(change: &PathChange) -> Found {
    let path = change.path.clone();
    let of = |entry: &Entry| Some(format!("{:04o}, not read", entry.mode));
    let kind = match &change.after {
        Some(after) => Kind::FileWrite {
            path,
            tree: false,
            mode: Some(after.mode),
            owner: match after.uid {
                0 => "root".to_owned(),
                uid => uid.to_string(),
            },
        },
        None => Kind::FileDelete { path },
    };
    Found {
        before: change.before.as_ref().and_then(of),
        after: change.after.as_ref().and_then(of),
        ..Found::of(kind, change)
    }
}

impl<'t> Sides<'t> {
    /// The first fields that are new.
    fn added(&self) -> impl Iterator<Item = &'t str> + '_ {
        let after = self.after.rows.keys().copied();
        after.filter(|name| !self.before.rows.contains_key(name))
    }

    /// The file's own permissions have changed.
    fn opened(&self) -> Option<Found> {
        let (before, after) = (self.change.before.as_ref()?, self.change.after.as_ref()?);
        let says = |entry: &Entry| format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid);
        (says(before) != says(after)).then(|| self.written(Some(says(before)), Some(says(after))))
    }

    fn removed(&self) -> impl Iterator<Item = (&&'t str, &Vec<&'t str>)> {
        let before = self.before.rows.iter();
        before.filter(|(name, _)| !self.after.rows.contains_key(*name))
    }

    fn written(&self, before: Option<String>, after: Option<String>) -> Found {
        let kind = Kind::FileWrite {
            path: self.change.path.clone(),
            tree: false,
            mode: self.change.after.as_ref().map(|entry| entry.mode),
            owner: "root".to_owned(),
        };
        Found {
            before: before.map(|line| cut(&line, SHOWN)),
            after: after.map(|line| cut(&line, SHOWN)),
            ..Found::of(kind, self.change)
        }
    }
}

/// The lines of a file, by their first field; an absent file has none. `None` if nobody knows.
fn table(entry: &Option<Entry>, fields: usize) -> Option<Table<'_>> {
    let Some(entry) = entry else {
        return Some(Table::default());
    };
    let mut table = Table::default();
    for line in text(entry)?.lines().filter(|line| !line.trim().is_empty()) {
        let row: Vec<&str> = line.split(':').collect();
        let name = row[0];
        let fits = row.len() == fields && !name.is_empty() && !name.starts_with(['+', '-', '#']);
        if fits && !table.rows.contains_key(name) {
            table.rows.insert(name, row);
        } else {
            table.odd.insert(line);
        }
    }
    Some(table)
}

fn names_of(groups: &Table<'_>) -> BTreeMap<u32, String> {
    let rows = groups.rows.iter();
    rows.filter_map(|(name, row)| Some((row[2].parse().ok()?, (*name).to_owned())))
        .collect()
}

fn list(text: &str) -> BTreeSet<&str> {
    text.split(',').filter(|word| !word.is_empty()).collect()
}

/// What is said of a password, without the mark of its hash.
fn word(secret: &str) -> &str {
    secret.split('=').next().unwrap_or(secret)
}

/// A line without its second field.
fn shown(row: &[&str]) -> String {
    let rest = row.get(2..).unwrap_or_default().join(":");
    cut(&format!("{}:{rest}", row[0]), SHOWN)
}
