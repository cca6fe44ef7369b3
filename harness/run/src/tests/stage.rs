//! The world of a test: a journal, a store, a lab folder and scripted sandboxes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_content::fetch::{FetchPolicy, Fetcher};
use assay_content::lab_hosts::LabHosts;
use assay_content::proxy::{CertificateAuthority, Proxy, ProxyConfig};
use assay_content::store::Store;
use assay_content::upstream::UpstreamProxies;
use assay_observe::{Outcome, Record};
use assay_sandbox::fake::{FakeBackend, FakeOp, Recording, Script};
use assay_sandbox::lease::OwnerId;
use assay_sandbox::session::{Backend, SandboxLimits};
use assay_testkit::log::planned;
use assay_wire::control::{Directive, ToExecutor};
use assay_wire::event::{Body, Ending, InfraCause, Origin, RunStarted};
use assay_wire::lock::Network;
use assay_wire::name::CellId;
use assay_wire::plan::{OpId, Plan};
use assay_wire::program::Pass;
use tokio::sync::watch;

use crate::{CellJob, Context, Journal, PackageReader, RunError, run_cells};

/// What a test does when a fact is recorded. It is called with the journal locked.
type Reaction = Box<dyn Fn(&Body) + Send + Sync>;

/// The world of a test.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    /// What sandboxes play.
    pub(super) fake: FakeBackend,
    /// As `--timeout`.
    pub(super) cell_time: Duration,
    /// As `--keep-failed`.
    pub(super) keep_failed: bool,
    /// How many cells at once.
    pub(super) parallel: usize,
    reaction: Arc<Mutex<Option<Reaction>>>,
    interrupt: watch::Sender<bool>,
    journal: Arc<Journal>,
    jobs: Vec<CellJob>,
}

/// What a run came to.
pub(super) struct Ran {
    /// What the journal says.
    pub(super) record: Record,
    /// What was sent to each sandbox.
    pub(super) recordings: Vec<Recording>,
    /// What the scheduler says.
    pub(super) result: Result<(), RunError>,
    /// Keeps the files.
    pub(super) folder: tempfile::TempDir,
}

impl Stage {
    /// A world without cells.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let reaction: Arc<Mutex<Option<Reaction>>> = Arc::default();
        let react = Arc::clone(&reaction);
        let listener = Box::new(move |event: &assay_wire::event::Envelope| {
            if let Some(react) = &*react.lock().expect("no test panics while reacting") {
                react(&event.body);
            }
        });
        let run = "20260101-000000-abcd".parse().expect("a run id");
        let journal = Journal::create(run, &folder.path().join("journal.jsonl"), listener)
            .expect("a journal");
        Self {
            fake: FakeBackend::new(),
            cell_time: Duration::from_secs(3600),
            keep_failed: false,
            parallel: 2,
            reaction,
            interrupt: watch::Sender::new(false),
            journal: Arc::new(journal),
            jobs: Vec::new(),
            folder,
        }
    }

    /// Adds a cell whose sandboxes play these scripts, one for each attempt.
    pub(super) fn cell(&mut self, plan: Plan, scripts: impl IntoIterator<Item = Script>) -> CellId {
        let cell = CellId {
            target: plan.target.clone(),
            recipes: plan.recipes.clone(),
        };
        for script in scripts {
            self.fake.plays(&cell, script);
        }
        self.jobs.push(CellJob {
            cell: cell.clone(),
            planned: planned(plan),
            not_run: None,
        });
        cell
    }

    /// Does this on every fact recorded from now on.
    pub(super) fn on_event(&self, react: impl Fn(&Body) + Send + Sync + 'static) {
        *self.reaction.lock().expect("no test panics while reacting") = Some(Box::new(react));
    }

    /// What interrupts the run.
    pub(super) fn interrupt(&self) -> watch::Sender<bool> {
        self.interrupt.clone()
    }

    /// The journal.
    pub(super) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    /// A file of the lab, served at `https://packages.assay.test/<name>`.
    pub(super) fn lab_file(&self, name: &str, bytes: &[u8]) {
        let lab = self.folder.path().join("lab");
        std::fs::create_dir_all(&lab).expect("a folder");
        std::fs::write(lab.join(name), bytes).expect("a file");
    }

    /// Where the run's content store is.
    pub(super) fn content(&self) -> std::path::PathBuf {
        self.folder.path().join("content")
    }

    /// Runs all cells.
    pub(super) async fn run(self) -> Ran {
        let lab = LabHosts {
            repositories: Some(self.folder.path().join("lab")),
        };
        let authority = Arc::new(CertificateAuthority::generate().expect("an authority"));
        let config = ProxyConfig {
            lab: lab.clone(),
            ..ProxyConfig::default()
        };
        let store = Arc::new(Store::open(self.content()).expect("a store"));
        let proxy = Proxy::new(config, authority.clone());
        let context = Context {
            network: Network::Live,
            journal: Arc::clone(&self.journal),
            packages: PackageReader::new(Arc::clone(&store), proxy.clone()),
            store,
            fetcher: Fetcher::new(FetchPolicy::default(), lab, UpstreamProxies::none()),
            certificate: authority.certificate_pem(),
            proxy,
            backend: Backend::Fake(self.fake.clone()),
            owner: OwnerId::of("m", 0, self.folder.path()),
            executor: b"executor".as_slice().into(),
            limits: SandboxLimits::default(),
            cell_time: self.cell_time,
            captures: true,
            keep_failed: self.keep_failed,
            interrupted: self.interrupt.subscribe(),
        };
        let start = RunStarted {
            harness: "0.1.0".into(),
            started: "2026-01-01T00:00:00Z".into(),
            arguments: vec!["test".into()],
            project: None,
            allow_unmet_needs: false,
            network: Network::Live,
            consents: None,
        };
        self.journal
            .append(None, Origin::Runner, Body::RunStarted(start))
            .expect("written");
        let result = run_cells(Arc::new(context), self.jobs, self.parallel).await;
        if result.is_ok() {
            let interrupted = *self.interrupt.borrow();
            self.journal
                .append(None, Origin::Runner, Body::RunEnded { interrupted })
                .expect("written");
        }
        let record = assay_observe::fold(self.journal.events().expect("readable"))
            .expect("a journal that holds together");
        Ran {
            record,
            recordings: self.fake.recordings(),
            result,
            folder: self.folder,
        }
    }
}

