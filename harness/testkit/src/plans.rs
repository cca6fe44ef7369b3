//! Plans for tests, in the shape the planner gives them: requirements first, a refresh before the
//! first install, verifications where they stand, checks last.

use assay_wire::digest::Digest;
use assay_wire::name::{StepId, StepRef, TargetId, Variant};
use assay_wire::plan::{
    Action, Content, ContentKind, Disposition, Evidence, Expects, FileContent, Guard, Limits, Op,
    OpId, Plan, PlannedStep, Presence, Privilege, SkipIf, Subject, VersionProbe, VersionRules,
};

/// Builds a plan of one recipe on one target, op by op.
#[derive(Debug, Clone)]
pub struct PlanBuilder {
    plan: Plan,
    steps: u32,
    requirements: u32,
    checks: u32,
}

/// The words that differ from manager to manager.
struct Manager {
    refresh: &'static [&'static str],
    install: &'static [&'static str],
    query: &'static [&'static str],
    action: &'static str,
    failure_lines: &'static [&'static str],
    rules: VersionRules,
}

impl PlanBuilder {
    /// An empty plan.
    ///
    /// # Panics
    /// If a name is outside its grammar.
    #[must_use]
    pub fn new(target: &str, recipe: &str) -> Self {
        let plan = Plan {
            target: target.parse().expect("a target"),
            variant: Variant::Minimal,
            boots: false,
            recipes: vec![recipe.parse().expect("a recipe name")],
            unsupported: None,
            steps: Vec::new(),
            content: Vec::new(),
            ops: Vec::new(),
            declared: Vec::new(),
        };
        Self {
            plan,
            steps: 0,
            requirements: 0,
            checks: 0,
        }
    }

    /// A `[[requires]]` entry about a command.
    #[must_use]
    pub fn requires_command(mut self, command: &str, minimum: Option<&str>) -> Self {
        let step = self.requirement();
        let expects = Expects::Requirement(command_presence(command, minimum));
        self.op(
            vec![step],
            Privilege::User,
            run(&[command, "--version"]),
            expects,
            true,
        )
    }

    /// A `[[requires]]` entry about a package.
    #[must_use]
    pub fn requires_package(mut self, package: &str, minimum: Option<&str>) -> Self {
        let step = self.requirement();
        let manager = self.manager();
        let presence = Presence {
            subject: Subject::Package(package.to_owned()),
            version: Some(VersionProbe {
                regex: "^installed (\\S+)$".to_owned(),
                minimum: minimum.map(str::to_owned),
                range: None,
                rules: manager.rules,
            }),
        };
        let action = run_with(manager.query, package);
        self.op(
            vec![step],
            Privilege::User,
            action,
            Expects::Requirement(presence),
            true,
        )
    }

    /// A refresh of the manager's lists, which serves no step.
    #[must_use]
    pub fn refresh(self) -> Self {
        let action = run(self.manager().refresh);
        self.op(Vec::new(), Privilege::Root, action, success(&[]), true)
    }

    /// An install of one package, with the guard that asks whether it is there.
    #[must_use]
    pub fn install(mut self, package: &str) -> Self {
        let manager = self.manager();
        let step = self.step(manager.action, Disposition::Applies);
        let action = run_with(manager.install, package);
        let mut built = self.op(
            vec![step],
            Privilege::Root,
            action,
            success(manager.failure_lines),
            false,
        );
        if let Some(op) = built.plan.ops.last_mut() {
            op.guard = Some(Guard::Asks {
                argv: words_with(manager.query, package),
                skip_if: SkipIf::ExitCode(0),
            });
        }
        built
    }

    /// A command run as root, without a guard.
    #[must_use]
    pub fn run(mut self, argv: &[&str]) -> Self {
        let step = self.step("group_add", Disposition::Applies);
        self.op(vec![step], Privilege::Root, run(argv), success(&[]), false)
    }

