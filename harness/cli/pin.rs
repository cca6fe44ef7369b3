//! `assay pin`: what a URL gives, hash, keys and all; hashes written into recipes; whether what
//! recipes name is still what it was.
//!
//! [`look`] says what bytes are ([`kind`] by their first ones), [`named`] which URLs a recipe means,
//! [`write`] writes pins, [`verify`] fetches everything anew. What is wrong with keys is
//! `content::openpgp`'s to say. Nothing here ever takes a changed hash without being told to.

mod kind;
mod look;
mod named;
pub(crate) mod verify;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use assay_content::fetch::{FetchError, Fetcher};
use assay_content::store::{Blob, Store};
use indicatif::{ProgressBar, ProgressStyle};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{PinArgs, PinVerb};
use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::{Terminal, plain};
use crate::world;

/// How many URLs are fetched at once.
const AT_ONCE: usize = 4;

/// What URLs or files are.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    pinned: Vec<look::Looked>,
}

/// Does what was asked for.
pub(crate) fn run(terminal: &Terminal, arguments: &PinArgs) -> Result<(), CliError> {
    match (&arguments.verb, &arguments.write) {
        (Some(PinVerb::Show { files }), _) => show_files(terminal, files),
        (Some(PinVerb::Verify(recipes)), _) => verify::run(terminal, &recipes.recipes),
        (None, Some(recipe)) => {
            let how = write::How {
                steps: &arguments.words,
                accept_changed: arguments.accept_changed,
                dry_run: arguments.dry_run,
            };
            write::run(terminal, recipe, &how)
        }
        (None, None) if arguments.words.is_empty() => Err(CliError::usage(
            "a URL is missing",
        )
        .hint("`assay pin URL` shows what it gives, `assay pin --write RECIPE` pins what a recipe names")),
        (None, None) => show_urls(terminal, &arguments.words),
    }
}

fn show_files(terminal: &Terminal, files: &[PathBuf]) -> Result<(), CliError> {
    let looked: Result<Vec<_>, _> = files.iter().map(|file| look::at_file(file)).collect();
    show(terminal, looked?)
}

fn show_urls(terminal: &Terminal, urls: &[String]) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let way_out = WayOut::of(&project)?;
    let fetched = way_out.fetch_all(terminal, urls);
    let mut looked = Vec::new();
    let mut worst: Option<ErrorKind> = None;
    for url in urls {
        match fetched.get(url) {
            Some(Ok(blob)) => looked.push(look::at_blob(url, blob)?),
            Some(Err(error)) => {
                let error = fetch_error(url, error);
                terminal.error(&error);
                let graver = worst.is_none_or(|worst| worst != ErrorKind::Usage);
                if graver {
                    worst = Some(error.kind);
                }
            }
            None => {}
        }
    }
    show(terminal, looked)?;
    worst.map_or(Ok(()), |kind| Err(CliError::said(kind)))
}

fn show(terminal: &Terminal, pinned: Vec<look::Looked>) -> Result<(), CliError> {
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-pin",
            version: 1,
            pinned,
        });
    }
    terminal.result(|out| {
        for (at, looked) in pinned.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            look::write(looked, terminal, out)?;
        }
        Ok(())
    })
}

/// The way out for what recipes name, and where it is kept.
struct WayOut {
    fetcher: Fetcher,
    store: Store,
}

/// What became of URLs.
type Fetched = BTreeMap<String, Result<Blob, FetchError>>;

impl WayOut {
    fn of(project: &Project) -> Result<Self, CliError> {
        let (fetcher, store) = world::way_out(project)?;
        Ok(Self { fetcher, store })
    }

    /// Fetches URLs anew, each once and a few at a time; what takes longer than a second is shown.
    fn fetch_all(&self, terminal: &Terminal, urls: &[String]) -> Fetched {
        let mut waiting: Vec<&String> = urls.iter().collect();
        waiting.sort();
        waiting.dedup();
        let total = waiting.len();
        let waiting = Mutex::new(waiting);
        let (send, receive) = channel();
        let mut fetched = Fetched::new();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(total) {
                let (send, waiting) = (send.clone(), &waiting);
                scope.spawn(move || {
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                        let Some(url) = next else {
                            return;
                        };
                        let result = self.fetcher.fetch(url, &self.store);
                        if send.send((url.clone(), result)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let mut bar: Option<ProgressBar> = None;
            loop {
                match receive.recv_timeout(Duration::from_secs(1)) {
                    Ok((url, result)) => {
                        fetched.insert(url, result);
                    }
                    Err(RecvTimeoutError::Timeout) if terminal.is_live() => {
                        bar.get_or_insert_with(|| progress(total));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if let Some(bar) = &bar {
                    bar.set_position(fetched.len() as u64);
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        fetched
    }
}

fn progress(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} fetched {pos} of {len}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A URL that could not be fetched, as an error of the command.
fn fetch_error(url: &str, error: &FetchError) -> CliError {
    let chain = assay_run::cell::explain_chain(error);
    if matches!(error, FetchError::Url(_)) {
        return CliError::usage(format!("`{}`: {chain}", plain(url))).hint(
            "a URL is written out, such as `https://example.org/key.asc`; \
             `assay pin show FILE` is for files",
        );
    }
    if matches!(error, FetchError::PlainHttp { .. }) {
        return CliError::usage(chain)
            .hint("write `https://`: what root trusts is fetched in no other way");
    }
    CliError::infrastructure(chain).hints(error.hint())
}
