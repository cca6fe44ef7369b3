//! What came into a sandbox and is, by its name, of packages.

use std::sync::{Arc, Mutex};

use assay_content::store::Store;
use assay_content::url::WebUrl;
use assay_packages::role::Role;
use assay_wire::digest::Digest;
use assay_wire::event::Request;
use assay_wire::plan::{ContentKind, OpId};

use super::{Given, lock};

/// Something that came whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// The op that ran.
    pub(super) op: Option<OpId>,
    /// Where from, without secrets.
    pub(super) url: String,
    /// What it is, by its name.
    pub(super) role: Role,
    /// The hash of its bytes.
    pub(super) sha256: Digest,
    /// How many those are.
    pub(super) bytes: u64,
    /// True if the plan declares it, so that it came beside the proxy.
    pub(super) is_declared: bool,
}

/// What came, while it comes. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Vec<Arrived>>>);

impl Arrivals {
    /// Takes note of what a request was answered with, if that is of packages and came whole.
    pub(crate) fn note(&self, request: &Request) {
        let (200, Some(sha256)) = (request.status, request.sha256) else {
            return;
        };
        if let Some(role) = Role::of_path(path_of(&request.url)) {
            lock(&self.0).push(Arrived {
                op: request.op,
                url: request.url.clone(),
                role,
                sha256,
                bytes: request.bytes,
                is_declared: false,
            });
        }
    }

    /// Everything that came so far.
    pub(crate) fn so_far(&self) -> Vec<Arrived> {
        lock(&self.0).clone()
    }
}

impl Arrived {
    /// The last part of its URL's path.
    pub(super) fn name(&self) -> &str {
        let path = path_of(&self.url);
        path.rsplit('/').next().unwrap_or(path)
    }

    /// Its URL without a query.
    pub(super) fn place(&self) -> &str {
        path_of(&self.url)
    }
}

/// Packages that a plan declares: whoever fetched them by their hash gave them to the sandbox, too.
pub(super) fn declared(given: &Given, store: &Store) -> Vec<Arrived> {
    let files = given.declared.iter().filter_map(|content| {
        match content.kind {
            ContentKind::File => {}
            ContentKind::Key { .. } => return None,
        }
        let role = Role::of_path(path_of(&content.url))?;
        let file = store.open_verified(&content.sha256).ok().flatten();
        let url = content.url.parse::<WebUrl>();
        Some(Arrived {
            op: None,
            url: url.map_or_else(|_| content.url.clone(), |url| url.redacted()),
            role,
            sha256: content.sha256,
            bytes: file
                .and_then(|file| file.metadata().ok())
                .map_or(0, |it| it.len()),
            is_declared: true,
        })
    });
    files.collect()
}

/// A URL without its query.
fn path_of(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}
