//! Journals of runs in which packages brought something, as a runner would write them: of the plans that the
//! command itself makes of a project's recipes.

use assay_testkit::log::{file, planned};
use assay_testkit::{Log, added};
use assay_wire::digest::Digest;
use assay_wire::event::{Body, CellEnded, Ending, ManifestPoint};
use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::package::{
    Chain, KeyPlace, PackageCame, PackageContent, PackageRead, PackagedOwner, PackagedPath,
    Signature,
};
use assay_wire::plan::{Action, OpId, Plan};

use super::RUN;
use crate::env::TestEnv;

/// A recipe that installs a package and joins a group.
pub(super) fn recipe(name: &str) -> String {
    format!(
        "[metadata]\nname = \"{name}\"\n\n[[steps]]\nid = \"install\"\naction = \"apt_install\"\n\
         packages = [\"{name}\"]\n\n[[steps]]\nid = \"join\"\naction = \"group_add\"\n\
         group = \"docker\"\n"
    )
}

pub(super) fn project() -> TestEnv {
    TestEnv::empty()
        .with("assay.toml", "targets = [\"debian-12\", \"debian-13\"]\n")
        .with("recipes/engine.toml", recipe("engine"))
}

/// The plan of a recipe of the project as it is now.
pub(super) fn plan(env: &TestEnv, recipe: &str, target: &str) -> Plan {
    let document = env.run(&format!("plan {recipe} --on {target} --format json"));
    let plan = document.json()["plans"][0]["plan"].clone();
    serde_json::from_value(plan).expect("a plan")
}

/// What a package brings: paths with their modes, of what is in the image already none.
pub(super) struct Brings {
    pub(super) package: &'static str,
    pub(super) paths: &'static [(&'static str, u32)],
}

/// A package with something setuid.
pub(super) const HELPER: Brings = Brings {
    package: "engine-helper",
    paths: &[("/usr/bin/helper", 0o4755), ("/usr/bin/other", 0o755)],
};

/// One that starts at boot, and is two paths more than files.
pub(super) const ENGINE: Brings = Brings {
    package: "engine",
    paths: &[
        ("/etc/cron.d/engine", 0o644),
        ("/usr/lib/systemd/system/engine.service", 0o644),
        ("/usr/bin/engine", 0o755),
    ],
};

/// The same after an upgrade: one part more, one less.
pub(super) const UPGRADED: Brings = Brings {
    package: "engine",
    paths: &[
        ("/usr/lib/systemd/system/engine.service", 0o644),
        ("/usr/lib/systemd/system/engine.socket", 0o644),
        ("/usr/bin/engine", 0o755),
    ],
};

fn entry(mode: u32) -> Entry {
    file(mode, b"of a package")
}

fn came(brings: &Brings) -> PackageCame {
    let owner = || PackagedOwner {
        name: "root".to_owned(),
        id: Some(0),
    };
    let path = |(path, mode): &(&str, u32)| PackagedPath {
        path: (*path).to_owned(),
        kind: Some(EntryKind::File),
        mode: *mode,
        user: owner(),
        group: owner(),
        sha256: entry(*mode).sha256,
        points_to: None,
        capabilities: None,
        configuration: false,
    };
    PackageCame {
        op: None,
        url: format!("https://packages.assay.test/{}.deb", brings.package),
        sha256: Digest::of(brings.package.as_bytes()),
        bytes: 10,
        content: PackageContent::Read(PackageRead {
            name: brings.package.to_owned(),
            version: "1.0".to_owned(),
            architecture: "all".to_owned(),
            total: brings.paths.len() as u64,
            files: brings.paths.iter().map(path).collect(),
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
    }
}

/// A cell that goes well: its install brings packages, and something that is nobody's.
pub(super) fn cell(
    log: Log,
    env: &TestEnv,
    name: &str,
    brings: &[&Brings],
    nobodys: &[&str],
) -> Log {
    let (target, recipe) = name.split_once(':').expect("a cell");
    let plan = plan(env, recipe, target);
    let ops = plan.ops.clone();
    let mut log = log.planned(name, planned(plan)).attempt(1);
    for op in &ops {
        let is_install =
            matches!(&op.action, Action::Run { argv } if argv.iter().any(|word| word == "install"));
        let ending = match op.action {
            Action::Run { .. } | Action::Extract { .. } => Ending::Exited(0),
            Action::Write { .. } => Ending::Written { changed: true },
        };
        log = log.printed(op.id.0, ending, said(&op.action), "");
        if op.applies() {
            let paths = if is_install {
                changes(brings, nobodys)
            } else {
                Vec::new()
            };
            log = log.manifest(ManifestPoint::Op(OpId(op.id.0)), paths, Vec::new());
        }
    }
    log = log.second(Vec::new(), Vec::new()).cross_checked(&[]);
    for brings in brings {
        log = log.body(Body::Package(Box::new(came(brings))));
    }
    log.ends(CellEnded::Finished)
}

fn changes(brings: &[&Brings], nobodys: &[&str]) -> Vec<PathChange> {
    let packaged = brings.iter().flat_map(|one| one.paths);
    let packaged = packaged.map(|(path, mode)| PathChange {
        after: Some(entry(*mode)),
        ..added(path)
    });
    packaged
        .chain(nobodys.iter().map(|path| added(path)))
        .collect()
}

/// The run of both targets.
pub(super) fn journal(env: &TestEnv, brings: &[&Brings], nobodys: &[&str]) -> String {
    let log = cell(Log::new(), env, "debian-12:engine", brings, nobodys);
    let log = cell(log, env, "debian-13:engine", brings, nobodys);
    log.end().journal()
}

pub(super) fn keep(env: &TestEnv, run: &str, journal: &str) {
    let journal = journal.replace(RUN, run);
    env.write(&format!(".assay/runs/{run}/journal.jsonl"), journal);
}

/// What an op prints: the groups of `dev`, or which version there is.
fn said(action: &Action) -> &'static str {
    match action {
        Action::Run { argv } if argv.iter().any(|word| word == "id") => "dev docker\n",
        Action::Run { .. } | Action::Extract { .. } | Action::Write { .. } => "installed 1.0\n",
    }
}
