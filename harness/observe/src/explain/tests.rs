//! The table of what explains what: a cell in which a package manager installs `web`, with one thing
//! different in each case.

use assay_testkit::log::file;
use assay_testkit::{Log, PlanBuilder, added, removed};
use assay_wire::digest::Digest;
use assay_wire::event::{Body, CellEnded, Trace};
use assay_wire::manifest::{Content, Entry, EntryKind, PathChange};
use assay_wire::package::{
    Chain, PackageCame, PackageContent, PackageRead, PackagedOwner, PackagedPath, PackagedScript,
    Signature,
};
use assay_wire::plan::OpId;
use assay_wire::privileged::{Kind, OperationEvidence, PrivilegedOperation};
use assay_wire::program::Pass;
use assay_wire::trace::{Call, ScriptText, StartedFor, TracedCall, TracedProgram};

use crate::delta::{Class, PathCounts, Why};
use crate::record::CellRecord;
use crate::risk::Risk;
use crate::{Record, fold};

/// The manager's own program, and what it executes.
const MANAGER: u32 = 1;
const DPKG: u32 = 2;
const POSTINST: u32 = 3;
const HELPER: u32 = 4;

/// A cell: `apt-get install web`, then `touch`, a command of root's that declares nothing.
struct Stage {
    programs: Vec<TracedProgram>,
    calls: Vec<TracedCall>,
    paths: Vec<PathChange>,
    packages: Vec<PackageCame>,
    declared: Vec<Kind>,
    /// The op that all of this belongs to.
    op: u32,
}

impl Stage {
    /// What an honest install looks like: one file, one script.
    fn honest() -> Self {
        let postinst = TracedProgram {
            scripts: vec![ScriptText {
                path: "/var/lib/dpkg/info/web.postinst".to_owned(),
                sha256: Some(Digest::of(b"postinst of web")),
            }],
            ..program(
                POSTINST,
                DPKG,
                "/usr/bin/dash",
                &["/bin/sh", "/var/lib/dpkg/info/web.postinst"],
            )
        };
        Self {
            programs: vec![
                program(
                    MANAGER,
                    0,
                    "/usr/bin/apt-get",
                    &["apt-get", "install", "web"],
                ),
                program(DPKG, MANAGER, "/usr/bin/dpkg", &["dpkg", "--unpack"]),
                postinst,
                program(HELPER, POSTINST, "/usr/bin/perl", &["perl", "helper"]),
            ],
            calls: Vec::new(),
            paths: Vec::new(),
            packages: vec![package(
                "web",
                vec![packaged("/usr/bin/web", 0o755, b"web")],
            )],
            declared: Vec::new(),
            op: 1,
        }
    }

    /// A path as it became, and who put it there.
    fn changed(mut self, path: &str, by: u32, change: PathChange) -> Self {
        self.calls.push(TracedCall {
            program: by,
            call: Call::Open,
            subject: path.to_owned(),
            detail: None,
            error: None,
            count: 1,
        });
        self.paths.push(PathChange {
            path: path.to_owned(),
            ..change
        });
        self
    }

    fn cell(self) -> CellRecord {
        let mut plan = PlanBuilder::new("debian-12", "web")
            .install("web")
            .run(&["touch", "x"])
            .write("/etc/web.conf", "told")
            .build();
        plan.declared = self
            .declared
            .into_iter()
            .map(|kind| {
                PrivilegedOperation::declared(OpId(1), vec![], kind, OperationEvidence::default())
            })
            .collect();
        let trace = Trace {
            op: OpId(self.op),
            pass: Pass::First,
            events: 1,
            programs: self.programs,
            calls: self.calls,
            gaps: Vec::new(),
        };
        let mut log = Log::new().cell("debian-12:web", plan).attempt(1);
        log = log.body(Body::Trace(trace)).changed(self.op, self.paths);
        for package in self.packages {
            log = log.body(Body::Package(Box::new(package)));
        }
        let log = log.ends(CellEnded::Finished).end();
        let Record { mut cells, .. } = fold(log.envelopes()).expect("a good log");
        cells.remove(0)
    }
}

