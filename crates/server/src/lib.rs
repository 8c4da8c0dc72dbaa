//! The server: everything of `quietus serve` but the pure service.
//!
//! Sockets, TLS, signatures, clocks, files and threads live here, and no decision about keys: those are
//! [`service::decide`]'s and [`service::tick`]'s. A request goes through the door (`door`), its signature is verified ([`sigv4`]), the
//! service decides, and nothing is answered before it is durable: changes through the commit loop (`commit`), everything else
//! through the audit log ([`audit`]).
//!
//! [`Server::start`] is all that a caller needs; `quietus serve`, `quietus rehearse` and tests run the same server.

mod answer;
pub mod audit;
mod clock;
mod commit;
mod control;
mod credentials;
mod door;
mod error;
mod files;
mod folder;
mod health;
mod ids;
mod key_stores;
mod lookup;
mod node;
mod quotas;
mod records;
pub mod sigv4;
mod ticks;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use api::{AccountId, Timestamp};
use arc_swap::ArcSwap;
use jiff::SignedDuration;
use service::Vault;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle as Task;
use tracing::info;

pub use clock::{Clock, ClockError};
pub use credentials::{AccessKey, CredentialsError, DEV_KEY, Principal};
pub use error::StartError;
pub use files::FileError;
pub use key_stores::{Cluster, KeyStores, NoCluster};
pub use quotas::RequestQuotas;
pub use records::Outage;
pub use ticks::AdvanceError;
pub use tls::TlsFiles;

use commit::Commits;
use folder::{Folder, Kind, Wanted};
use health::Health;
use key_stores::Reached;
use lookup::Turns;
use node::Node;
use quotas::Buckets;
use records::Records;
use sigv4::Verifier;
use ticks::Ticker;

/// Longest that keys may be deleted late: AWS's own delay. Source: KMS API Reference, ScheduleKeyDeletion.
const DELETION_DELAY_SECONDS: u32 = 24 * 60 * 60;

/// Which clock a server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockKind {
    /// The operating system's.
    Real,
    /// One that stands still until it is advanced; development servers only.
    Virtual {
        /// What it shows first; the wall time where nothing is given, and what it showed last in a folder that has run before.
        start: Option<Timestamp>,
    },
}

/// How a server runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 lets the operating system choose.
    pub listen: SocketAddr,
    /// The data folder, made where there is none; without one, everything is gone when the server stops.
    pub data: Option<PathBuf>,
    /// A development server: the access key `test`/`test`, loopback only, controls under `/_quietus/`.
    pub dev: bool,
    /// The account of a new data folder; else [`AccountId::ZERO`] in a development server, and a random one otherwise.
    pub account: Option<AccountId>,
    /// Certificate and key; without them connections are cleartext.
    pub tls: Option<TlsFiles>,
    /// The clock of keys, records and ticks.
    pub clock: ClockKind,
    /// How late keys are deleted, 0 to 86,400 seconds: AWS takes up to a day.
    pub deletion_delay_seconds: u32,
    /// How old a record may become before it is sealed into the trail, by the server's clock.
    pub seal_every: SignedDuration,
    /// More access keys, beside those of the data folder, for as long as this server runs.
    pub extra_keys: Vec<AccessKey>,
    /// What stands behind custom key stores.
    pub key_stores: KeyStores,
    /// The root certificate, PEM, that attestation documents of enclaves must lead to.
    pub nitro_root: Option<PathBuf>,
    /// An operator has looked at a wall clock that had jumped: keys are deleted again.
    pub accept_clock: bool,
    /// Which request quotas hold for each account and Region.
    pub request_quotas: RequestQuotas,
}

impl Config {
    /// A server with its data in a folder, on port 4566 of this machine.
    pub fn new(data: PathBuf) -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4566)),
            data: Some(data),
            dev: false,
            account: None,
            tls: None,
            clock: ClockKind::Real,
            deletion_delay_seconds: 0,
            seal_every: SignedDuration::from_mins(5),
            extra_keys: Vec::new(),
            key_stores: KeyStores::default(),
            nitro_root: None,
            accept_clock: false,
            request_quotas: RequestQuotas::Off,
        }
    }

    /// A development server that keeps nothing, on a free port.
    pub fn ephemeral() -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: None,
            dev: true,
            ..Config::new(PathBuf::new())
        }
    }

    fn check(&self) -> Result<(), StartError> {
        if self.dev && !self.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback { listen: self.listen });
        }
        if !self.dev && self.clock != ClockKind::Real {
            return Err(StartError::VirtualClock);
        }
        let seconds = self.deletion_delay_seconds;
        if seconds > DELETION_DELAY_SECONDS {
            return Err(StartError::DeletionDelay { seconds });
        }
        Ok(())
    }

    fn clock(&self, folder: &Folder) -> Result<Clock, StartError> {
        match self.clock {
            ClockKind::Virtual { start } => Ok(Clock::virtual_in(folder.clock(), start)?),
            ClockKind::Real => match clock::virtual_time(&folder.clock())? {
                Some(shown) if shown > clock::wall() => {
                    Err(StartError::ClockAhead { path: folder.root().to_owned(), shown })
                }
                Some(_) | None => Ok(Clock::real()),
            },
        }
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server; it answers when this returns. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], which says what was wrong and what to do.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        config.check()?;
        // The port first: a second server on the same one must not touch the folder.
        let refused = |source| StartError::Listen { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;

        let opened = tokio::task::spawn_blocking(move || open(config)).await.expect("opening does not panic")?;
        let Opened { node, commit_loop, account, root_key, created, tls } = opened;
        let (stop, stopping) = watch::channel(false);
        let door = tokio::spawn(door::serve(node.clone(), listener, acceptor, stopping.clone()));
        let ticks = tokio::spawn(ticks::run(node.clone(), stopping));
        info!(%addr, %account, dev = node.dev, tls, virtual_clock = node.clock.is_virtual(), "listening");
        Ok(Running { node, addr, account, root_key, created, tls, stop, door, ticks, commit_loop })
    }
}

