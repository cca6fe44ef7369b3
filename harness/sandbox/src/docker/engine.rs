//! The connection to a container engine that speaks Docker's API, and the faults it can have.
//!
//! [`Engine`] finds the engine (`DOCKER_HOST`, else the default socket), asks what it is and hands
//! the client to its siblings: [`image`](super::image) (images) and `session` (containers). No
//! type of the client library leaves this folder, and nothing here starts or mends an engine: a
//! fault is told with its cause and a hint.

use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::{API_DEFAULT_VERSION, Docker};

/// Where Docker listens when `DOCKER_HOST` is not set (`dockerd(8)`, `--host`).
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// How long an engine may take for the first answer. A healthy one needs milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an engine may take to begin the answer to one request.
const REQUEST_TIMEOUT_SECONDS: u64 = 120;

/// An engine that has answered. Cheap to clone; every clone speaks to the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    host: String,
}

impl Engine {
    /// Connects to the engine `DOCKER_HOST` names, else to [`DEFAULT_HOST`], and waits for its
    /// first answer.
    ///
    /// # Errors
    ///
    /// [`EngineError::HostUnsupported`] for an address that is no Unix socket,
    /// [`EngineError::Unreachable`] when nothing answers there.
    pub async fn connect() -> Result<Self, EngineError> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_default();
        Self::connect_to(if host.is_empty() { DEFAULT_HOST } else { &host }).await
    }

    /// Connects to the engine at `host` (`unix:///path`) and waits for its first answer.
    ///
    /// # Errors
    ///
    /// As [`Engine::connect`].
    pub async fn connect_to(host: &str) -> Result<Self, EngineError> {
        let Some(path) = host.strip_prefix("unix://") else {
            return Err(EngineError::HostUnsupported {
                host: host.to_owned(),
            });
        };
        let unreachable = |cause: String| EngineError::Unreachable {
            host: host.to_owned(),
            cause,
        };
        let docker = Docker::connect_with_unix(path, REQUEST_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            .map_err(|error| unreachable(cause_of(&error)))?;
        match tokio::time::timeout(CONNECT_TIMEOUT, docker.ping()).await {
            Ok(Ok(_)) => Ok(Self {
                docker,
                host: host.to_owned(),
            }),
            Ok(Err(error)) => Err(unreachable(cause_of(&error))),
            Err(_) => Err(unreachable(format!(
                "no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ))),
        }
    }

    /// The address this engine was reached at.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unreachable`] or [`EngineError::Died`] when there is none.
    pub async fn ping(&self) -> Result<(), EngineError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.docker.ping()).await {
            Ok(answer) => answer
                .map(|_| ())
                .map_err(|error| self.fault("ping", error)),
            Err(_) => Err(EngineError::TimedOut {
                operation: "ping".to_owned(),
                seconds: CONNECT_TIMEOUT.as_secs(),
            }),
        }
    }

    /// What the engine says of itself. Fields an engine leaves out are empty or `None`: Podman
    /// and Docker 20.10 answer with different sets.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the request for its version.
    pub async fn about(&self) -> Result<About, EngineError> {
        let version = self
            .docker
            .version()
            .await
            .map_err(|error| self.fault("ask for the version", error))?;
        // Some engines answer `info` with shapes the client cannot read; the version alone serves.
        let info = self.docker.info().await.unwrap_or_default();
        let unbounded = unbounded(&info);
        let product = version
            .components
            .unwrap_or_default()
            .into_iter()
            .map(|component| component.name)
            .find(|name| name.to_ascii_lowercase().contains("podman"))
            .map_or(Product::Docker, |_| Product::Podman);
        Ok(About {
            product,
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            kernel: version.kernel_version.or(info.kernel_version),
            data_root: info.docker_root_dir,
            storage_driver: info.driver,
            cgroup_version: info.cgroup_version.map(|version| version.to_string()),
            unbounded,
            rootless: info
                .security_options
                .unwrap_or_default()
                .iter()
                .any(|option| option.contains("rootless")),
        })
    }

    /// The client, for the siblings of this module.
    pub(in crate::docker) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The client with another bound on how long the engine may take to begin an answer.
    pub(in crate::docker) fn docker_within(&self, limit: Duration) -> Docker {
        self.docker.clone().with_timeout(limit)
    }

    /// Turns a fault of the client library into ours. `operation` fits after "failed to".
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's remaining faults all mean an answer it could not read"
    )]
    pub(in crate::docker) fn fault(
        &self,
        operation: &str,
        error: bollard::errors::Error,
    ) -> EngineError {
        use bollard::errors::Error as Client;
        let cause = cause_of(&error);
        match error {
            Client::DockerResponseServerError {
                status_code,
                message,
            } => EngineError::Api {
                operation: operation.to_owned(),
                status: status_code,
                message: bounded(&message),
            },
            Client::DockerStreamError { error } => EngineError::Api {
                operation: operation.to_owned(),
                status: 200,
                message: bounded(&error),
            },
            Client::RequestTimeoutError => EngineError::TimedOut {
                operation: operation.to_owned(),
                seconds: REQUEST_TIMEOUT_SECONDS,
            },
            Client::SocketNotFoundError(_) => EngineError::Unreachable {
                host: self.host.clone(),
                cause,
            },
            Client::HyperLegacyError { err } if err.is_connect() => EngineError::Unreachable {
                host: self.host.clone(),
                cause,
            },
            Client::HyperLegacyError { .. }
            | Client::HyperResponseError { .. }
            | Client::IOError { .. } => EngineError::Died {
                operation: operation.to_owned(),
                host: self.host.clone(),
                cause,
            },
            _ => EngineError::Protocol {
                operation: operation.to_owned(),
                cause,
            },
        }
    }
}