    /// A file written with a text.
    ///
    /// # Panics
    /// If the path is outside its grammar.
    #[must_use]
    pub fn write(mut self, path: &str, text: &str) -> Self {
        let step = self.step("apt_repo", Disposition::Applies);
        let action = Action::Write {
            path: path.parse().expect("a path inside a sandbox"),
            mode: 0o644,
            owner: Privilege::Root,
            content: FileContent::Text(text.to_owned()),
        };
        self.op(vec![step], Privilege::Root, action, success(&[]), false)
    }

    /// A `require_command` step.
    #[must_use]
    pub fn require_command(mut self, command: &str, minimum: Option<&str>) -> Self {
        let step = self.step("require_command", Disposition::Applies);
        let expects = Expects::Command(command_presence(command, minimum));
        self.op(
            vec![step],
            Privilege::User,
            run(&[command, "--version"]),
            expects,
            true,
        )
    }

    /// The range an installed package was asked for, verified in its place.
    #[must_use]
    pub fn require_range(mut self, package: &str, range: &str) -> Self {
        let manager = self.manager();
        let step = self.step(manager.action, Disposition::Applies);
        let presence = Presence {
            subject: Subject::Package(package.to_owned()),
            version: Some(VersionProbe {
                regex: "^installed (\\S+)$".to_owned(),
                minimum: None,
                range: Some(range.to_owned()),
                rules: manager.rules,
            }),
        };
        let action = run_with(manager.query, package);
        let expects = Expects::Command(presence);
        self.op(vec![step], Privilege::User, action, expects, true)
    }

    /// What shows that the step before did what it says.
    #[must_use]
    pub fn evidence(mut self, fact: &str, argv: &[&str], regex: &str) -> Self {
        let step = self.step("service_enable", Disposition::Applies);
        let expects = Expects::Evidence(Evidence {
            fact: fact.to_owned(),
            regex: regex.to_owned(),
        });
        self.op(vec![step], Privilege::User, run(argv), expects, true)
    }

    /// A `[[check]]` entry that must exit with 0 and print some text.
    #[must_use]
    pub fn check(mut self, name: &str, argv: &[&str], contains: &[&str]) -> Self {
        self.checks += 1;
        let step = self.named_step("check", self.checks, Disposition::Applies);
        let expects = Expects::Check {
            name: name.to_owned(),
            exit_code: 0,
            stdout_matches: None,
            stdout_contains: contains.iter().map(|text| (*text).to_owned()).collect(),
            stderr_contains: Vec::new(),
        };
        self.op(vec![step], Privilege::User, run(argv), expects, true)
    }

    /// A `manual` step.
    #[must_use]
    pub fn manual(mut self, text: &str) -> Self {
        let after = u32::try_from(self.plan.ops.len()).unwrap_or(u32::MAX);
        self.step(
            "manual",
            Disposition::Manual {
                text: text.to_owned(),
                after,
            },
        );
        self
    }

    /// A step that does not apply here.
    #[must_use]
    pub fn dropped(mut self, action: &str, reason: &str) -> Self {
        self.step(
            action,
            Disposition::Dropped {
                reason: reason.to_owned(),
            },
        );
        self
    }

    /// Content named by the next step.
    #[must_use]
    pub fn content(mut self, url: &str, bytes: &[u8]) -> Self {
        let step = self.reference(&(self.steps + 1).to_string());
        self.plan.content.push(Content {
            sha256: Digest::of(bytes),
            url: url.to_owned(),
            step,
            kind: ContentKind::File,
        });
        self
    }

    /// Marks the plan as one that installs nothing here although it does elsewhere.
    #[must_use]
    pub fn unsupported(mut self, reason: &str) -> Self {
        self.plan.unsupported = Some(reason.to_owned());
        self
    }

    /// The plan.
    #[must_use]
    pub fn build(self) -> Plan {
        self.plan
    }

    fn requirement(&mut self) -> StepRef {
        self.requirements += 1;
        self.named_step("requires", self.requirements, Disposition::Applies)
    }

    fn step(&mut self, action: &str, disposition: Disposition) -> StepRef {
        self.steps += 1;
        let step = self.reference(&self.steps.to_string());
        self.record(step, action, disposition)
    }

