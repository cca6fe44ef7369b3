//! Ops made of what steps ask for, in the order in which they are added: ids, refreshes in front of
//! installs, limits, guards and expectations. What is added when is [`crate::build`]'s.

use std::collections::BTreeMap;

use assay_recipe::Spanned;
use assay_recipe::model::{Check, Extract, GroupAdd, InstallBinaries};
use assay_recipe::package::Manager;
use assay_recipe::system::{BinaryPath, Place, ServiceName};
use assay_recipe::when::Os;
use assay_wire::digest::Digest;
use assay_wire::name::{GuestPath, StepRef};
use assay_wire::plan::{
    Action, Content, ContentKind, Evidence, Expects, FileContent, Guard, Limits, Op, OpId,
    Privilege,
};
use assay_wire::privileged::{OperationEvidence, PrivilegedOperation};

use crate::declared::Declared;
use crate::locked::Locked;
use crate::manager::{self, Mode, words};
use crate::presence::{Question, installed_range};
use crate::repository::{Key, Repository, RepositoryFiles};
use crate::request::{Request, merge};
use crate::service::Verb;
use crate::{group, service};

/// For a unit's command: twice the 90 seconds that systemd gives a unit by default
/// (`DefaultTimeoutStartSec`, systemd-system.conf(5)).
const SERVICE: Limits = Limits {
    seconds: 180,
    silent_seconds: 180,
    ..Limits::QUERY
};

/// The permission bits of every file that is written.
const FILE_MODE: u32 = 0o644;

/// The ops so far, and what the next ones depend on.
#[derive(Debug, Default)]
pub(crate) struct Ops<'l> {
    locked: Locked<'l>,
    ops: Vec<Op>,
    content: Vec<Content>,
    /// True if a refresh stands behind the last repository.
    refreshed: bool,
    /// The repositories that are written, by the path of the manager's file.
    written: BTreeMap<String, Written>,
    declared: Declared,
}

/// A repository that is written.
#[derive(Debug)]
struct Written {
    repository: Repository,
    by: StepRef,
    key_path: String,
}

/// A repository that another step's stands in the way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// In what they disagree.
    pub(crate) about: About,
    /// The step that came first.
    pub(crate) by: StepRef,
}

/// In what two repository steps disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// They give this name to different repositories.
    Name(String),
    /// They give the repository at this URL different keys.
    Key(String),
    /// They set up the repository at this URL differently.
    Settings(String),
}

/// What is asked to be installed by one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The packages.
    pub(crate) requests: Vec<Request>,
    /// Whether weak dependencies come, too.
    pub(crate) recommends: bool,
    /// Whether the packages are casks of Homebrew.
    pub(crate) cask: bool,
    /// The command on whose presence nothing of it is installed; such a step is never merged.
    pub(crate) unless_command: Option<String>,
}

impl<'l> Ops<'l> {
    /// No op yet.
    pub(crate) fn new(locked: Locked<'l>) -> Self {
        Self {
            locked,
            ..Self::default()
        }
    }