/// Which product answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Docker, or what says nothing else of itself.
    Docker,
    /// Podman's Docker-compatible service.
    Podman,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Which product answers.
    pub product: Product,
    /// The product's version, as it writes it; empty if it does not say.
    pub version: String,
    /// The newest API version it speaks; empty if it does not say.
    pub api_version: String,
    /// Its architecture in Go's words (`amd64`); empty if it does not say.
    pub architecture: String,
    /// The kernel its containers run on.
    pub kernel: Option<String>,
    /// The folder of its images and containers, on the engine's own machine.
    pub data_root: Option<String>,
    /// How it stacks layers (`overlay2`).
    pub storage_driver: Option<String>,
    /// `1` or `2`.
    pub cgroup_version: Option<String>,
    /// What it says it cannot bound for a container, in words such as `memory`.
    pub unbounded: Vec<&'static str>,
    /// Whether it runs without root.
    pub rootless: bool,
}

/// What an engine says it cannot bound; of what it does not speak, it is not known.
fn unbounded(info: &SystemInfo) -> Vec<&'static str> {
    [
        ("memory", info.memory_limit),
        ("processors", info.cpu_cfs_quota),
        ("processes", info.pids_limit),
    ]
    .into_iter()
    .filter_map(|(what, bounded)| (bounded == Some(false)).then_some(what))
    .collect()
}

/// What can go wrong between us and the engine. Each message fits after "failed to …: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// `DOCKER_HOST` names a kind of address this client does not speak.
    #[error("the engine address `{host}` is no Unix socket")]
    HostUnsupported {
        /// The address.
        host: String,
    },
    /// Nothing answers at the address.
    #[error("no engine answers at `{host}`: {cause}")]
    Unreachable {
        /// The address.
        host: String,
        /// What the attempt ended with.
        cause: String,
    },
    /// The engine has no such image.
    #[error("the engine has no image `{image}`")]
    ImageMissing {
        /// The image's name or id.
        image: String,
    },
    /// The connection broke while an answer was awaited or read.
    #[error("the engine at `{host}` went away while asked to {operation}: {cause}")]
    Died {
        /// What was asked of it.
        operation: String,
        /// The address.
        host: String,
        /// How the connection ended.
        cause: String,
    },
    /// The engine took longer than it may.
    #[error("the engine did not {operation} within {seconds} s")]
    TimedOut {
        /// What was asked of it.
        operation: String,
        /// The bound, in seconds.
        seconds: u64,
    },
    /// The engine refused.
    #[error("the engine refused to {operation} (status {status}): {message}")]
    Api {
        /// What was asked of it.
        operation: String,
        /// The HTTP status; 200 when the refusal came inside a stream that had begun well.
        status: u16,
        /// The engine's own words, bounded.
        message: String,
    },
    /// The answer is none this client can read.
    #[error("the engine's answer when asked to {operation} cannot be read: {cause}")]
    Protocol {
        /// What was asked of it.
        operation: String,
        /// What could not be read.
        cause: String,
    },
    /// The bytes to be sent could not be read on this side.
    #[error("the bytes to {operation} cannot be read: {cause}")]
    Source {
        /// What they were to be sent for.
        operation: String,
        /// The reason.
        cause: String,
    },
}

