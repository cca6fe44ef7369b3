//! Who a program is: a package's script, a manager, an op's own command, the user that may do nothing.
//!
//! A script is believed by the hash of its text alone: that of a package that came, or of a file that the
//! image had and that nothing has changed. What a program says of itself – dpkg's variables, a name – is
//! anybody's to set, and counts only where several packages have one text.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::digest::Digest;
use assay_wire::package::{PackageContent, PackagedScript};
use assay_wire::plan::{Action, Guard, OpId, Privilege};
use assay_wire::trace::{MaintScript, ScriptText, StartedFor, TracedProgram};

use crate::noise::{Manager, manager_of};
use crate::record::CellFacts;

/// Most generations looked through.
const GENERATIONS: usize = 64;

/// The folder of the scripts of installed packages (dpkg(1)).
const INSTALLED_SCRIPTS: &str = "/var/lib/dpkg/info/";

/// Whose script it is where a manager runs one that came with no package of this cell.
const INSTALLED_BEFORE: &str = "packages of the image";

/// Who a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doer {
    /// It is, or descends from, a script of a package.
    Script {
        /// The package.
        package: String,
        /// When it runs, by the manager's word; empty where that is not known.
        phase: String,
        /// Where the package stands among those that came; `None` for one of the image's.
        came: Option<usize>,
    },
    /// It belongs to an op that is a package manager's command.
    Manager {
        /// The op.
        op: OpId,
        /// True for what a manager runs and is not part of one: a hook.
        hook: bool,
    },
    /// It belongs to another op's command, and is root's.
    Op {
        /// The op.
        op: OpId,
    },
    /// It belongs to an op, and is not root's.
    User {
        /// Its user.
        uid: u32,
    },
    /// Nobody knows what it belongs to.
    Unknown,
}

impl Doer {
    /// The script it is, in a trace's words.
    pub(crate) fn into_script(self) -> Option<MaintScript> {
        match self {
            Self::Script { package, phase, .. } => Some(MaintScript {
                package,
                script: phase,
            }),
            Self::Manager { .. } | Self::Op { .. } | Self::User { .. } | Self::Unknown => None,
        }
    }
}

/// A script of a package that came.
#[derive(Debug, Clone, Copy)]
struct Known<'f> {
    package: &'f str,
    came: usize,
    script: &'f PackagedScript,
}

/// Programs of one cell, and what their scripts are.
pub(crate) struct Doers<'f> {
    facts: &'f CellFacts,
    programs: BTreeMap<u32, &'f TracedProgram>,
    /// The op in whose trace each stands.
    ops: BTreeMap<u32, OpId>,
    scripts: BTreeMap<Digest, Vec<Known<'f>>>,
    /// Hashes that the paths of installed scripts had before anything changed them.
    before: BTreeMap<&'f str, Option<Digest>>,
}

impl<'f> Doers<'f> {
    pub(crate) fn new(facts: &'f CellFacts, programs: BTreeMap<u32, &'f TracedProgram>) -> Self {
        let ops = facts.traces.iter().flat_map(|trace| {
            let of = trace.programs.iter();
            of.map(|program| (program.id, trace.op))
        });
        let mut scripts: BTreeMap<Digest, Vec<Known<'f>>> = BTreeMap::new();
        for (came, package) in facts.packages.iter().enumerate() {
            let PackageContent::Read(read) = &package.content else {
                continue;
            };
            for script in &read.scripts {
                scripts.entry(script.sha256).or_default().push(Known {
                    package: &read.name,
                    came,
                    script,
                });
            }
        }
        let mut before = BTreeMap::new();
        let changes = facts.manifests.iter().flat_map(|manifest| &manifest.paths);
        for change in changes.filter(|change| change.path.starts_with(INSTALLED_SCRIPTS)) {
            let was = change.before.as_ref().and_then(|entry| entry.sha256);
            before.entry(change.path.as_str()).or_insert(was);
        }
        Self {
            facts,
            programs,
            ops: ops.collect(),
            scripts,
            before,
        }
    }

