//! What a run needs of the world: the engine, the caches, the proxy, the executor. Connected once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use assay_content::fetch::{FetchPolicy, Fetcher};
use assay_content::lab_hosts::LabHosts;
use assay_content::proxy::{AnswersFrom, CertificateAuthority, Proxy, ProxyConfig};
use assay_content::store::Store;
use assay_content::upstream::UpstreamProxies;
use assay_run::{Context, Journal, PackageReader};
use assay_sandbox::docker::engine::Engine;
use assay_sandbox::images::lab::LabManifest;
use assay_sandbox::lease::{Leases, OwnerId};
use assay_sandbox::session::{Backend, SandboxLimits};
use assay_wire::lock::Network;
use tokio::sync::watch;

use crate::error::CliError;
use crate::network::Reach;
use crate::project::Project;
use crate::terminal::Terminal;
use crate::{cache, images, store};

/// The executor, built for this architecture by the build script.
pub(crate) static EXECUTOR: &[u8] = include_bytes!(env!("ASSAY_EXECUTOR"));

/// The executor's architecture, in an image definition's words.
pub(crate) const ARCHITECTURE: &str = match env!("ASSAY_EXECUTOR_ARCH").as_bytes() {
    b"aarch64" => "arm64",
    _ => "amd64",
};

/// True for a run whose sandboxes are only driven: what `ci/bench capture` compares with. No installed `assay`
/// can be asked for it.
fn is_without_capture() -> bool {
    cfg!(feature = "bench") && std::env::var_os("ASSAY_BENCH_WITHOUT_CAPTURE").is_some()
}

/// What a run needs of the world.
pub(crate) struct World {
    /// The engine.
    pub(crate) engine: Engine,
    /// The engine as what starts sandboxes.
    pub(crate) backend: Backend,
    /// This user's cache folder.
    pub(crate) cache: PathBuf,
    /// Which runs are alive.
    pub(crate) leases: Leases,
    /// Whose sandboxes these are.
    pub(crate) owner: OwnerId,
    /// Verified bytes.
    pub(crate) store: Arc<Store>,
    /// The way out for declared content.
    pub(crate) fetcher: Fetcher,
    /// Where what sandboxes ask for comes from.
    pub(crate) network: Network,
    /// The way out for sandboxes.
    pub(crate) proxy: Proxy,
    /// The certificate the proxy shows, PEM.
    pub(crate) certificate: String,
    /// The executor's binary.
    pub(crate) executor: Arc<[u8]>,
    /// What bounds each sandbox.
    pub(crate) limits: SandboxLimits,
}

impl World {
    /// Connects to everything. Nothing is started or changed.
    ///
    /// # Errors
    /// If the engine does not answer, or a cache folder cannot be used.
    pub(crate) async fn connect(
        terminal: &Terminal,
        project: &Project,
        network: Network,
    ) -> Result<Self, CliError> {
        let engine = images::connect().await?;
        let cache = cache::folder()?;
        let lab = lab_hosts(&cache)?;
        let upstream = UpstreamProxies::from_environment().map_err(CliError::usage)?;
        let policy = policy(project)?;
        let authority =
            Arc::new(CertificateAuthority::generate().map_err(CliError::infrastructure)?);
        let reach = Reach::of(project.network())?;
        let store = store::open(&cache.join("content"))?;
        let answers = match network {
            Network::Live => AnswersFrom::World,
            Network::Record => AnswersFrom::WorldOnce(store.clone()),
            Network::Replay => AnswersFrom::Lock(store.clone()),
            Network::None => AnswersFrom::Nowhere,
        };
        let config = ProxyConfig {
            answers,
            lock: project.lock().cloned().unwrap_or_default(),
            lab: lab.clone(),
            keeping: Some(PackageReader::keeping(store.clone())),
            addresses: reach.addresses,
            upstream: upstream.clone(),
            ..ProxyConfig::default()
        };
        if terminal.verbose {
            terminal.message(&format!("engine: {}", engine.host()));
        }
        Ok(Self {
            backend: Backend::docker(engine.clone())
                .await
                .map_err(CliError::infrastructure)?,
            engine,
            leases: Leases::of(&cache),
            owner: OwnerId::of_this_machine(&cache).map_err(CliError::infrastructure)?,
            store: Arc::new(store),
            network,
            fetcher: Fetcher::new(policy, lab, upstream),
            certificate: authority.certificate_pem(),
            proxy: Proxy::new(config, authority),
            executor: Arc::from(EXECUTOR),
            limits: SandboxLimits::default(),
            cache,
        })
    }

    /// What the cells of a run share: none is kept, none has a limit of time.
    pub(crate) fn context(
        &self,
        journal: Arc<Journal>,
        interrupted: watch::Receiver<bool>,
    ) -> Context {
        Context {
            journal,
            store: Arc::clone(&self.store),
            fetcher: self.fetcher.clone(),
            network: self.network,
            packages: PackageReader::new(Arc::clone(&self.store), self.proxy.clone()),
            proxy: self.proxy.clone(),
            certificate: self.certificate.clone(),
            backend: self.backend.clone(),
            owner: self.owner,
            executor: Arc::clone(&self.executor),
            limits: self.limits,
            cell_time: Duration::MAX,
            captures: !is_without_capture(),
            keep_failed: false,
            interrupted,
        }
    }

    /// True if a need of `expected.toml` is met here.
    pub(crate) fn meets(&self, project: &Project, need: &str) -> bool {
        let Some(host) = need.strip_prefix("host:") else {
            return false;
        };
        match self.network {
            Network::Live | Network::Record => self.fetcher.answers(host),
            // What was recorded of a host is all that will ever be asked of it.
            Network::Replay => project.lock().is_some_and(|lock| {
                let of_host = |url: &String| {
                    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                    rest.split(['/', ':', '?']).next() == Some(host)
                };
                lock.answers.keys().any(of_host)
            }),
            Network::None => false,
        }
    }
}

/// The way out for declared content and where it is kept, without an engine.
///
/// # Errors
/// If a cache folder or a setting of the environment cannot be used.
pub(crate) fn way_out(project: &Project) -> Result<(Fetcher, Store), CliError> {
    let cache = cache::folder()?;
    let lab = lab_hosts(&cache)?;
    let upstream = UpstreamProxies::from_environment().map_err(CliError::usage)?;
    let store = store::open(&cache.join("content"))?;
    Ok((Fetcher::new(policy(project)?, lab, upstream), store))
}

/// What may be fetched, from where, with the project's patience.
fn policy(project: &Project) -> Result<FetchPolicy, CliError> {
    let reach = Reach::of(project.network())?;
    let mut policy = FetchPolicy {
        addresses: reach.addresses,
        mirrors: reach.mirrors,
        ..FetchPolicy::default()
    };
    if let Some(timeout) = &project.network().timeout {
        policy.idle_time = timeout.value;
    }
    Ok(policy)
}

/// The lab's repositories, if they are built.
fn lab_hosts(cache: &std::path::Path) -> Result<LabHosts, CliError> {
    let manifest = LabManifest::read(cache).map_err(CliError::infrastructure)?;
    Ok(LabHosts {
        repositories: manifest.map(|manifest| cache.join("lab").join(manifest.repositories.path)),
    })
}
