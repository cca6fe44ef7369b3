//! Recording and replaying: in a run that records every URL is asked once, what came is kept in the
//! content store, and whoever asks gets that. A replay answers from the lock and the store alone.
//!
//! Both answer with the same heads: no date of change, so that nothing depends on when it was
//! recorded, and nothing of the server's own. What may recover (5xx, a broken connection) is no
//! answer and is asked again by the next who wants it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use assay_wire::digest::Digest;
use assay_wire::event::RequestDecision;
use assay_wire::lock::{Lock, LockedAnswer};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Response, StatusCode};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, oneshot};

use super::body::{ProxyBody, StreamLimits};
use super::following::{Download, Watch};
use super::names::{LONGEST_LIST, Names, lists_mirrors};
use super::ranges::plan;
use super::record::Recorder;
use super::{redirect, text_response, whole_response};
use crate::fetch::FetchError;
use crate::fetch::agent::Client;
use crate::fetch::patience::{Patience, status_fault};
use crate::lab_hosts::{LabError, LabHosts};
use crate::store::{Incoming, Store};
use crate::url::WebUrl;

/// How what may recover is asked again, while a sandbox's tool waits for it.
const PATIENCE: Patience = Patience {
    again: 3,
    pause: Duration::from_millis(500),
    longest: Duration::from_secs(10),
};

/// Bytes are copied in pieces of this size.
const PIECE: usize = 256 * 1024;

/// Answers that are kept, and the way to them.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) store: Store,
    pub(super) idle_time: Duration,
    pub(super) source: Source,
}

/// Where answers come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The world, once.
    World(Box<World>),
    /// The lock.
    Lock(Arc<Lock>),
}

/// What a recording asks.
#[derive(Debug)]
pub(super) struct World {
    pub(super) client: Client,
    pub(super) lab: LabHosts,
    /// Most bytes of one body.
    pub(super) max_bytes: u64,
    /// What answered, by URL without secrets.
    answers: Mutex<BTreeMap<String, Arc<AsyncMutex<Asked>>>>,
}

/// What is known of a URL.
#[derive(Debug, Default)]
enum Asked {
    #[default]
    Never,
    /// Its body is coming: its length, how to follow it, and what it came to.
    Coming(u64, Watch, Outcome),
    Answered(LockedAnswer),
}

/// What a body came to, once it is whole and in the store.
type Outcome = Arc<Mutex<Option<LockedAnswer>>>;

/// What a request is answered with.
enum Answer {
    Kept(LockedAnswer),
    /// A body of this length that is still coming.
    Coming(u64, Watch),
    /// None, for a reason that may pass.
    Failed(StatusCode, String),
    /// None: it was not recorded.
    Missed(String),
}

/// What the world said.
enum Said {
    Kept(LockedAnswer),
    Body(u64, Watch, Outcome),
}

impl Recording {
    /// Answers a request.
    pub(super) async fn answer(
        self: &Arc<Self>,
        (method, headers): (&Method, &HeaderMap),
        url: &WebUrl,
        names: Option<&Names>,
        permit: OwnedSemaphorePermit,
        recorder: Recorder,
    ) -> Response<ProxyBody> {
        let key = url.redacted();
        let whole = headers.contains_key(header::RANGE) || lists_mirrors(url);
        let answer = match &self.source {
            Source::Lock(lock) => lock.answers.get(&key).map_or_else(
                || Answer::Missed(format!("`{key}` is not in the lock")),
                |answer| Answer::Kept(answer.clone()),
            ),
            Source::World(world) => self.ask(world, &key, url, whole).await,
        };
        let decided = match self.source {
            Source::Lock(_) => RequestDecision::Replayed,
            Source::World(_) if url.host().is_lab() => RequestDecision::Served,
            Source::World(_) => RequestDecision::Forwarded,
        };
        match answer {
            Answer::Kept(LockedAnswer::Body { sha256, size }) => {
                let body = (sha256, size);
                self.send(
                    (method, headers),
                    (url, names),
                    body,
                    permit,
                    recorder,
                    decided,
                )
                .await
            }
            Answer::Kept(LockedAnswer::Redirect { status, location }) => {
                names.inspect(|names| names.follow(url, &location));
                redirect(url, (status, &location), decided, recorder)
            }
            Answer::Kept(LockedAnswer::Nothing { status }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
                whole_response(
                    status,
                    decided,
                    "there is nothing here".to_owned(),
                    recorder,
                )
            }
            Answer::Coming(length, watch) => {
                self.send_coming(method, (length, &watch), permit, recorder, decided)
            }
            Answer::Failed(status, reason) => {
                text_response(status, RequestDecision::Failed { reason }, recorder)
            }
            Answer::Missed(reason) => {
                let missed = RequestDecision::Missed { reason };
                text_response(StatusCode::GATEWAY_TIMEOUT, missed, recorder)
            }
        }
    }