    /// Programs by their numbers.
    pub(crate) fn programs(&self) -> &BTreeMap<u32, &'f TracedProgram> {
        &self.programs
    }

    /// Who a program is.
    pub(crate) fn of(&self, program: u32) -> Doer {
        let mut last = None;
        for program in self.line(program) {
            if let Some(script) = self.script(program) {
                return script;
            }
            last = Some(program);
        }
        let (Some(first), Some(root)) = (self.programs.get(&program), last) else {
            return Doer::Unknown;
        };
        let (Some(op), Some(why)) = (self.ops.get(&root.id), root.started_for) else {
            return Doer::Unknown;
        };
        if first.uid != 0 && self.is_of_user(*op, why) {
            return Doer::User { uid: first.uid };
        }
        match self.manager(*op, why, root) {
            Some(manager) => Doer::Manager {
                op: *op,
                hook: first.id != root.id && !is_part_of(manager, first),
            },
            None if first.uid != 0 => Doer::User { uid: first.uid },
            None => Doer::Op { op: *op },
        }
    }

    /// The script of a package that a program begins, by proof.
    pub(crate) fn begins(&self, program: &TracedProgram) -> Option<Doer> {
        let is_inherited = program.parent.is_some_and(|parent| {
            let parent = self.programs.get(&parent);
            parent.is_some_and(|parent| parent.scripts == program.scripts)
        });
        if is_inherited {
            return None;
        }
        self.script(program)
    }

    /// A program and those it descends from.
    fn line(&self, program: u32) -> impl Iterator<Item = &'f TracedProgram> + '_ {
        let parent = |program: &&'f TracedProgram| self.programs.get(&program.parent?).copied();
        let first = self.programs.get(&program).copied();
        std::iter::successors(first, parent).take(GENERATIONS)
    }

    fn script(&self, program: &TracedProgram) -> Option<Doer> {
        program.scripts.iter().find_map(|script| {
            self.came(program, script)
                .or_else(|| self.image(program, script))
        })
    }

    /// A script of a package that came, by its hash.
    fn came(&self, program: &TracedProgram, script: &ScriptText) -> Option<Doer> {
        let known = self.scripts.get(&script.sha256?)?;
        let named = |one: &&Known<'f>| {
            let (package, phase) = (one.package, one.script.phase.as_str());
            match installed(&script.path) {
                Some((name, when)) => name == package && when == phase,
                None => program
                    .maintscript
                    .as_ref()
                    .is_some_and(|said| said.package == package && said.script == phase),
            }
        };
        let said = |one: &&Known<'f>| {
            let mut argv = program.argv.iter();
            argv.any(|word| word.contains(one.script.phase.as_str()))
        };
        let mut all = known.iter();
        let one = all.clone().find(named).or_else(|| all.clone().find(said));
        let one = one.or_else(|| all.next())?;
        Some(Doer::Script {
            package: one.package.to_owned(),
            phase: one.script.phase.clone(),
            came: Some(one.came),
        })
    }

    /// A script that the image had: a file of dpkg's that is as it was, or what another manager itself was
    /// given to run by its database.
    fn image(&self, program: &TracedProgram, script: &ScriptText) -> Option<Doer> {
        let of = |package: &str, phase: &str| Doer::Script {
            package: package.to_owned(),
            phase: phase.to_owned(),
            came: None,
        };
        if let Some((package, phase)) = installed(&script.path) {
            let as_it_was = match self.before.get(script.path.as_str()) {
                None => true,
                Some(was) => was.is_some() && *was == script.sha256,
            };
            return as_it_was.then(|| of(package, phase));
        }
        let parent = self.programs.get(&program.parent?)?;
        let (op, why) = (self.ops.get(&parent.id)?, parent.started_for?);
        self.manager(*op, why, parent)
            .map(|_| of(INSTALLED_BEFORE, ""))
    }

    /// The manager that an op's own command, or a question of the harness, is.
    fn manager(&self, op: OpId, why: StartedFor, root: &TracedProgram) -> Option<Manager> {
        let (op, _) = self.facts.op(op)?;
        let by_guard = || match &op.guard {
            Some(Guard::Asks { argv, .. }) => argv.first(),
            Some(Guard::OnPath(_)) | None => None,
        };
        match (why, &op.action) {
            (StartedFor::Op, Action::Run { argv }) => manager_of(argv.first()?),
            (StartedFor::Op, Action::Write { .. } | Action::Extract { .. }) => None,
            (StartedFor::Question, _) => {
                let probes = self.facts.planned.harness.probes.iter();
                let mut asked = probes
                    .filter_map(|probe| probe.argv.first())
                    .chain(by_guard());
                let is_root = |word: &&String| root.argv.iter().take(2).any(|said| said == *word);
                asked.find(is_root).and_then(|word| manager_of(word))
            }
        }
    }

    /// True if an op's command is not root's.
    fn is_of_user(&self, op: OpId, why: StartedFor) -> bool {
        let op = self.facts.op(op).map(|(op, _)| op.privilege);
        why == StartedFor::Op && op == Some(Privilege::User)
    }
}

/// Package and phase of an installed script's path, such as `/var/lib/dpkg/info/libc6:amd64.postinst`.
fn installed(path: &str) -> Option<(&str, &str)> {
    let (name, phase) = path.strip_prefix(INSTALLED_SCRIPTS)?.rsplit_once('.')?;
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    Some((name, phase))
}

/// True for a program that is part of a manager and not a hook of it.
fn is_part_of(manager: Manager, program: &TracedProgram) -> bool {
    const APT: &[&str] = &[
        "apt",
        "apt-config",
        "apt-extracttemplates",
        "apt-get",
        "apt-key",
        "apt-preconfigure",
        "dpkg",
        "dpkg-deb",
        "dpkg-divert",
        "dpkg-preconfigure",
        "dpkg-query",
        "dpkg-split",
        "dpkg-statoverride",
        "dpkg-trigger",
        "gpgv",
        "rm",
        "sqv",
        "tar",
    ];
    const DNF: &[&str] = &[
        "dnf",
        "dnf5",
        "gpg",
        "gpg-agent",
        "gpgconf",
        "gpgsm",
        "rpm",
        "rpmkeys",
    ];
    const PACMAN: &[&str] = &[
        "gpg",
        "gpg-agent",
        "gpgconf",
        "gpgsm",
        "pacman",
        "pacman-conf",
        "pacman-key",
    ];
    let name = program.exe.rsplit('/').next().unwrap_or_default();
    let parts: BTreeSet<&str> = match manager {
        Manager::Apt => APT.iter().copied().collect(),
        Manager::Dnf => DNF.iter().copied().collect(),
        Manager::Pacman => PACMAN.iter().copied().collect(),
        Manager::Systemd => BTreeSet::new(),
    };
    parts.contains(name)
        || (manager == Manager::Apt && program.exe.starts_with("/usr/lib/apt/"))
        || (manager == Manager::Pacman && program.exe.starts_with("/.assay/"))
}