fn program(id: u32, parent: u32, exe: &str, argv: &[&str]) -> TracedProgram {
    TracedProgram {
        id,
        parent: (parent > 0).then_some(parent),
        started_for: (parent == 0).then_some(StartedFor::Op),
        pid: 100 + id,
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cut: false,
        exe: exe.to_owned(),
        folder: "/".to_owned(),
        uid: 0,
        gid: 0,
        maintscript: None,
        scripts: Vec::new(),
    }
}

fn root() -> PackagedOwner {
    PackagedOwner {
        name: "root".to_owned(),
        id: Some(0),
    }
}

fn packaged(path: &str, mode: u32, bytes: &[u8]) -> PackagedPath {
    PackagedPath {
        path: path.to_owned(),
        kind: Some(EntryKind::File),
        mode,
        user: root(),
        group: root(),
        sha256: Some(Digest::of(bytes)),
        points_to: None,
        capabilities: None,
        configuration: false,
    }
}

fn package(name: &str, files: Vec<PackagedPath>) -> PackageCame {
    PackageCame {
        op: Some(OpId(1)),
        url: format!("https://packages.assay.test/{name}.deb"),
        sha256: Digest::of(name.as_bytes()),
        bytes: 1,
        content: PackageContent::Read(PackageRead {
            name: name.to_owned(),
            version: "1.0".to_owned(),
            architecture: "all".to_owned(),
            total: files.len() as u64,
            files,
            scripts: vec![PackagedScript {
                phase: "postinst".to_owned(),
                interpreter: "/bin/sh".to_owned(),
                sha256: Digest::of(format!("postinst of {name}").as_bytes()),
            }],
        }),
        chain: Chain {
            own: Signature::Verified {
                fingerprint: "00".repeat(20),
                key: assay_wire::package::KeyPlace::Image {
                    path: "/usr/share/keyrings/x.gpg".to_owned(),
                },
            },
            index: None,
        },
    }
}

fn became(mode: u32, bytes: &[u8]) -> PathChange {
    PathChange {
        after: Some(file(mode, bytes)),
        ..added("")
    }
}

fn text(before: Option<&str>, after: &str) -> PathChange {
    let entry = |text: &str| Entry {
        content: Some(Content::Text(text.to_owned())),
        ..file(0o644, text.as_bytes())
    };
    PathChange {
        path: String::new(),
        before: before.map(entry),
        after: Some(entry(after)),
    }
}

/// `kind subject: class` of every operation but the script that always runs.
fn classes(cell: &CellRecord) -> Vec<String> {
    let all = cell.observed.operations.iter();
    let all = all.filter(|seen| !matches!(seen.operation.kind, Kind::MaintscriptRun { .. }));
    all.map(|seen| {
        let class = match &seen.class {
            Class::Declared { by } => format!("declared by {by}"),
            Class::Accompanying { package } => format!("accompanies {package}"),
            Class::Undeclared { why: Why::Nobody } => "nobody's".to_owned(),
            Class::Undeclared { why: Why::Capture } => "not captured".to_owned(),
            Class::Undeclared {
                why: Why::Differs { package },
            } => format!("differs from {package}"),
            Class::Undeclared {
                why: Why::NotItsOwn { package },
            } => format!("not {package}'s"),
        };
        format!(
            "{} {}: {class}",
            seen.operation.kind.name(),
            seen.operation.subject
        )
    })
    .collect()
}

const UNIT: &str = "/usr/lib/systemd/system/x.service";
const UNIT_TEXT: &str = "[Service]\nExecStart=/usr/bin/web\n";

