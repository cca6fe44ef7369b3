//! Looking at containers: the two questions whose answers the client library does not read whole.
//!
//! It refuses an answer for one word it does not know, and Podman says `stopped` of a container that
//! has ended and was not tidied up yet, where Docker knows only `exited`. One such container would
//! hide every other in a list. Here only what is used is read, and any word for a state is one. The
//! requests are HTTP/1.0, so that an answer ends with its connection and has no chunks (RFC 9112,
//! 7.1), and bounded in bytes and time.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::engine::{Engine, EngineError, bounded};

/// The longest answer that is read, in bytes. A container takes a few kilobytes.
const ANSWER_LIMIT: u64 = 64 << 20;

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

    /// Every container with this label (`key=value`), running or not.
    pub(in crate::docker) async fn labelled_containers(
        &self,
        operation: &str,
        label: &str,
    ) -> Result<Vec<Listed>, EngineError> {
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", percent(&filters));
        self.ask(operation, &path).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
    ) -> Result<T, EngineError> {
        let answer = match tokio::time::timeout(ANSWER_WITHIN, self.get(operation, path)).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(EngineError::TimedOut {
                    operation: operation.to_owned(),
                    seconds: ANSWER_WITHIN.as_secs(),
                });
            }
        };
        read_answer(operation, &answer)
    }

    /// The whole answer, head and body.
    async fn get(&self, operation: &str, path: &str) -> Result<Vec<u8>, EngineError> {
        let socket = self.host().strip_prefix("unix://").unwrap_or_default();
        let mut stream =
            UnixStream::connect(socket)
                .await
                .map_err(|error| EngineError::Unreachable {
                    host: self.host().to_owned(),
                    cause: bounded(&error.to_string()),
                })?;
        let asked = async {
            let head = format!("GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            stream
                .take(ANSWER_LIMIT + 1)
                .read_to_end(&mut answer)
                .await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = asked.await.map_err(|error| EngineError::Died {
            operation: operation.to_owned(),
            host: self.host().to_owned(),
            cause: bounded(&error.to_string()),
        })?;
        if answer.is_empty() {
            return Err(EngineError::Died {
                operation: operation.to_owned(),
                host: self.host().to_owned(),
                cause: "it closed the connection without an answer".to_owned(),
            });
        }
        Ok(answer)
    }
}

/// What an answer says, or the engine's refusal.
fn read_answer<T: DeserializeOwned>(operation: &str, answer: &[u8]) -> Result<T, EngineError> {
    let unreadable = |cause: String| EngineError::Protocol {
        operation: operation.to_owned(),
        cause: bounded(&cause),
    };
    if answer.len() as u64 > ANSWER_LIMIT {
        return Err(unreadable(format!("it has more than {ANSWER_LIMIT} bytes")));
    }
    let no_http = || unreadable("it is no HTTP".to_owned());
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or_else(no_http)?);
    let status: u16 = std::str::from_utf8(head)
        .ok()
        .filter(|head| head.starts_with("HTTP/"))
        .and_then(|head| head.split(' ').nth(1))
        .and_then(|status| status.get(..3)?.parse().ok())
        .ok_or_else(no_http)?;
    let body = body.get(4..).unwrap_or_default();
    if !(200..300).contains(&status) {
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
            status,
            message: bounded(&message),
        });
    }
    serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))
}

/// Text as one part of an address (RFC 3986, 2.3).
fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: DeserializeOwned>(answer: &str) -> Result<T, EngineError> {
        read_answer("look", answer.as_bytes())
    }

    #[test]
    fn a_word_nobody_knows_is_a_state_like_another() {
        let list = "HTTP/1.0 200 OK\r\nServer: x\r\n\r\n\
            [{\"Id\":\"1\",\"Names\":[\"/a\"],\"State\":\"stopped\",\"Labels\":{\"l\":\"v\"}},{\"Id\":\"2\",\"Labels\":null}]";
        let listed: Vec<Listed> = read(list).expect("a list");
        assert_eq!((listed[0].id.as_str(), listed[1].id.as_str()), ("1", "2"));
        assert_eq!(listed[0].state, "stopped");
        let one = "HTTP/1.0 200 OK\r\n\r\n{\"State\":{\"Status\":\"stopped\",\"Running\":false,\
            \"OOMKilled\":true,\"ExitCode\":137},\"Config\":{\"Labels\":{\"l\":\"v\"}}}";
        let inspected: Inspected = read(one).expect("a container");
        assert!(!inspected.state.running && inspected.state.oom_killed);
        assert_eq!(inspected.state.exit_code, Some(137));
        assert_eq!(
            inspected.into_labels(),
            [("l".to_owned(), "v".to_owned())].into()
        );
        let bare: Inspected = read("HTTP/1.0 200 OK\r\n\r\n{}").expect("nothing is said");
        assert!(!bare.state.running && bare.into_labels().is_empty());
    }

    #[test]
    fn a_refusal_has_the_engines_words_and_status() {
        for (answer, status, said) in [
            (
                "HTTP/1.0 404 Not Found\r\n\r\n{\"message\":\"no such\\ncontainer\"}",
                404,
                "no such container",
            ),
            ("HTTP/1.1 500\r\n\r\nplain words", 500, "plain words"),
        ] {
            let error = read::<Inspected>(answer).expect_err("refused");
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
        for answer in [
            "x",
            "HTTP/1.0 200 OK\r\n",
            "HTTP/1.0 OK\r\n\r\n{}",
            "SSH-2.0 200 x\r\n\r\n{}",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n[1]",
        ] {
            let error = read::<Inspected>(answer).expect_err("no answer");
            assert!(matches!(error, EngineError::Protocol { .. }), "{error:?}");
        }
    }

    #[test]
    fn nothing_in_a_name_ends_its_part_of_the_address() {
        assert_eq!(percent("assay-1.2_x"), "assay-1.2_x");
        assert_eq!(percent("a/b?c d\r\n"), "a%2Fb%3Fc%20d%0D%0A");
    }
}
