//! Looking at containers: the two questions whose answers the client library does not read whole.
//!
//! It refuses an answer for one word it does not know, and Podman says `stopped` of a container that
//! has ended and was not tidied up yet, where Docker knows only `exited`. One such container would
//! hide every other in a list. Here only what is used is read, and any word for a state is one.
//! Answers are bounded in bytes and time.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::engine::{Engine, EngineError, bounded};

/// The longest answer that is read, in bytes. A container takes a few kilobytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// How long an answer may take. A healthy engine needs milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// A container as an engine describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct Inspected {
    /// What became of it.
    pub(in crate::docker) state: State,
    config: Config,
}

/// What became of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::docker) struct State {
    /// Whether its processes live.
    pub(in crate::docker) running: bool,
    /// Whether it ran out of memory.
    #[serde(rename = "OOMKilled")]
    pub(in crate::docker) oom_killed: bool,
    /// The code its first process ended with.
    pub(in crate::docker) exit_code: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<HashMap<String, String>>,
}

impl Inspected {
    /// Its labels, those it has of its image among them.
    pub(in crate::docker) fn into_labels(self) -> HashMap<String, String> {
        self.config.labels.unwrap_or_default()
    }
}

/// A container in an engine's list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::docker) struct Listed {
    /// The engine's id of it.
    pub(in crate::docker) id: String,
    /// Its names, each behind a slash.
    #[serde(default)]
    pub(in crate::docker) names: Option<Vec<String>>,
    /// Its labels.
    #[serde(default)]
    pub(in crate::docker) labels: Option<HashMap<String, String>>,
    /// The engine's word for what became of it.
    #[serde(default)]
    pub(in crate::docker) state: String,
}

impl Engine {
    /// One container by name or id, running or not. `operation` fits after "failed to".
    pub(in crate::docker) async fn look_at(
        &self,
        operation: &str,
        name: &str,
    ) -> Result<Inspected, EngineError> {
        let path = format!("/containers/{}/json", percent(name));
        self.ask(operation, &path).await
    }

    /// Every container that a filter of the engine's lets through (`label`, `key=value`), running or
    /// not.
    pub(in crate::docker) async fn containers_with(
        &self,
        operation: &str,
        filter: &str,
        word: &str,
    ) -> Result<Vec<Listed>, EngineError> {
        let filters = serde_json::json!({ filter: [word] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", percent(&filters));
        self.ask(operation, &path).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
    ) -> Result<T, EngineError> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.get(operation, path));
        let (status, body) = answer.await.map_err(|_| EngineError::TimedOut {
            operation: operation.to_owned(),
            seconds: ANSWER_WITHIN.as_secs(),
        })??;
        read_answer(operation, status, &body)
    }

    /// The status and the whole body of an answer.
    async fn get(&self, operation: &str, path: &str) -> Result<(StatusCode, Bytes), EngineError> {
        let (host, operation) = (self.host().to_owned(), operation.to_owned());
        let socket = host.strip_prefix("unix://").unwrap_or_default();
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => TokioIo::new(stream),
            Err(error) => {
                let cause = bounded(&error.to_string());
                return Err(EngineError::Unreachable { host, cause });
            }
        };
        let asked = async {
            let (mut sender, connection) = handshake(stream).await?;
            // It ends when its sender does.
            tokio::spawn(connection);
            let request = Request::get(path)
                .header(HOST, "engine")
                .body(Empty::<Bytes>::new())?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body.await?.to_bytes()))
        };
        asked.await.map_err(|error| {
            let cause = bounded(&error.to_string());
            match error.downcast_ref::<hyper::Error>() {
                Some(broken) if !broken.is_parse() => EngineError::Died {
                    operation,
                    host,
                    cause,
                },
                Some(_) | None => EngineError::Protocol { operation, cause },
            }
        })
    }
}

/// What an answer says, or the engine's refusal.
fn read_answer<T: DeserializeOwned>(
    operation: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<T, EngineError> {
    if !status.is_success() {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let message = match serde_json::from_slice(body) {
            Ok(Refusal { message }) => message,
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        return Err(EngineError::Api {
            operation: operation.to_owned(),
            status: status.as_u16(),
            message: bounded(&message),
        });
    }
    serde_json::from_slice(body).map_err(|error| EngineError::Protocol {
        operation: operation.to_owned(),
        cause: bounded(&error.to_string()),
    })
}

/// All but the unreserved characters (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Text as one part of an address.
fn percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(status: u16, body: &str) -> Result<T, EngineError> {
        let status = StatusCode::from_u16(status).expect("a status");
        read_answer("look", status, body.as_bytes())
    }

    #[test]
    fn a_word_nobody_knows_is_a_state_like_another() {
        let list = r#"[{"Id":"1","Names":["/a"],"State":"stopped","Labels":{"l":"v"}},
            {"Id":"2","Labels":null}]"#;
        let listed: Vec<Listed> = read(200, list).expect("a list");
        assert_eq!((listed[0].id.as_str(), listed[1].id.as_str()), ("1", "2"));
        assert_eq!(listed[0].state, "stopped");
        let one = r#"{"State":{"Status":"stopped","Running":false,"OOMKilled":true,"ExitCode":137},
            "Config":{"Labels":{"l":"v"}}}"#;
        let inspected: Inspected = read(200, one).expect("a container");
        assert!(!inspected.state.running && inspected.state.oom_killed);
        assert_eq!(inspected.state.exit_code, Some(137));
        let labels = inspected.into_labels();
        assert_eq!(labels, [("l".to_owned(), "v".to_owned())].into());
        let bare: Inspected = read(200, "{}").expect("nothing is said");
        assert!(!bare.state.running && bare.into_labels().is_empty());
    }

    #[test]
    fn a_refusal_has_the_engines_words_and_status() {
        for (status, body, said) in [
            (
                404,
                "{\"message\":\"no such\\ncontainer\"}",
                "no such container",
            ),
            (500, "plain words", "plain words"),
        ] {
            let error = read::<Inspected>(status, body).expect_err("refused");
            let expected = EngineError::Api {
                operation: "look".to_owned(),
                status,
                message: said.to_owned(),
            };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn what_is_no_answer_is_told_as_such() {
        for body in ["", "x", "[1]", "{\"State\":1}"] {
            let error = read::<Inspected>(200, body).expect_err("no answer");
            assert!(matches!(error, EngineError::Protocol { .. }), "{error:?}");
        }
    }

    #[test]
    fn nothing_in_a_name_ends_its_part_of_the_address() {
        let percent = |text| percent(text).to_string();
        assert_eq!(percent("a/b?c d\r\n"), "a%2Fb%3Fc%20d%0D%0A");
        assert_eq!(percent("assay-0.r_1~"), "assay-0.r_1~");
    }
}