#[test]
fn what_explains_what() {
    let unit = |path: &str, text: &str| packaged(path, 0o644, text.as_bytes());
    let with = |files: Vec<PackagedPath>| Stage {
        packages: vec![package("web", files)],
        ..Stage::honest()
    };
    let other = |files: Vec<PackagedPath>| Stage {
        packages: vec![package("web", vec![]), package("other", files)],
        ..Stage::honest()
    };
    let cases: Vec<(&str, Stage, &[&str])> = vec![
        (
            "a file as its package has it is just counted",
            Stage::honest().changed("/usr/bin/web", DPKG, became(0o755, b"web")),
            &[],
        ),
        (
            "a special file as its package has it",
            with(vec![unit(UNIT, UNIT_TEXT)]).changed(UNIT, DPKG, text(None, UNIT_TEXT)),
            &["unit.file /usr/lib/systemd/system/x.service: accompanies web"],
        ),
        (
            "another content than the package's",
            Stage::honest().changed("/usr/bin/web", DPKG, became(0o755, b"evil")),
            &["file.write /usr/bin/web: differs from web"],
        ),
        (
            "another mode than the package's",
            Stage::honest().changed("/usr/bin/web", DPKG, became(0o4755, b"web")),
            &["file.setuid /usr/bin/web 4755 root: differs from web"],
        ),
        (
            "a mode that the package's own script gives it",
            Stage::honest().changed("/usr/bin/web", POSTINST, became(0o4755, b"web")),
            &["file.setuid /usr/bin/web 4755 root: accompanies web"],
        ),
        (
            "a file that no package has, by the manager",
            Stage::honest().changed("/opt/x", DPKG, became(0o644, b"x")),
            &["file.write /opt/x: nobody's"],
        ),
        (
            "a file that a script makes is just counted",
            Stage::honest().changed("/opt/x", HELPER, became(0o644, b"x")),
            &[],
        ),
        (
            "a special file that a script makes",
            Stage::honest().changed("/etc/cron.d/x", HELPER, text(None, "* * * * * root x\n")),
            &["cron /etc/cron.d/x: accompanies web"],
        ),
        (
            "a script changes what another package brought",
            other(vec![unit(UNIT, UNIT_TEXT)]).changed(
                UNIT,
                POSTINST,
                text(None, "[Service]\nExecStart=/evil\n"),
            ),
            &["unit.file /usr/lib/systemd/system/x.service: not web's"],
        ),
        (
            "a script changes what the image had",
            Stage::honest().changed(
                UNIT,
                POSTINST,
                text(Some(UNIT_TEXT), "[Service]\nExecStart=/evil\n"),
            ),
            &["unit.file /usr/lib/systemd/system/x.service: not web's"],
        ),
        (
            "a script removes what the image had",
            Stage::honest().changed("/usr/bin/ls", POSTINST, removed("")),
            &["file.delete /usr/bin/ls: not web's"],
        ),
        (
            "a script registers where every package does",
            Stage::honest().changed(
                "/etc/shells",
                POSTINST,
                text(Some("/bin/sh\n"), "/bin/sh\n/bin/web\n"),
            ),
            &[],
        ),
        (
            "an account that a script adds",
            Stage::honest().changed(
                "/etc/passwd",
                HELPER,
                text(
                    Some("root:x:0:0::/root:/bin/sh\n"),
                    "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n",
                ),
            ),
            &[
                "user.add toor: accompanies web",
                "group.member toor -> root: accompanies web",
            ],
        ),
        (
            "a manager's own state",
            Stage::honest().changed("/var/lib/dpkg/status", DPKG, became(0o644, b"x")),
            &[],
        ),
        (
            "what an op declares, whoever does it",
            Stage {
                declared: vec![Kind::UnitEnabled {
                    unit: "x.service".to_owned(),
                }],
                ..Stage::honest()
            }
            .changed(
                "/etc/systemd/system/multi-user.target.wants/x.service",
                HELPER,
                link(UNIT),
            ),
            &["unit.enabled x.service: declared by 1"],
        ),
        (
            "a script that only says that it is one",
            Stage {
                programs: vec![
                    program(MANAGER, 0, "/usr/bin/apt-get", &["apt-get"]),
                    TracedProgram {
                        maintscript: Some(assay_wire::trace::MaintScript {
                            package: "web".to_owned(),
                            script: "postinst".to_owned(),
                        }),
                        ..program(DPKG, MANAGER, "/usr/bin/dash", &["/bin/sh", "x"])
                    },
                ],
                ..Stage::honest()
            }
            .changed("/etc/cron.d/x", DPKG, text(None, "* * * * * root x\n")),
            &["cron /etc/cron.d/x: nobody's"],
        ),
        (
            "a script whose text is not the package's",
            Stage {
                programs: vec![
                    program(MANAGER, 0, "/usr/bin/apt-get", &["apt-get"]),
                    program(DPKG, MANAGER, "/usr/bin/dpkg", &["dpkg"]),
                    TracedProgram {
                        scripts: vec![ScriptText {
                            path: "/var/lib/dpkg/tmp.ci/preinst".to_owned(),
                            sha256: Some(Digest::of(b"another")),
                        }],
                        ..program(POSTINST, DPKG, "/usr/bin/dash", &["/bin/sh", "preinst"])
                    },
                ],
                ..Stage::honest()
            }
            .changed("/etc/cron.d/x", POSTINST, text(None, "* * * * * root x\n")),
            &["cron /etc/cron.d/x: nobody's"],
        ),
        (
            "a command of root's that declares nothing",
            Stage {
                programs: vec![program(9, 0, "/usr/bin/touch", &["touch", "x"])],
                op: 2,
                ..Stage::honest()
            }
            .changed("/opt/x", 9, became(0o644, b"x")),
            &["file.write /opt/x: nobody's"],
        ),
        (
            "what an op writes, to the byte",
            Stage {
                op: 3,
                programs: Vec::new(),
                ..Stage::honest()
            }
            .changed("/etc/web.conf", 0, became(0o644, b"told")),
            &[],
        ),
        (
            "what an op writes, and not to the byte",
            Stage {
                op: 3,
                programs: Vec::new(),
                ..Stage::honest()
            }
            .changed("/etc/web.conf", 0, became(0o644, b"else")),
            &["file.write /etc/web.conf: nobody's"],
        ),
    ];
    for (name, stage, wanted) in cases {
        let cell = stage.cell();
        assert_eq!(classes(&cell), wanted, "{name}");
    }
}

