//! Live progress: what runs now on a terminal, a line per ended cell otherwise. It listens to the
//! journal and asks nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_observe::CellFolder;
use assay_run::Listener;
use assay_wire::event::{Body, Envelope, ExecutorEvent};
use assay_wire::name::CellId;
use assay_wire::plan::Action;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::args::Format;
use crate::terminal::Terminal;

/// The progress of one run.
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
}

struct State {
    terminal: Terminal,
    bars: Option<MultiProgress>,
    cells: BTreeMap<CellId, Cell>,
    ended: usize,
    total: usize,
}

/// What is known of a cell that has not ended.
struct Cell {
    folder: CellFolder,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For a run of so many cells.
    pub(crate) fn start(terminal: &Terminal, total: usize) -> Self {
        let bars =
            (terminal.is_live() && terminal.format == Format::Human).then(MultiProgress::new);
        let state = State {
            terminal: *terminal,
            bars,
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
        let Some(id) = &envelope.cell else { return };
        if let Body::CellPlanned(planned) = &envelope.body {
            let folder = CellFolder::new(id.clone(), planned.as_ref().clone(), envelope.t);
            self.cells.insert(id.clone(), Cell { folder, bar: None });
            return;
        }
        let Some(cell) = self.cells.get_mut(id) else {
            return;
        };
        cell.folder.push(envelope.body.clone(), envelope.t);
        match &envelope.body {
            Body::AttemptStarted { .. } => {
                if let Some(bars) = &self.bars {
                    cell.bar
                        .get_or_insert_with(|| bars.add(spinner(id)))
                        .set_message("starting");
                }
            }
            Body::Executor(ExecutorEvent::OpStarted { op, .. }) => {
                if let (Some(bar), Some((op, _))) = (&cell.bar, cell.folder.facts().op(*op)) {
                    bar.set_message(match &op.action {
                        Action::Run { argv } => assay_report::sanitise::command(argv, 200),
                        Action::Write { path, .. } => {
                            crate::terminal::plain(&format!("write {path}"))
                        }
                        Action::Extract { archive, .. } => {
                            crate::terminal::plain(&format!("extract {archive}"))
                        }
                    });
                }
            }
            Body::AttemptFailed(failed) => {
                let what = crate::terminal::plain(&failed.message);
                let then = if failed.retried { "; trying again" } else { "" };
                self.say(&format!("{id}: {what}{then}"));
            }
            Body::CellEnded(_) => self.end(id),
            Body::RunStarted(_)
            | Body::CellPlanned(_)
            | Body::ContentReady(_)
            | Body::ContentRefused(_)
            | Body::SandboxStarted(_)
            | Body::Executor(_)
            | Body::Output(_)
            | Body::Manifest(_)
            | Body::Trace(_)
            | Body::Request(_)
            | Body::Package(_)
            | Body::CrossChecked(_)
            | Body::SandboxLeft(_)
            | Body::RunEnded { .. } => {}
        }
    }

    /// Says how a cell ended, judged from its own facts as the report will from all.
    fn end(&mut self, id: &CellId) {
        let Some(Cell { folder, bar }) = self.cells.remove(id) else {
            return;
        };
        self.ended += 1;
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let record = folder.finish(None);
        let time = Duration::from_millis(record.timings.total_ms).as_secs_f64();
        self.say(&format!(
            "[{}/{}] {:<11} {id}  {time:.1} s",
            self.ended,
            self.total,
            record.outcome.kind(),
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
