//! The privileged operations that actions declare: recorded where an action becomes ops, because only
//! there it is known what they mean. No argv is read back.
//!
//! Every command of root's is one of them, the questions of guards included. What packages bring is
//! none: no action says it. Connections are none either: which hosts a plan may ask is said by its
//! URLs. How grave an operation is, is not said here.

use assay_wire::digest::Digest;
use assay_wire::name::GuestPath;
use assay_wire::plan::{Action, Guard, Op, OpId, Privilege};
use assay_wire::privileged::{
    KeyIdentity, Kind, OperationEvidence, PrivilegedOperation, SourcePlace, kind_of_file,
    kind_of_program, kind_of_tree,
};
use assay_wire::program::USER;

use crate::repository::{Key, Repository};

/// What ops mean, as it is learned.
#[derive(Debug, Default)]
pub(crate) struct Declared(Vec<(OpId, Kind, OperationEvidence)>);

impl Declared {
    /// An op does this.
    pub(crate) fn add(&mut self, op: OpId, kind: Kind, evidence: OperationEvidence) {
        self.0.push((op, kind, evidence));
    }

    /// An op writes the key of a repository.
    pub(crate) fn key(&mut self, op: OpId, path: &GuestPath, repository: &Repository) {
        let (url, sha256) = match &repository.key {
            Key::File { url, sha256, .. } => (Some(url.clone()), Some(*sha256)),
            Key::Fingerprint(_) => (None, None),
        };
        for key in identities(&repository.key) {
            let kind = Kind::PkgKey {
                key,
                repository: Some(repository.url().to_owned()),
                scope: repository.key_scope(),
            };
            let evidence = OperationEvidence {
                path: Some(path.to_string()),
                sha256,
                url: url.clone(),
                ..OperationEvidence::default()
            };
            self.add(op, kind, evidence);
        }
    }

    /// An op writes a repository's file, with this text.
    pub(crate) fn source(
        &mut self,
        op: OpId,
        path: &GuestPath,
        text: &str,
        repository: &Repository,
    ) {
        let kind = Kind::PkgSource {
            place: SourcePlace::Url(repository.url().to_owned()),
            signed_by: identities(&repository.key),
            scope: repository.key_scope(),
        };
        let evidence = OperationEvidence {
            path: Some(path.to_string()),
            sha256: Some(Digest::of(text.as_bytes())),
            ..OperationEvidence::default()
        };
        self.add(op, kind, evidence);
    }

    /// An op writes a file. What lies in a special place is that whoever owns it; everything else is
    /// privileged only where root owns it, or where it runs as its owner.
    pub(crate) fn file(
        &mut self,
        op: OpId,
        path: &GuestPath,
        (mode, owner): (u32, Privilege),
        evidence: OperationEvidence,
    ) {
        let special = kind_of_file(path, evidence.sha256);
        let program = kind_of_program(path, mode, user(owner));
        let plain = matches!(program, Kind::FileWrite { .. });
        let counts = !plain || (special.is_none() && owner == Privilege::Root);
        let evidence = OperationEvidence {
            path: Some(path.to_string()),
            ..evidence
        };
        for kind in special.into_iter().chain(counts.then_some(program)) {
            self.add(op, kind, evidence.clone());
        }
    }

    /// An op unpacks an archive, whose hash is known if a step downloads it.
    pub(crate) fn tree(
        &mut self,
        op: OpId,
        folder: &GuestPath,
        owner: Privilege,
        sha256: Option<Digest>,
    ) {
        let plain = || Kind::FileWrite {
            path: folder.to_string(),
            tree: true,
            mode: None,
            owner: user(owner).to_owned(),
        };
        let root = owner == Privilege::Root;
        let kind = kind_of_tree(folder, sha256).or_else(|| root.then(plain));
        let evidence = OperationEvidence {
            path: Some(folder.to_string()),
            sha256,
            ..OperationEvidence::default()
        };
        if let Some(kind) = kind {
            self.add(op, kind, evidence);
        }
    }

    /// All of it, in the order of the ops and with their steps; the commands of root's among it.
    pub(crate) fn finish(mut self, ops: &[Op]) -> Vec<PrivilegedOperation> {
        let mut declared = Vec::new();
        for op in ops {
            let root = op.privilege == Privilege::Root;
            for argv in commands(op).into_iter().filter(|_| root) {
                let program = argv.first().cloned().unwrap_or_default();
                let kind = Kind::ExecRoot { program };
                let evidence = OperationEvidence::argv(argv);
                declared.push(PrivilegedOperation::declared(
                    op.id,
                    op.steps.clone(),
                    kind,
                    evidence,
                ));
            }
            let of_op = self.0.extract_if(.., |(id, _, _)| *id == op.id);
            declared.extend(of_op.map(|(id, kind, evidence)| {
                PrivilegedOperation::declared(id, op.steps.clone(), kind, evidence)
            }));
        }
        declared
    }
}

/// The commands of an op: what it asks first, and what it does.
fn commands(op: &Op) -> Vec<&[String]> {
    let asked = match &op.guard {
        Some(Guard::Asks { argv, .. }) => Some(argv.as_slice()),
        Some(Guard::OnPath(_)) | None => None,
    };
    let done = match &op.action {
        Action::Run { argv } => Some(argv.as_slice()),
        Action::Write { .. } | Action::Extract { .. } => None,
    };
    asked.into_iter().chain(done).collect()
}

/// The keys in a repository's file of keys: by the fingerprints its author declares, else by the hash
/// of the file, so that another file is another key.
fn identities(key: &Key) -> Vec<KeyIdentity> {
    let prints = |prints: &[String]| {
        prints
            .iter()
            .cloned()
            .map(KeyIdentity::Fingerprint)
            .collect()
    };
    match key {
        Key::File {
            fingerprints,
            sha256,
            ..
        } if fingerprints.is_empty() => vec![KeyIdentity::Sha256(*sha256)],
        Key::File { fingerprints, .. } => prints(fingerprints),
        Key::Fingerprint(fingerprint) => prints(std::slice::from_ref(fingerprint)),
    }
}

fn user(owner: Privilege) -> &'static str {
    match owner {
        Privilege::Root => "root",
        Privilege::User => USER,
    }
}

#[cfg(test)]
mod tests;