    /// How many ops there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ops.len()).unwrap_or(u32::MAX)
    }

    /// The ops, the content they use, and what of it only root may do.
    pub(crate) fn finish(self) -> (Vec<Op>, Vec<Content>, Vec<PrivilegedOperation>) {
        let declared = self.declared.finish(&self.ops);
        (self.ops, self.content, declared)
    }

    /// Installs what these steps want: one refresh where none has run, one op per mode, then a
    /// question for every range the manager could not be told. A formula and a cask of one name are
    /// two things.
    pub(crate) fn install(&mut self, manager: Manager, wanted: &[&Wanted]) {
        let (casks, packages): (Vec<&Wanted>, Vec<&Wanted>) =
            wanted.iter().partition(|wanted| wanted.cask);
        self.install_kind(manager, &packages, false);
        self.install_kind(manager, &casks, true);
    }

    fn install_kind(&mut self, manager: Manager, wanted: &[&Wanted], cask: bool) {
        let merged = merge(
            wanted
                .iter()
                .flat_map(|wanted| wanted.requests.iter().cloned()),
        );
        let narrow = |request| self.locked.narrow(manager, request);
        let merged: Vec<Request> = merged.into_iter().map(narrow).collect();
        if merged.is_empty() {
            return;
        }
        if !self.refreshed {
            self.refresh(manager);
        }
        let with_recommends = |request: &Request| {
            wanted.iter().any(|wanted| {
                wanted.recommends
                    && wanted
                        .requests
                        .iter()
                        .any(|other| other.name == request.name)
            })
        };
        let unless = wanted
            .iter()
            .find_map(|wanted| wanted.unless_command.as_ref());
        for (any, recommends) in [(true, false), (true, true), (false, false), (false, true)] {
            let of_mode = |request: &&Request| {
                request.is_any() == any && with_recommends(request) == recommends
            };
            let requests: Vec<Request> = merged.iter().filter(of_mode).cloned().collect();
            if requests.is_empty() {
                continue;
            }
            let mode = Mode {
                any,
                recommends,
                cask,
            };
            let op = self.install_op(manager, mode, &requests);
            if let Some(command) = unless {
                op.guard = Some(Guard::OnPath(command.clone()));
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
            manager::privilege(manager),
            Limits::INSTALL,
            manager::refresh(manager),
        );
        op.once = true;
        op.expects = Expects::Success {
            failure_lines: manager::refresh_failure_lines(manager),
        };
    }

    fn install_op(&mut self, manager: Manager, mode: Mode, requests: &[Request]) -> &mut Op {
        let mut steps: Vec<StepRef> = Vec::new();
        for step in requests.iter().flat_map(|request| &request.steps) {
            if !steps.contains(step) {
                steps.push(step.clone());
            }
        }
        let argv = manager::install(manager, mode, requests);
        let guard = if mode.any {
            manager::installed_guard(manager, mode, requests)
        } else {
            None
        };
        let op = self.run(steps, manager::privilege(manager), Limits::INSTALL, argv);
        op.guard = guard;
        op.expects = Expects::Success {
            failure_lines: manager::failure_lines(manager),
        };
        op
    }

    /// Writes a repository's key and file. A repository that is written already serves this step,
    /// too, whatever name the step gives it: apt refuses a suite that two files name two keyrings for.
    ///
    /// # Errors
    /// When its author gave it a name that another repository has, or another step sets it up
    /// differently.
    pub(crate) fn repository(
        &mut self,
        step: &StepRef,
        repository: &Repository,
    ) -> Result<(), Disagreement> {
        let repository = &self.located(repository);
        let mut written = self.written.iter();
        if let Some((file, other)) =
            written.find(|(_, other)| other.repository.is_where(repository))
        {
            let about = if other.repository.key.identity() != repository.key.identity() {
                Some(About::Key(repository.url().to_owned()))
            } else if !other.repository.is_set_up_as(repository) {
                Some(About::Settings(repository.url().to_owned()))
            } else {
                None
            };
            if let Some(about) = about {
                let by = other.by.clone();
                return Err(Disagreement { about, by });
            }
            for op in &mut self.ops {
                let of_it = matches!(&op.action, Action::Write { path, .. } if *path.as_str() == *file || *path.as_str() == other.key_path);
                if of_it && !op.steps.contains(step) {
                    op.steps.push(step.clone());
                }
            }
            self.content_of(step, repository);
            return Ok(());
        }
        let (name, files) = self.free_name(repository)?;
        let paths = (
            files.key_path.parse::<GuestPath>(),
            files.path.parse::<GuestPath>(),
        );
        let (Ok(key_path), Ok(path)) = paths else {
            // Names are of plain characters and short, so every such path is inside its grammar.
            return Err(Disagreement {
                about: About::Name(name),
                by: step.clone(),
            });
        };
        let written = Written {
            repository: repository.clone(),
            by: step.clone(),
            key_path: files.key_path.clone(),
        };
        self.written.insert(files.path.clone(), written);
        self.content_of(step, repository);
        let key = match &repository.key {
            Key::File { sha256, .. } => FileContent::Blob(*sha256),
            Key::Fingerprint(fingerprint) => FileContent::Key(fingerprint.clone()),
        };
        let op = self.write(step, key_path.clone(), Privilege::Root, key);
        op.scope = Some(repository.key_scope());
        let id = op.id;
        self.declared.key(id, &key_path, repository);
        let text = FileContent::Text(files.text.clone());
        let id = self.write(step, path.clone(), Privilege::Root, text).id;
        self.declared.source(id, &path, &files.text, repository);
        self.refreshed = false;
        Ok(())
    }

    /// The repository, with the file of its key where the lock says which that is.
    fn located(&self, repository: &Repository) -> Repository {
        let mut located = repository.clone();
        if let Key::Fingerprint(fingerprint) = &repository.key
            && let Some(key) = self.locked.key(fingerprint)
        {
            located.key = Key::File {
                url: key.url.clone(),
                sha256: key.sha256,
                fingerprints: vec![fingerprint.clone()],
            };
        }
        located
    }

    /// The name and files of a repository: a name made here gives way to one that is taken, a name
    /// its author gave does not.
    fn free_name(
        &self,
        repository: &Repository,
    ) -> Result<(String, RepositoryFiles), Disagreement> {
        let name = repository
            .given_name
            .clone()
            .unwrap_or_else(|| repository.derived_name());
        let files = repository.files(&name);
        match self.written.get(&files.path) {
            // One that is set up alike has been found by its place.
            Some(other) => {
                if repository.given_name.is_some() {
                    return Err(Disagreement {
                        about: About::Name(name),
                        by: other.by.clone(),
                    });
                }
                let name = format!("{name}-{}", repository.short_digest());
                let files = repository.files(&name);
                Ok((name, files))
            }
            None => Ok((name, files)),
        }
    }

    fn content_of(&mut self, step: &StepRef, repository: &Repository) {
        if let Key::File {
            url,
            sha256,
            fingerprints,
        } = &repository.key
        {
            let kind = ContentKind::Key {
                fingerprints: fingerprints.clone(),
            };
            self.fetch(step, url, *sha256, kind);
        }
    }

    /// Bytes that are fetched before the sandbox starts.
    fn fetch(&mut self, step: &StepRef, url: &str, sha256: Digest, kind: ContentKind) {
        let known = |content: &Content| {
            content.sha256 == sha256 && content.url == url && content.kind == kind
        };
        if !self.content.iter().any(known) {
            self.content.push(Content {
                sha256,
                url: url.to_owned(),
                step: step.clone(),
                kind,
            });
        }
    }

    fn write(
        &mut self,
        step: &StepRef,
        path: GuestPath,
        owner: Privilege,
        content: FileContent,
    ) -> &mut Op {
        let action = Action::Write {
            path,
            mode: FILE_MODE,
            owner,
            content,
        };
        self.add(vec![step.clone()], owner, Limits::QUERY, action)
    }

    /// A file is fetched by its hash.
    pub(crate) fn download(&mut self, step: &StepRef, url: &str, sha256: Digest, dest: &Place) {
        self.fetch(step, url, sha256, ContentKind::File);
        let content = FileContent::Blob(sha256);
        let (path, owner) = (dest.path(), dest.owner());
        let id = self.write(step, path.clone(), owner, content).id;
        let evidence = OperationEvidence {
            sha256: Some(sha256),
            url: Some(url.to_owned()),
            ..OperationEvidence::default()
        };
        self.declared.file(id, path, (FILE_MODE, owner), evidence);
    }

    /// An archive is unpacked.
    pub(crate) fn extract(&mut self, step: &StepRef, extract: &Extract) {
        let owner = extract.dest.value.owner();
        let action = Action::Extract {
            archive: extract.archive.value.path().clone(),
            dest: extract.dest.value.path().clone(),
            owner,
            strip_components: extract.strip_components,
        };
        let id = self
            .add(vec![step.clone()], owner, Limits::INSTALL, action)
            .id;
        let sha256 = self.written_blob(extract.archive.value.path());
        let dest = extract.dest.value.path();
        self.declared.tree(id, dest, owner, sha256);
    }

    /// The hash of a file that an op before writes.
    fn written_blob(&self, file: &GuestPath) -> Option<Digest> {
        self.ops.iter().rev().find_map(|op| match &op.action {
            Action::Write {
                path,
                content: FileContent::Blob(sha256),
                ..
            } if path == file => Some(*sha256),
            Action::Write { .. } | Action::Run { .. } | Action::Extract { .. } => None,
        })
    }

    /// Files become programs: install(1), which every system has. That of Linux makes the folder
    /// itself, that of darwin does not, and root's group is another one there.
    pub(crate) fn install_binaries(&mut self, step: &StepRef, install: &InstallBinaries, os: Os) {
        let (dest, owner) = (
            install.dest.value.path().as_str(),
            install.dest.value.owner(),
        );
        let mode = format!("{:04o}", install.mode.value.bits());
        let steps = || vec![step.clone()];
        let mut argv = words(&["install", "-m", &mode]);
        if owner == Privilege::Root {
            let group = match os {
                Os::Linux => "root",
                Os::Darwin => "wheel",
            };
            argv.extend(words(&["-o", "root", "-g", group]));
        }
        let from = install.from.value.path();
        let file = |binary: &Spanned<BinaryPath>| format!("{from}/{}", binary.value.as_str());
        let files = install.binaries.iter().map(file);
        match os {
            Os::Linux => {
                argv.extend(words(&["-D", "-t", dest, "--"]));
                argv.extend(files);
            }
            Os::Darwin => {
                self.run(steps(), owner, Limits::QUERY, words(&["mkdir", "-p", dest]));
                argv.push("--".to_owned());
                argv.extend(files.chain([format!("{dest}/")]));
            }
        }
        let evidence = OperationEvidence::argv(&argv);
        let id = self.run(steps(), owner, Limits::INSTALL, argv).id;
        for binary in &install.binaries {
            // Both parts are of plain characters; a place that is too long is the op's own failure.
            let Ok(path) = format!("{dest}/{}", binary.value.name()).parse::<GuestPath>() else {
                continue;
            };
            let mode = install.mode.value.bits();
            self.declared
                .file(id, &path, (mode, owner), evidence.clone());
        }
    }

    /// A unit of systemd is enabled or started.
    pub(crate) fn service(&mut self, step: &StepRef, verb: Verb, service: &ServiceName) {
        let command = service::command(verb, service);
        let evidence = OperationEvidence::argv(&command.argv);
        let steps = vec![step.clone()];
        let op = self.run(steps, Privilege::Root, SERVICE, command.argv);
        op.guard = Some(command.guard);
        let id = op.id;
        self.declared
            .add(id, service::kind(verb, service), evidence);
        // Who is no root may not speak to every systemd.
        self.show(step, Privilege::Root, command.question, command.evidence);
    }

    /// The question whose answer shows what a step did.
    fn show(&mut self, step: &StepRef, who: Privilege, argv: Vec<String>, evidence: Evidence) {
        let op = self.run(vec![step.clone()], who, Limits::QUERY, argv);
        op.once = true;
        op.expects = Expects::Evidence(evidence);
    }

    /// A user joins a group.
    pub(crate) fn group(&mut self, step: &StepRef, group_add: &GroupAdd) {
        for command in group::commands(group_add) {
            let evidence = OperationEvidence::argv(&command.argv);
            let op = self.run(
                vec![step.clone()],
                Privilege::Root,
                Limits::QUERY,
                command.argv,
            );
            op.guard = Some(command.guard);
            let id = op.id;
            self.declared.add(id, command.kind, evidence);
        }
        let (question, evidence) = group::evidence(group_add);
        self.show(step, Privilege::User, question, evidence);
    }

    /// A question, asked once.
    pub(crate) fn ask(
        &mut self,
        steps: Vec<StepRef>,
        question: Question,
        expects: fn(assay_wire::plan::Presence) -> Expects,
    ) {
        let op = self.run(steps, question.privilege, Limits::QUERY, question.argv);
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
            stdout_matches: check
                .expect
                .stdout_matches
                .as_ref()
                .map(|regex| regex.value.clone()),
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
            scope: None,
            action,
        };
        let at = self.ops.len();
        self.ops.push(op);
        &mut self.ops[at]
    }
}
