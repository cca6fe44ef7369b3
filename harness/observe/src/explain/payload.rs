//! Whether a path is as a package has it: kind, mode, owner, content and capabilities, by what the package
//! itself says and not by what a manager noted of it.

use std::collections::BTreeMap;

use assay_wire::manifest::{Entry, EntryKind};
use assay_wire::package::{PackagedOwner, PackagedPath};

use crate::record::CellFacts;
use crate::state::capability_text;

/// Numbers of users or groups by their names.
pub(super) type Numbers = BTreeMap<String, u32>;

/// The users and groups of a cell, as they became.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: Numbers,
    groups: Numbers,
}

impl Accounts {
    /// Those of the image, and those that were added.
    pub(super) fn of(facts: &CellFacts) -> Self {
        let turned = |names: &BTreeMap<u32, String>| {
            let turned = names.iter().map(|(id, name)| (name.clone(), *id));
            turned.collect::<Numbers>()
        };
        let mut accounts = Self {
            users: turned(&facts.users),
            groups: turned(&facts.groups),
        };
        for change in facts.manifests.iter().flat_map(|manifest| &manifest.paths) {
            let numbers = match change.path.as_str() {
                "/etc/passwd" => &mut accounts.users,
                "/etc/group" => &mut accounts.groups,
                _ => continue,
            };
            let text = change.after.as_ref().and_then(crate::state::text);
            for line in text.unwrap_or_default().lines() {
                let mut fields = line.split(':');
                if let (Some(name), Some(_), Some(Ok(id))) =
                    (fields.next(), fields.next(), fields.next().map(str::parse))
                {
                    numbers.entry(name.to_owned()).or_insert(id);
                }
            }
        }
        accounts
    }
}

/// True if a path is as a package has it.
pub(super) fn equals(packaged: &PackagedPath, entry: &Entry, accounts: &Accounts) -> bool {
    let Some(kind) = packaged.kind else {
        return false;
    };
    let is_owned = owner_fits(&packaged.user, entry.uid, &accounts.users)
        && owner_fits(&packaged.group, entry.gid, &accounts.groups);
    if kind != entry.kind || !is_owned {
        return false;
    }
    match kind {
        EntryKind::Symlink => packaged.points_to == entry.points_to,
        EntryKind::File => {
            packaged.mode == entry.mode
                && packaged.sha256.is_some()
                && packaged.sha256 == entry.sha256
                && capabilities_fit(packaged, entry)
        }
        EntryKind::Folder => packaged.mode == entry.mode,
        EntryKind::Fifo | EntryKind::Socket | EntryKind::CharDevice | EntryKind::BlockDevice => {
            false
        }
    }
}

/// A manager goes by the name, where the machine has it; else dpkg and pacman by the number, and rpm by
/// root's (rpm(8): `user … does not exist - using root`).
fn owner_fits(owner: &PackagedOwner, id: u32, known: &Numbers) -> bool {
    if owner.name == "root" {
        return id == 0;
    }
    match known.get(&owner.name) {
        Some(number) => *number == id,
        None => owner.id.unwrap_or(0) == id || (id == 0 && !owner.name.is_empty()),
    }
}

fn capabilities_fit(packaged: &PackagedPath, entry: &Entry) -> bool {
    let has = capability_text(entry);
    match &packaged.capabilities {
        None => has.is_none(),
        Some(text) => match text.strip_prefix("0x") {
            Some(digits) => entry.capability.as_deref() == Some(digits),
            None => has.is_some_and(|has| squeezed(&has) == squeezed(text)),
        },
    }
}

/// cap_from_text(3) knows several ways to write one thing: `=ep`, `+ep`, blanks, capitals.
fn squeezed(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_whitespace());
    let plain = plain.map(|c| {
        if c == '+' {
            '='
        } else {
            c.to_ascii_lowercase()
        }
    });
    plain.collect::<String>().replace("=pe", "=ep")
}