fn link(to: &str) -> PathChange {
    PathChange {
        after: Some(Entry {
            kind: EntryKind::Symlink,
            points_to: Some(to.to_owned()),
            sha256: None,
            ..file(0o777, b"")
        }),
        ..added("")
    }
}

#[test]
fn a_set_is_of_one_package_and_changes_with_any_of_its_parts() {
    let set = |schedule: &str| {
        let stage = Stage::honest()
            .changed("/etc/cron.d/x", HELPER, text(None, schedule))
            .changed("/usr/bin/web", DPKG, became(0o755, b"web"));
        let cell = stage.cell();
        assert_eq!(
            cell.delta.paths,
            PathCounts {
                packages: 1,
                scripts: 1,
                ..PathCounts::default()
            }
        );
        let [set] = &cell.delta.accompanying[..] else {
            panic!("one set: {:?}", cell.delta.accompanying);
        };
        assert_eq!(
            (set.operation.subject.as_str(), set.risk),
            ("web", Risk::Persistence)
        );
        assert_eq!(set.standing, None, "outside a project nothing is judged");
        set.digest
    };
    let hourly = set("0 * * * * root x\n");
    assert_eq!(hourly, set("0   * * * * root x\n"));
    assert_ne!(hourly, set("1 * * * * root x\n"));
}

#[test]
fn a_script_is_ordinary_where_somebody_vouches_for_its_package() {
    let risk = |chain: Chain| {
        let mut stage = Stage::honest();
        stage.packages[0].chain = chain;
        let cell = stage.cell();
        let script = cell.observed.operations.iter().find(|seen| {
            matches!(&seen.operation.kind, Kind::MaintscriptRun { package, phase }
                if package == "web" && phase == "postinst")
        });
        script.expect("it ran").risk
    };
    assert_eq!(risk(package("web", vec![]).chain), Risk::Ordinary);
    let unsigned = Chain {
        own: Signature::None,
        index: None,
    };
    assert_eq!(risk(unsigned), Risk::Privileged);
}