    /// Takes note of bytes that came by another way: declared content.
    pub(super) fn note(&self, url: &WebUrl, sha256: Digest, size: u64) {
        if let Source::World(world) = &self.source {
            let answer = Asked::Answered(LockedAnswer::Body { sha256, size });
            let entry = Arc::new(AsyncMutex::new(answer));
            lock(&world.answers).insert(url.redacted(), entry);
        }
    }

    /// Everything that was recorded. Waits for bodies that are still coming, so it blocks; what
    /// nobody has told the head of yet is not part of it.
    pub(super) fn answers(&self) -> BTreeMap<String, LockedAnswer> {
        let Source::World(world) = &self.source else {
            return BTreeMap::new();
        };
        let known = lock(&world.answers).clone();
        known
            .into_iter()
            .filter_map(|(url, entry)| {
                let asked = entry.try_lock().ok()?;
                if let Asked::Coming(_, watch, _) = &*asked {
                    watch.wait();
                }
                Some((url, answered(&asked)?))
            })
            .collect()
    }

    /// The answer to a URL, asked of the world if nobody did. Those who want the same URL wait for
    /// its head together.
    async fn ask(self: &Arc<Self>, world: &World, key: &str, url: &WebUrl, whole: bool) -> Answer {
        let entry = Arc::clone(lock(&world.answers).entry(key.to_owned()).or_default());
        let mut asked = entry.lock().await;
        if let Some(answer) = answered(&asked) {
            *asked = Asked::Answered(answer.clone());
            return Answer::Kept(answer);
        }
        if let Asked::Coming(length, watch, outcome) = &*asked
            && !watch.is_broken()
        {
            if !whole {
                return Answer::Coming(*length, watch.clone());
            }
            let (coming, outcome) = (watch.clone(), Arc::clone(outcome));
            // However it ended: without an outcome it is asked again.
            let _ = tokio::task::spawn_blocking(move || coming.wait()).await;
            if let Some(answer) = lock(&outcome).clone() {
                return Answer::Kept(answer);
            }
        }
        let (this, url) = (Arc::clone(self), url.clone());
        let (tell, told) = oneshot::channel();
        tokio::task::spawn_blocking(move || this.bring(&url, whole, tell));
        match told.await {
            Ok(Ok(Said::Kept(answer))) => {
                *asked = Asked::Answered(answer.clone());
                Answer::Kept(answer)
            }
            Ok(Ok(Said::Body(length, watch, outcome))) => {
                *asked = Asked::Coming(length, watch.clone(), outcome);
                Answer::Coming(length, watch)
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => Answer::Failed(StatusCode::BAD_GATEWAY, "the request broke off".to_owned()),
        }
    }

    /// Asks the world, on a thread of its own, until it says something that can be kept.
    fn bring(&self, url: &WebUrl, whole: bool, tell: oneshot::Sender<Result<Said, FetchError>>) {
        let Source::World(world) = &self.source else {
            return;
        };
        let mut tell = Some(tell);
        let mut patience = PATIENCE;
        while let Err(error) = self.bring_once(world, url, whole, &mut tell) {
            // Where a body was begun, its readers were told.
            match patience.wait_after(&error).filter(|_| tell.is_some()) {
                Some(wait) => thread::sleep(wait),
                None => {
                    let _ = tell.take().map(|tell| tell.send(Err(error)));
                    return;
                }
            }
        }
    }

    fn bring_once(
        &self,
        world: &World,
        url: &WebUrl,
        whole: bool,
        tell: &mut Option<oneshot::Sender<Result<Said, FetchError>>>,
    ) -> Result<(), FetchError> {
        let said = |tell: &mut Option<oneshot::Sender<_>>, said| {
            let _ = tell.take().map(|tell| tell.send(Ok(said)));
        };
        if url.host().is_lab() {
            return match world.lab.open(url.host(), url.path()) {
                Ok(found) => {
                    let (length, reader) = (Some(found.size), found.file);
                    self.keep(world, url, (length, reader), whole, tell)
                }
                Err(LabError::NotFound { .. }) => {
                    said(tell, Said::Kept(LockedAnswer::Nothing { status: 404 }));
                    Ok(())
                }
                Err(LabError::Moved { location }) => {
                    let status = 302;
                    said(
                        tell,
                        Said::Kept(LockedAnswer::Redirect { status, location }),
                    );
                    Ok(())
                }
                Err(source @ (LabError::NotBuilt | LabError::Unreadable { .. })) => {
                    let url = url.redacted();
                    Err(FetchError::Lab { url, source })
                }
            };
        }
        let response = world
            .client
            .send(&Method::GET, url, &HeaderMap::new(), None)?;
        let status = response.status().as_u16();
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        match (status, location) {
            (200, _) => {
                let length = response.body().content_length();
                let body = response.into_body().into_with_config().limit(u64::MAX);
                self.keep(world, url, (length, body.reader()), whole, tell)
            }
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                let next = url.join(location)?;
                let location = next.redacted();
                said(
                    tell,
                    Said::Kept(LockedAnswer::Redirect { status, location }),
                );
                Ok(())
            }
            (400..=407 | 409..=428 | 430..=499, _) => {
                said(tell, Said::Kept(LockedAnswer::Nothing { status }));
                Ok(())
            }
            _ => Err(status_fault(url, status, response.headers())),
        }
    }

