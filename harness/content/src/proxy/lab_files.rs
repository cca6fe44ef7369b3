//! Files of the lab over HTTP. Where the file is is decided by [`crate::lab_hosts`], how much of it
//! is sent by [`super::ranges`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use assay_wire::digest::Digest;
use assay_wire::event::RequestDecision;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::body::{ProxyBody, StreamLimits};
use super::ranges::plan;
use super::record::Recorder;
use super::{redirect, text_response, whole_response};
use crate::lab_hosts::{LabError, LabHosts};
use crate::store::digest_of_reader;
use crate::url::WebUrl;

/// The lab's files, as the proxy serves them.
#[derive(Debug)]
pub(super) struct LabFiles {
    pub(super) lab: LabHosts,
    /// How long the peer may take for a piece of a file.
    pub(super) idle_time: Duration,
}

impl LabFiles {
    /// Answers a request for a file of the lab.
    pub(super) async fn answer(
        &self,
        request: &Request<()>,
        url: &WebUrl,
        permit: OwnedSemaphorePermit,
        mut recorder: Recorder,
    ) -> Response<ProxyBody> {
        let (lab, wanted) = (self.lab.clone(), url.clone());
        let opened = tokio::task::spawn_blocking(move || lab.open(wanted.host(), wanted.path()));
        let mut found = match opened.await {
            Ok(Ok(found)) => found,
            Ok(Err(LabError::Moved { location })) => {
                return redirect(url, (302, &location), RequestDecision::Served, recorder);
            }
            Ok(Err(error)) => return no_file(&error, recorder),
            Err(_) => return failed("reading broke off", recorder),
        };
        let plan = plan(
            request.method(),
            request.headers(),
            found.size,
            Some(found.modified),
        );
        recorder.decide(RequestDecision::Served, plan.status.as_u16());
        let body = match plan.range.filter(|_| *request.method() == Method::GET) {
            None => ProxyBody::empty(recorder),
            Some(range) => {
                if let Err(error) = found.file.seek(SeekFrom::Start(range.start)) {
                    return failed(&error.to_string(), recorder);
                }
                let limit = range.end - range.start;
                let limits = StreamLimits {
                    length: Some(limit),
                    limit,
                    idle_time: self.idle_time,
                    permit,
                };
                ProxyBody::streamed(found.file.take(limit), limits, recorder)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = plan.status;
        for (name, value) in plan.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl LabFiles {
    /// The file that a URL means, if its bytes have this hash still.
    pub(super) fn open_again(&self, url: &WebUrl, sha256: &Digest) -> io::Result<Option<File>> {
        let mut file = match self.lab.open(url.host(), url.path()) {
            Ok(found) => found.file,
            Err(LabError::Unreadable { source, .. }) => return Err(source),
            Err(LabError::NotBuilt | LabError::NotFound { .. } | LabError::Moved { .. }) => {
                return Ok(None);
            }
        };
        let (found, _) = digest_of_reader(&mut file)?;
        file.rewind()?;
        Ok((found == *sha256).then_some(file))
    }
}

fn no_file(error: &LabError, recorder: Recorder) -> Response<ProxyBody> {
    let text = error
        .hint()
        .map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"));
    let failed = RequestDecision::Failed {
        reason: text.clone(),
    };
    match error {
        LabError::NotFound { .. } => whole_response(
            StatusCode::NOT_FOUND,
            RequestDecision::Served,
            text,
            recorder,
        ),
        LabError::NotBuilt => text_response(StatusCode::SERVICE_UNAVAILABLE, failed, recorder),
        LabError::Moved { .. } | LabError::Unreadable { .. } => {
            text_response(StatusCode::INTERNAL_SERVER_ERROR, failed, recorder)
        }
    }
}

fn failed(reason: &str, recorder: Recorder) -> Response<ProxyBody> {
    let decision = RequestDecision::Failed {
        reason: reason.to_owned(),
    };
    text_response(StatusCode::INTERNAL_SERVER_ERROR, decision, recorder)
}
