//! Ops made of what steps ask for, in the order in which they are added: ids, refreshes in front of
//! installs, limits, guards and expectations. What is added when is [`crate::build`]'s.

use std::collections::BTreeMap;

use assay_recipe::model::{Check, GroupAdd};
use assay_recipe::package::Manager;
use assay_wire::name::{GuestPath, StepRef};
use assay_wire::plan::{Action, Content, Expects, FileContent, Guard, Limits, Op, OpId, Privilege};

use crate::group;
use crate::manager::{self, Mode};
use crate::presence::{Question, installed_range};
use crate::repository::{Repository, RepositoryFiles};
use crate::request::{Request, merge};

/// The ops so far, and what the next ones depend on.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    ops: Vec<Op>,
    content: Vec<Content>,
    /// True if a refresh stands behind the last repository.
    refreshed: bool,
    /// The repository that wrote each path, with its name.
    written: BTreeMap<String, (Repository, StepRef)>,
}

/// A repository whose name another one already has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameTaken {
    /// The name.
    pub(crate) name: String,
    /// The step that has it.
    pub(crate) by: StepRef,
}

/// What is asked to be installed by one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The packages.
    pub(crate) requests: Vec<Request>,
    /// Whether weak dependencies come, too.
    pub(crate) recommends: bool,
}