    /// Copies a body into the store. Its readers follow it from the first byte where its length is
    /// known and no part of it is wanted.
    fn keep(
        &self,
        world: &World,
        url: &WebUrl,
        (length, mut body): (Option<u64>, impl Read),
        whole: bool,
        tell: &mut Option<oneshot::Sender<Result<Said, FetchError>>>,
    ) -> Result<(), FetchError> {
        let too_large = || FetchError::TooLarge {
            url: url.redacted(),
            limit: world.max_bytes,
        };
        let stored = |source| FetchError::Store {
            url: url.redacted(),
            source,
        };
        if length.is_some_and(|length| length > world.max_bytes) {
            return Err(too_large());
        }
        let mut incoming = self.store.incoming().map_err(stored)?;
        let download = Download::into_file(incoming.reader().map_err(stored)?);
        let outcome = Outcome::default();
        if let (Some(length), false) = (length, whole) {
            let said = Said::Body(length, download.watch(), Arc::clone(&outcome));
            let _ = tell.take().map(|tell| tell.send(Ok(said)));
        }
        let copied = copy(&mut body, &mut incoming, &download, world.max_bytes);
        let complete = length.is_none_or(|length| length == incoming.size());
        let fault = match copied {
            Ok(true) if complete => None,
            Ok(true) => Some(FetchError::Unreachable {
                url: url.redacted(),
                reason: "the body is not as long as it said".to_owned(),
            }),
            Ok(false) => Some(too_large()),
            Err(CopyError::Read(error)) => {
                Some(FetchError::from_client(url.redacted(), error.into()))
            }
            Err(CopyError::Write(source)) => Some(stored(source)),
        };
        if let Some(fault) = fault {
            download.break_off(&fault.to_string());
            return Err(fault);
        }
        let (sha256, size) = (incoming.digest(), incoming.size());
        incoming.commit().map_err(stored)?;
        let answer = LockedAnswer::Body { sha256, size };
        *lock(&outcome) = Some(answer.clone());
        download.finish(size);
        let _ = tell.take().map(|tell| tell.send(Ok(Said::Kept(answer))));
        Ok(())
    }