/// What a data folder holds, in memory.
struct Opened {
    node: Arc<Node>,
    commit_loop: JoinHandle<()>,
    account: AccountId,
    root_key: AccessKey,
    created: bool,
    tls: bool,
}

/// Opens the data folder and takes everything up where it was left. Blocks.
fn open(config: Config) -> Result<Opened, StartError> {
    let kind = if config.dev { Kind::Dev } else { Kind::Server };
    let wanted = Wanted { kind, account: config.account, now: clock::wall() };
    let mut folder = match &config.data {
        Some(path) => Folder::open(path, wanted)?,
        None => Folder::temporary(wanted)?,
    };
    let account = folder.account();
    // Locks the folder against a second server.
    let (store, keyring) = folder.open_store()?;
    let outside = Reached::open(config.key_stores.clone())?;
    let vault = Vault::new(keyring).reaching(Arc::new(outside));
    let vault = match &config.nitro_root {
        Some(path) => vault.trusting(tls::nitro_root(path)?),
        None => vault,
    };
    let clock = config.clock(&folder)?;

    let credentials = credentials::open(&folder.credentials(), || match kind {
        Kind::Dev => AccessKey::dev(account),
        Kind::Server => AccessKey::generate(account),
    })?;
    let mut keys = credentials.keys;
    keys.extend(config.extra_keys);
    credentials::refuse_twins(&keys)?;

    let state = commit::load(store.as_ref())?;
    let records = Arc::new(Records::open(&folder, config.dev)?);
    records.uses(|key, last| state.note_use(key, last))?;
    let state = Arc::new(ArcSwap::from_pointee(state));
    let health = Arc::new(Health::default());
    let ticker = Ticker::open(&folder, &clock, &health, config.accept_clock)?;
    let commits = Commits { store, state: state.clone(), records: records.clone(), health: health.clone() };
    let (committer, commit_loop) = commits.start()?;
    let node = Node {
        state,
        vault,
        verifier: Verifier::new(keys.into_iter().map(AccessKey::into_verifiable)),
        clock,
        committer,
        records,
        lookups: Turns::default(),
        health,
        dev: config.dev,
        deletion_delay_seconds: config.deletion_delay_seconds,
        seal_every: config.seal_every,
        quotas: Buckets::new(config.request_quotas),
        slow: Node::slow_places(),
        connecting: Notify::new(),
        ticker: Mutex::new(ticker),
        sooner: Notify::new(),
        _folder: folder,
    };
    Ok(Opened {
        node: Arc::new(node),
        commit_loop,
        account,
        root_key: credentials.root,
        created: credentials.created,
        tls: config.tls.is_some(),
    })
}

/// A server that runs. It stops with [`Running::stop`], or with the runtime it runs in.
pub struct Running {
    node: Arc<Node>,
    addr: SocketAddr,
    account: AccountId,
    root_key: AccessKey,
    created: bool,
    tls: bool,
    stop: watch::Sender<bool>,
    door: Task<()>,
    ticks: Task<()>,
    commit_loop: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint URL for clients: `http://127.0.0.1:4566`.
    pub fn endpoint_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The account that the data folder was made for.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The root user's access key.
    pub fn credentials(&self) -> &AccessKey {
        &self.root_key
    }

    /// The root user's access key, if it was made by this start: to be shown once.
    pub fn new_credentials(&self) -> Option<&AccessKey> {
        self.created.then_some(&self.root_key)
    }

    /// What time it is for keys and records.
    pub fn clock(&self) -> &Clock {
        &self.node.clock
    }

    /// Moves a virtual clock on, and returns when all that became due on the way is done.
    ///
    /// # Errors
    /// [`AdvanceError`].
    pub async fn advance(&self, by: SignedDuration) -> Result<Timestamp, AdvanceError> {
        self.node.advance(by).await
    }

    /// Stops: no new calls, those being answered may finish for ten seconds, then everything is written.
    pub async fn stop(self) {
        // An error is a server whose tasks have ended already.
        let _ = self.stop.send(true);
        for task in [self.door, self.ticks] {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the server ended badly");
            }
        }
        self.node.committer.stop().await;
        let ended = tokio::task::spawn_blocking(move || self.commit_loop.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the commit loop ended badly");
        }
        info!("stopped");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(running: &Running, head: &str) -> String {
        let mut stream = TcpStream::connect(running.addr()).await.unwrap();
        let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_server_that_cannot_record_answers_no_call_and_says_why() {
        let running = Server::start(Config::ephemeral()).await.unwrap();
        running.node.health.audit_failed(&"no space left");
        let ready = ask(&running, "GET /readyz HTTP/1.1").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("audit log: no space left"), "{ready}");
        let call = ask(&running, "POST / HTTP/1.1\r\nX-Amz-Target: TrentService.ListKeys").await;
        assert!(call.starts_with("HTTP/1.1 500") && call.contains("KMSInternalException"), "{call}");
        assert!(ask(&running, "GET /healthz HTTP/1.1").await.starts_with("HTTP/1.1 200"));
        running.stop().await;
    }
}