impl Ops {
    /// How many ops there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ops.len()).unwrap_or(u32::MAX)
    }

    /// The ops, and the content they use.
    pub(crate) fn finish(self) -> (Vec<Op>, Vec<Content>) {
        (self.ops, self.content)
    }

    /// Installs what these steps want: one refresh where none has run, one op per mode, then a
    /// question for every range the manager could not be told.
    pub(crate) fn install(&mut self, manager: Manager, wanted: &[&Wanted]) {
        let merged = merge(
            wanted
                .iter()
                .flat_map(|wanted| wanted.requests.iter().cloned()),
        );
        if merged.is_empty() {
            return;
        }
        if !self.refreshed {
            self.refresh(manager);
        }
        let recommends = |request: &Request| {
            wanted.iter().any(|wanted| {
                wanted.recommends
                    && wanted
                        .requests
                        .iter()
                        .any(|other| other.name == request.name)
            })
        };
        for (any, with_recommends) in [(true, false), (true, true), (false, false), (false, true)] {
            let requests: Vec<Request> = merged
                .iter()
                .filter(|request| request.is_any() == any && recommends(request) == with_recommends)
                .cloned()
                .collect();
            if !requests.is_empty() {
                self.install_op(
                    manager,
                    Mode {
                        any,
                        recommends: with_recommends,
                    },
                    &requests,
                );
            }
        }
        for request in &merged {
            if let Some(range) = request.verified_range() {
                self.ask(
                    request.steps.clone(),
                    installed_range(manager, &request.name, range),
                    Expects::Command,
                );
            }
        }
    }

    fn refresh(&mut self, manager: Manager) {
        self.refreshed = true;
        let op = self.run(
            Vec::new(),
            Privilege::Root,
            Limits::INSTALL,
            manager::refresh(manager),
        );
        op.once = true;
        op.expects = Expects::Success {
            failure_lines: manager::refresh_failure_lines(manager),
        };
    }

    fn install_op(&mut self, manager: Manager, mode: Mode, requests: &[Request]) {
        let mut steps: Vec<StepRef> = Vec::new();
        for step in requests.iter().flat_map(|request| &request.steps) {
            if !steps.contains(step) {
                steps.push(step.clone());
            }
        }
        let argv = manager::install(manager, mode, requests);
        let guard = if mode.any {
            manager::installed_guard(manager, requests)
        } else {
            None
        };
        let op = self.run(steps, Privilege::Root, Limits::INSTALL, argv);
        op.guard = guard;
        op.expects = Expects::Success {
            failure_lines: manager::failure_lines(manager),
        };
    }

    /// Writes a repository's key and file. A repository that is written already serves this step, too.
    ///
    /// # Errors
    /// When its author gave it a name that another repository has.
    pub(crate) fn repository(
        &mut self,
        step: &StepRef,
        repository: &Repository,
    ) -> Result<(), NameTaken> {
        let (name, files) = self.free_name(repository)?;
        if self.written.contains_key(&files.path) {
            for op in &mut self.ops {
                let of_it = matches!(&op.action, Action::Write { path, .. } if *path.as_str() == files.path || *path.as_str() == files.key_path);
                if of_it && !op.steps.contains(step) {
                    op.steps.push(step.clone());
                }
            }
            self.content_of(step, repository);
            return Ok(());
        }
        let paths = (
            files.key_path.parse::<GuestPath>(),
            files.path.parse::<GuestPath>(),
        );
        let (Ok(key_path), Ok(path)) = paths else {
            // Names are of plain characters and short, so every such path is inside its grammar.
            return Err(NameTaken {
                name,
                by: step.clone(),
            });
        };
        self.written
            .insert(files.path.clone(), (repository.clone(), step.clone()));
        self.content_of(step, repository);
        self.write(step, key_path, FileContent::Blob(repository.key_sha256));
        self.write(step, path, FileContent::Text(files.text));
        self.refreshed = false;
        Ok(())
    }

    /// The name and files of a repository: a name made here gives way to one that is taken, a name
    /// its author gave does not.
    fn free_name(&self, repository: &Repository) -> Result<(String, RepositoryFiles), NameTaken> {
        let name = repository
            .given_name
            .clone()
            .unwrap_or_else(|| repository.derived_name());
        let files = repository.files(&name);
        match self.written.get(&files.path) {
            Some((other, by))
                if other.kind != repository.kind || other.key_sha256 != repository.key_sha256 =>
            {
                if repository.given_name.is_some() {
                    return Err(NameTaken {
                        name,
                        by: by.clone(),
                    });
                }
                let name = format!("{name}-{}", repository.short_digest());
                let files = repository.files(&name);
                Ok((name, files))
            }
            Some(_) | None => Ok((name, files)),
        }
    }

    fn content_of(&mut self, step: &StepRef, repository: &Repository) {
        let known = |content: &Content| {
            content.sha256 == repository.key_sha256 && content.url == repository.key_url
        };
        if !self.content.iter().any(known) {
            self.content.push(Content {
                sha256: repository.key_sha256,
                url: repository.key_url.clone(),
                step: step.clone(),
            });
        }
    }

    fn write(&mut self, step: &StepRef, path: GuestPath, content: FileContent) {
        let action = Action::Write {
            path,
            mode: 0o644,
            owner: Privilege::Root,
            content,
        };
        self.add(vec![step.clone()], Privilege::Root, Limits::QUERY, action);
    }

    /// A user joins a group.
    pub(crate) fn group(&mut self, step: &StepRef, group_add: &GroupAdd) {
        for command in group::commands(group_add) {
            let op = self.run(
                vec![step.clone()],
                Privilege::Root,
                Limits::QUERY,
                command.argv,
            );
            op.guard = Some(command.guard);
        }
    }

    /// A question, asked once by the unprivileged user.
    pub(crate) fn ask(
        &mut self,
        steps: Vec<StepRef>,
        question: Question,
        expects: fn(assay_wire::plan::Presence) -> Expects,
    ) {
        let op = self.run(steps, Privilege::User, Limits::QUERY, question.argv);
        op.once = true;
        op.expects = expects(question.presence);
    }

    /// A check, run once by the unprivileged user.
    pub(crate) fn check(&mut self, step: StepRef, check: &Check) {
        let mut argv = vec![check.program.value.as_str().to_owned()];
        argv.extend(
            check
                .arguments
                .iter()
                .map(|argument| argument.value.as_str().to_owned()),
        );
        let texts = |texts: &[assay_recipe::Spanned<String>]| {
            texts
                .iter()
                .map(|text| text.value.clone())
                .collect::<Vec<_>>()
        };
        let expects = Expects::Check {
            name: check.name.value.clone(),
            exit_code: i32::from(check.expect.exit_code),
            stdout_contains: texts(&check.expect.stdout_contains),
            stderr_contains: texts(&check.expect.stderr_contains),
        };
        let limits = match &check.timeout {
            None => Limits::QUERY,
            Some(timeout) => {
                // Whole seconds, at least one: that is what a limit is made of.
                let seconds = timeout.value.as_millis().div_ceil(1000).max(1);
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                Limits {
                    seconds,
                    silent_seconds: seconds,
                    ..Limits::QUERY
                }
            }
        };
        let op = self.run(vec![step], Privilege::User, limits, argv);
        op.once = true;
        op.expects = expects;
    }

    fn run(
        &mut self,
        steps: Vec<StepRef>,
        privilege: Privilege,
        limits: Limits,
        argv: Vec<String>,
    ) -> &mut Op {
        self.add(steps, privilege, limits, Action::Run { argv })
    }

    fn add(
        &mut self,
        steps: Vec<StepRef>,
        privilege: Privilege,
        limits: Limits,
        action: Action,
    ) -> &mut Op {
        let op = Op {
            id: OpId(self.count().saturating_add(1)),
            steps,
            privilege,
            guard: None::<Guard>,
            limits,
            expects: Expects::Success {
                failure_lines: Vec::new(),
            },
            once: false,
            action,
        };
        let at = self.ops.len();
        self.ops.push(op);
        &mut self.ops[at]
    }
}
