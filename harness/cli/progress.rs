//! Live progress: what runs now on a terminal, a line per ended cell otherwise. It listens to the
//! journal and asks nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_run::Listener;
use assay_wire::event::{Body, Envelope, ExecutorEvent};
use assay_wire::name::CellId;
use assay_wire::outcome::OutcomeKind;
use assay_wire::plan::{Action, Plan};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// The progress of one run.
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    terminal: Terminal,
    bars: Option<MultiProgress>,
    started: Option<Envelope>,
    cells: BTreeMap<CellId, Cell>,
    ended: usize,
    total: usize,
}

/// What is known of a cell that has not ended.
#[derive(Default)]
struct Cell {
    events: Vec<Envelope>,
    plan: Option<Plan>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For a run of so many cells.
    pub(crate) fn start(terminal: &Terminal, total: usize) -> Self {
        let bars = (terminal.is_live() && !terminal.is_json()).then(MultiProgress::new);
        let state = State {
            terminal: *terminal,
            bars,
            started: None,
            cells: BTreeMap::new(),
            ended: 0,
            total,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What the journal tells.
    pub(crate) fn listener(&self) -> Listener {
        let state = Arc::clone(&self.state);
        Box::new(move |envelope| {
            state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .see(envelope)
        })
    }

    /// Takes the live lines away.
    pub(crate) fn finish(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bars) = &state.bars {
            // Only what is drawn goes; nothing was ever only there.
            let _ = bars.clear();
        }
    }
}

impl State {
    fn see(&mut self, envelope: &Envelope) {
        let Some(id) = &envelope.cell else {
            if matches!(envelope.body, Body::RunStarted(_)) {
                self.started = Some(envelope.clone());
            }
            return;
        };
        let cell = self.cells.entry(id.clone()).or_default();
        cell.events.push(envelope.clone());
        match &envelope.body {
            Body::CellPlanned(planned) => cell.plan = Some(planned.plan.clone()),
            Body::AttemptStarted { .. } => {
                if let Some(bars) = &self.bars {
                    cell.bar
                        .get_or_insert_with(|| bars.add(spinner(id)))
                        .set_message("starting");
                }
            }
            Body::Executor(ExecutorEvent::OpStarted { op, .. }) => {
                let what =
                    cell.plan
                        .as_ref()
                        .and_then(|plan| plan.op(*op))
                        .map(|op| match &op.action {
                            Action::Run { argv } => assay_report::sanitise::command(argv, 200),
                            Action::Write { path, .. } => {
                                crate::terminal::plain(&format!("write {path}"))
                            }
                        });
                if let (Some(bar), Some(what)) = (&cell.bar, what) {
                    bar.set_message(what);
                }
            }
            Body::AttemptFailed(failed) => {
                let what = crate::terminal::plain(&failed.message);
                let then = if failed.retried { "; trying again" } else { "" };
                self.say(&format!("{id}: {what}{then}"));
            }
            Body::CellEnded(_) => self.end(id),
            Body::RunStarted(_)
            | Body::ContentReady(_)
            | Body::ContentRefused(_)
            | Body::SandboxStarted(_)
            | Body::Executor(_)
            | Body::Output(_)
            | Body::Manifest(_)
            | Body::Request(_)
            | Body::CrossChecked(_)
            | Body::SandboxLeft(_)
            | Body::RunEnded { .. } => {}
        }
    }

    /// Says how a cell ended, judged from its own facts as the report will from all.
    fn end(&mut self, id: &CellId) {
        let Some(cell) = self.cells.remove(id) else {
            return;
        };
        self.ended += 1;
        let ms = cell.events.last().map_or(0, |last| last.t)
            - cell
                .events
                .iter()
                .find(|event| matches!(event.body, Body::AttemptStarted { .. }))
                .map_or(0, |first| first.t);
        let events = self
            .started
            .iter()
            .cloned()
            .chain(cell.events)
            .zip(0..)
            .map(|(event, seq)| Envelope { seq, ..event });
        let outcome = assay_observe::fold(events)
            .ok()
            .and_then(|record| record.cells.first().map(|cell| cell.outcome.kind()))
            .unwrap_or(OutcomeKind::Infra);
        if let Some(bar) = cell.bar {
            bar.finish_and_clear();
        }
        let seconds = Duration::from_millis(ms).as_secs_f64();
        self.say(&format!(
            "[{}/{}] {outcome:<11} {id}  {seconds:.1} s",
            self.ended, self.total
        ));
    }

    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => {
                // A line that cannot be drawn is in the journal all the same.
                let _ = bars.println(line);
            }
            None => self.terminal.progress(line),
        }
    }
}

fn spinner(id: &CellId) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_prefix(id.to_string());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