    async fn send(
        &self,
        (method, headers): (&Method, &HeaderMap),
        (url, names): (&WebUrl, Option<&Names>),
        (sha256, size): (Digest, u64),
        permit: OwnedSemaphorePermit,
        mut recorder: Recorder,
        decided: RequestDecision,
    ) -> Response<ProxyBody> {
        let store = self.store.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let blob = store.path(&sha256)?;
            Ok::<_, crate::store::StoreError>(blob.and_then(|blob| File::open(blob.path).ok()))
        });
        let mut file = match opened.await {
            Ok(Ok(Some(file))) => file,
            Ok(Ok(None)) => {
                let reason = format!(
                    "`{}` is in the lock, and its bytes ({sha256}) are not in the content store",
                    url.redacted()
                );
                let missed = RequestDecision::Missed { reason };
                return text_response(StatusCode::GATEWAY_TIMEOUT, missed, recorder);
            }
            Ok(Err(error)) => return broken(&error.to_string(), recorder),
            Err(_) => return broken("reading broke off", recorder),
        };
        if let (Some(names), true) = (names, lists_mirrors(url) && size <= LONGEST_LIST) {
            let mut list = Vec::new();
            let read = (&mut file).take(LONGEST_LIST).read_to_end(&mut list);
            if read.is_ok() {
                names.read_list(&list);
            }
        }
        let plan = plan(method, headers, size, None);
        recorder.decide(decided, plan.status.as_u16());
        let body = match plan.range.filter(|_| *method == Method::GET) {
            None => ProxyBody::empty(recorder),
            Some(range) => {
                if let Err(error) = file.seek(SeekFrom::Start(range.start)) {
                    return broken(&error.to_string(), recorder);
                }
                let limit = range.end - range.start;
                let limits = self.limits(limit, permit);
                ProxyBody::streamed(file.take(limit), limits, recorder)
            }
        };
        headed(plan.status, &plan.headers, body)
    }

    fn send_coming(
        &self,
        method: &Method,
        (length, watch): (u64, &Watch),
        permit: OwnedSemaphorePermit,
        mut recorder: Recorder,
        decided: RequestDecision,
    ) -> Response<ProxyBody> {
        let plan = plan(method, &HeaderMap::new(), length, None);
        recorder.decide(decided, plan.status.as_u16());
        let body = if *method == Method::GET {
            ProxyBody::streamed(watch.follow(), self.limits(length, permit), recorder)
        } else {
            ProxyBody::empty(recorder)
        };
        headed(plan.status, &plan.headers, body)
    }

    fn limits(&self, length: u64, permit: OwnedSemaphorePermit) -> StreamLimits {
        StreamLimits {
            length: Some(length),
            limit: length,
            idle_time: self.idle_time,
            permit,
        }
    }
}

impl World {
    pub(super) fn new(client: Client, lab: LabHosts, max_bytes: u64) -> Self {
        Self {
            client,
            lab,
            max_bytes,
            answers: Mutex::default(),
        }
    }
}

enum CopyError {
    Read(std::io::Error),
    Write(crate::store::StoreError),
}

/// Copies to the end; false if there is more than the limit.
fn copy(
    body: &mut impl Read,
    incoming: &mut Incoming,
    download: &Download,
    limit: u64,
) -> Result<bool, CopyError> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = match body.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        if incoming.size() + length as u64 > limit {
            return Ok(false);
        }
        incoming.write(&piece[..length]).map_err(CopyError::Write)?;
        download.has(incoming.size());
    }
}

fn answered(asked: &Asked) -> Option<LockedAnswer> {
    match asked {
        Asked::Never => None,
        Asked::Coming(_, _, outcome) => lock(outcome).clone(),
        Asked::Answered(answer) => Some(answer.clone()),
    }
}

fn failed(error: &FetchError) -> Answer {
    let status = match error {
        FetchError::Status { status, .. } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY)
        }
        FetchError::RefusedAddress { .. } => StatusCode::FORBIDDEN,
        FetchError::Lab { .. } => StatusCode::SERVICE_UNAVAILABLE,
        FetchError::Url(_)
        | FetchError::PlainHttp { .. }
        | FetchError::Redirect { .. }
        | FetchError::Unreachable { .. }
        | FetchError::TooLarge { .. }
        | FetchError::ProxyRefused { .. }
        | FetchError::Tls { .. }
        | FetchError::Mismatch(_)
        | FetchError::Everywhere { .. }
        | FetchError::Store { .. } => StatusCode::BAD_GATEWAY,
    };
    let hint = error.hint().map(|hint| format!(": {hint}"));
    Answer::Failed(status, format!("{error}{}", hint.unwrap_or_default()))
}

fn headed(
    status: StatusCode,
    headers: &[(header::HeaderName, String)],
    body: ProxyBody,
) -> Response<ProxyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}

fn broken(reason: &str, recorder: Recorder) -> Response<ProxyBody> {
    let decision = RequestDecision::Failed {
        reason: reason.to_owned(),
    };
    text_response(StatusCode::INTERNAL_SERVER_ERROR, decision, recorder)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