    fn named_step(&mut self, action: &str, number: u32, disposition: Disposition) -> StepRef {
        let step = self.reference(&format!("{action}-{number}"));
        self.record(step, action, disposition)
    }

    fn record(&mut self, step: StepRef, action: &str, disposition: Disposition) -> StepRef {
        self.plan.steps.push(PlannedStep {
            step: step.clone(),
            action: action.to_owned(),
            description: None,
            fallback: None,
            disposition,
        });
        step
    }

    fn reference(&self, step: &str) -> StepRef {
        let step: StepId = step.parse().expect("numbers and words are step ids");
        StepRef {
            recipe: self.plan.recipes[0].clone(),
            step,
        }
    }

    fn op(
        mut self,
        steps: Vec<StepRef>,
        privilege: Privilege,
        action: Action,
        expects: Expects,
        once: bool,
    ) -> Self {
        let position = u32::try_from(self.plan.ops.len()).unwrap_or(u32::MAX - 1) + 1;
        let limits = if once { Limits::QUERY } else { Limits::INSTALL };
        let id = OpId(position);
        self.plan.ops.push(Op {
            id,
            steps,
            privilege,
            guard: None,
            limits,
            expects,
            once,
            scope: None,
            action,
        });
        self
    }

    fn manager(&self) -> &'static Manager {
        manager_of(&self.plan.target)
    }
}

static APT: Manager = Manager {
    refresh: &["apt-get", "update"],
    install: &["apt-get", "install", "-y"],
    query: &["dpkg-query", "-W"],
    action: "apt_install",
    failure_lines: &[],
    rules: VersionRules::Dpkg,
};
static DNF: Manager = Manager {
    refresh: &["dnf", "makecache"],
    install: &["dnf", "install", "-y"],
    query: &["rpm", "-q"],
    action: "dnf_install",
    failure_lines: &["scriptlet failed"],
    rules: VersionRules::Rpm,
};
static PACMAN: Manager = Manager {
    refresh: &["pacman", "-Syu", "--noconfirm"],
    install: &["pacman", "-S", "--needed", "--noconfirm"],
    query: &["pacman", "-Q"],
    action: "pacman_install",
    failure_lines: &["error: command failed to execute correctly"],
    rules: VersionRules::Pacman,
};

fn manager_of(target: &TargetId) -> &'static Manager {
    match target.as_str().split('-').next() {
        Some("fedora" | "rocky") => &DNF,
        Some("arch") => &PACMAN,
        Some(_) | None => &APT,
    }
}

fn command_presence(command: &str, minimum: Option<&str>) -> Presence {
    Presence {
        subject: Subject::Command(command.to_owned()),
        version: minimum.map(|minimum| VersionProbe {
            regex: "([0-9]+(?:\\.[0-9]+)+)".to_owned(),
            minimum: Some(minimum.to_owned()),
            range: None,
            rules: VersionRules::Dotted,
        }),
    }
}

fn success(failure_lines: &[&str]) -> Expects {
    Expects::Success {
        failure_lines: failure_lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect(),
    }
}

fn run(argv: &[&str]) -> Action {
    Action::Run {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
    }
}

fn run_with(argv: &[&str], last: &str) -> Action {
    Action::Run {
        argv: words_with(argv, last),
    }
}

fn words_with(argv: &[&str], last: &str) -> Vec<String> {
    argv.iter()
        .chain([&last])
        .map(|word| (*word).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_numbered_by_position_and_verifications_run_once() {
        let plan = PlanBuilder::new("arch", "jq")
            .requires_command("tar", Some("1.30"))
            .refresh()
            .install("jq")
            .check("answers", &["jq", "--version"], &[])
            .build();
        let ids: Vec<u32> = plan.ops.iter().map(|op| op.id.0).collect();
        assert_eq!(ids, [1, 2, 3, 4]);
        let once: Vec<bool> = plan.ops.iter().map(|op| op.once).collect();
        assert_eq!(once, [true, true, false, true]);
    }
}
