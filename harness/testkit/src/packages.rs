//! Packages as short as they can be: one that has all that changed, so that a log of something else has
//! nothing in it that nobody explains.

use assay_wire::digest::Digest;
use assay_wire::event::{Body, Envelope};
use assay_wire::manifest::Entry;
use assay_wire::name::CellId;
use assay_wire::package::{
    Chain, KeyPlace, PackageCame, PackageContent, PackageRead, PackagedOwner, PackagedPath,
    Signature,
};

/// The package that brought everything a cell's manifests show, signed by the image's own key; `None` if
/// nothing came, or if the log says itself what packages there were.
pub(crate) fn of_everything(events: &[Envelope], cell: &CellId) -> Option<PackageCame> {
    let mut files = Vec::new();
    for event in events
        .iter()
        .filter(|event| event.cell.as_ref() == Some(cell))
    {
        match &event.body {
            Body::Package(_) => return None,
            Body::Manifest(manifest) => {
                for change in &manifest.paths {
                    if let Some(after) = &change.after {
                        files.push(packaged(&change.path, after));
                    }
                }
            }
            Body::RunStarted(_)
            | Body::CellPlanned(_)
            | Body::AttemptStarted { .. }
            | Body::ContentReady(_)
            | Body::ContentRefused(_)
            | Body::SandboxStarted(_)
            | Body::Executor(_)
            | Body::Output(_)
            | Body::Trace(_)
            | Body::Request(_)
            | Body::CrossChecked(_)
            | Body::AttemptFailed(_)
            | Body::SandboxLeft(_)
            | Body::CellEnded(_)
            | Body::RunEnded { .. } => {}
        }
    }
    if files.is_empty() {
        return None;
    }
    Some(PackageCame {
        op: None,
        url: "https://packages.assay.test/everything.deb".to_owned(),
        sha256: Digest::of(b"everything"),
        bytes: 10,
        content: PackageContent::Read(PackageRead {
            name: "everything".to_owned(),
            version: "1.0".to_owned(),
            architecture: "all".to_owned(),
            total: files.len() as u64,
            files,
            scripts: Vec::new(),
        }),
        chain: Chain {
            own: Signature::Verified {
                fingerprint: "A".repeat(40),
                key: KeyPlace::Image {
                    path: "/usr/share/keyrings/archive.gpg".to_owned(),
                },
            },
            index: None,
        },
    })
}

fn packaged(path: &str, entry: &Entry) -> PackagedPath {
    let owner = |id: u32| PackagedOwner {
        name: String::new(),
        id: Some(id),
    };
    PackagedPath {
        path: path.to_owned(),
        kind: Some(entry.kind),
        mode: entry.mode,
        user: owner(entry.uid),
        group: owner(entry.gid),
        sha256: entry.sha256,
        points_to: entry.points_to.clone(),
        capabilities: entry.capability.as_ref().map(|hex| format!("0x{hex}")),
        configuration: false,
    }
}