impl EngineError {
    /// What the user can do about it, if anything is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::HostUnsupported { .. } => {
                Some("set `DOCKER_HOST` to `unix:///path/to/docker.sock`".to_owned())
            }
            Self::Unreachable { cause, .. } if cause.contains("ermission denied") => {
                Some("this user may not use the engine's socket: add it to the engine's group, or use an engine of its own through `DOCKER_HOST`".to_owned())
            }
            Self::Unreachable { .. } => {
                Some("start the engine, or set `DOCKER_HOST` to the socket of one that runs; in a checkout of assay `eval \"$(ci/engine start)\"` does both".to_owned())
            }
            Self::ImageMissing { .. } => Some("build it with `assay images build`".to_owned()),
            Self::Died { .. } => {
                Some("see the engine's own log; whatever it left is removed by the next run".to_owned())
            }
            Self::TimedOut { .. } => {
                Some("the engine is overloaded or stuck; see its own log".to_owned())
            }
            Self::Api { message, .. } if message.contains("no space left") => {
                Some("free space on the disk of the engine's data folder".to_owned())
            }
            Self::Api { .. } | Self::Protocol { .. } | Self::Source { .. } => None,
        }
    }

    /// Whether the same request can succeed a moment later without anybody mending anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Died { .. } | Self::TimedOut { .. } => true,
            Self::Api { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            Self::HostUnsupported { .. }
            | Self::ImageMissing { .. }
            | Self::Protocol { .. }
            | Self::Source { .. } => false,
        }
    }
}

/// The whole chain of causes on one line: the library's outermost text is often only "client error".
fn cause_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    bounded(&text)
}

/// An engine's words as they may be shown: one line, no control characters, at most 600 of them.
pub(in crate::docker) fn bounded(text: &str) -> String {
    let mut shown: String = text
        .trim()
        .chars()
        .take(600)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.trim().chars().nth(600).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("docker.sock");
        std::fs::write(&socket, "").expect("a file in place of the socket");
        let docker = Docker::connect_with_unix(
            socket.to_str().expect("a path in UTF-8"),
            5,
            API_DEFAULT_VERSION,
        )
        .expect("a client that has not connected yet");
        Engine {
            docker,
            host: "unix:///nowhere".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_address_that_is_no_socket_is_refused_with_a_hint() {
        let error = Engine::connect_to("tcp://127.0.0.1:2375")
            .await
            .expect_err("no socket");
        assert_eq!(
            error,
            EngineError::HostUnsupported {
                host: "tcp://127.0.0.1:2375".to_owned()
            }
        );
        assert!(error.hint().expect("a hint").contains("unix:///"));
        assert!(!error.is_transient());
    }

    #[tokio::test]
    async fn a_missing_socket_is_unreachable_and_names_the_address() {
        let error = Engine::connect_to("unix:///does/not/exist.sock")
            .await
            .expect_err("missing");
        assert!(
            error.to_string().contains("unix:///does/not/exist.sock"),
            "{error}"
        );
        assert!(matches!(error, EngineError::Unreachable { .. }));
        assert!(error.is_transient());
    }

    #[tokio::test]
    async fn a_file_in_place_of_the_socket_is_unreachable() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("docker.sock");
        std::fs::write(&path, "").expect("a file");
        let host = format!("unix://{}", path.display());
        let error = Engine::connect_to(&host)
            .await
            .expect_err("a file answers nothing");
        assert!(
            matches!(error, EngineError::Unreachable { .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_listener_that_hangs_up_is_unreachable() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("a listener");
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        let error = Engine::connect_to(&format!("unix://{}", path.display()))
            .await
            .expect_err("a listener that hangs up");
        server.abort();
        assert!(
            matches!(error, EngineError::Unreachable { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn faults_of_the_client_are_told_apart() {
        use bollard::errors::Error as Client;
        let engine = engine();
        let refused = engine.fault(
            "create the container",
            Client::DockerResponseServerError {
                status_code: 409,
                message: "name\nis\u{1b}[31m taken".to_owned(),
            },
        );
        assert_eq!(
            refused.to_string(),
            "the engine refused to create the container (status 409): name is [31m taken"
        );
        assert!(!refused.is_transient());
        let broken = engine.fault(
            "start the container",
            Client::IOError {
                err: std::io::Error::other("connection reset"),
            },
        );
        assert!(matches!(broken, EngineError::Died { .. }));
        assert!(broken.is_transient());
        let full = engine.fault(
            "load the image",
            Client::DockerStreamError {
                error: "write: no space left on device".to_owned(),
            },
        );
        assert!(full.hint().expect("a hint").contains("free space"));
        assert!(matches!(
            engine.fault("wait", Client::RequestTimeoutError),
            EngineError::TimedOut { .. }
        ));
        assert!(matches!(
            engine.fault("wait", Client::APIVersionParseError {}),
            EngineError::Protocol { .. }
        ));
    }

    #[test]
    fn what_an_engine_does_not_deny_it_may_bound() {
        let info = |memory_limit| SystemInfo {
            memory_limit,
            pids_limit: Some(true),
            ..SystemInfo::default()
        };
        assert_eq!(unbounded(&info(Some(false))), ["memory"]);
        assert_eq!(unbounded(&info(Some(true))), [""; 0]);
        assert_eq!(unbounded(&info(None)), [""; 0]);
    }

    #[test]
    fn words_of_an_engine_are_bounded() {
        assert_eq!(bounded(&"x".repeat(5000)).chars().count(), 601);
        assert_eq!(bounded("a\tb"), "a b");
    }
}