impl Ran {
    /// What came of the first cell.
    pub(super) fn outcome(&self) -> &Outcome {
        &self.record.cells[0].outcome
    }

    /// `phase reason` of every failure of the first cell, the deciding one first.
    pub(super) fn failures(&self) -> Vec<String> {
        self.outcome()
            .failures()
            .map(|failure| format!("{} {}", failure.phase, failure.reason))
            .collect()
    }

    /// What broke the first cell: the cause, retries, the message, and the hint or nothing.
    pub(super) fn infra(&self) -> (InfraCause, u32, String, String) {
        let Outcome::Infra {
            cause,
            retries,
            message,
            hint,
        } = self.outcome()
        else {
            panic!("{:?}", self.outcome());
        };
        (
            *cause,
            *retries,
            message.clone(),
            hint.clone().unwrap_or_default(),
        )
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        assay_observe::exit_code(&self.record).number()
    }

    /// What was told to the executor of one session, a letter each: Manifest, Continue, Stop.
    pub(super) fn directives(&self, session: usize) -> String {
        let letter = |message: &ToExecutor| match message {
            ToExecutor::Directive(Directive::Manifest) => Some('M'),
            ToExecutor::Directive(Directive::Continue) => Some('C'),
            ToExecutor::Directive(Directive::Stop) => Some('S'),
            ToExecutor::Program(_)
            | ToExecutor::Open(_)
            | ToExecutor::Credit(_)
            | ToExecutor::Close(_)
            | ToExecutor::Resize { .. } => None,
        };
        self.recordings[session]
            .messages
            .iter()
            .filter_map(letter)
            .collect()
    }

    /// Asserts that the runner said nothing the scripts did not await and closed every session.
    pub(super) fn assert_orderly(&self) {
        for recording in &self.recordings {
            assert_eq!(recording.unexpected, None);
            assert!(
                recording.closed || recording.kept,
                "{} was left behind",
                recording.sandbox
            );
        }
    }
}

/// One performance that ends so.
pub(super) fn ends(op: u32, pass: Pass, ending: Ending) -> FakeOp {
    FakeOp {
        ending,
        ..FakeOp::new(OpId(op), pass)
    }
}

/// An executor that has introduced itself and is prepared.
pub(super) fn ready() -> Script {
    Script::default().hello().ready()
}
