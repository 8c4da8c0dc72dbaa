//! Servers as processes of their own, so that each one's processor time can be told from the other's and from the load's.
//!
//! A child is this same program, told by its arguments which server to be. It says where it listens in one line of JSON and ends
//! when its standard input does, so that none outlives its parent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use crate::hello;

/// Ticks a second in `/proc/<pid>/stat`: `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Which server to be.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Role {
    /// The peer.
    #[command(hide = true)]
    Hello {
        /// Length of its answers.
        #[arg(long)]
        body_bytes: usize,
    },
    /// `quietus serve`, on a data folder.
    #[command(hide = true)]
    Quietus {
        /// The folder.
        #[arg(long)]
        data: PathBuf,
    },
}

impl Role {
    fn arguments(&self) -> Vec<String> {
        match self {
            Role::Hello { body_bytes } => vec!["hello".to_owned(), format!("--body-bytes={body_bytes}")],
            Role::Quietus { data } => vec!["quietus".to_owned(), format!("--data={}", data.display())],
        }
    }

    /// Is that server until standard input ends. Both run on the runtime that `quietus serve` runs on.
    ///
    /// # Errors
    /// Where the server does not start.
    pub fn play(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match self {
                Role::Hello { body_bytes } => {
                    announce(&Address { addr: hello::start(*body_bytes).await?, key: None })?;
                    until_input_ends().await
                }
                Role::Quietus { data } => {
                    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
                    let config = server::Config { listen, ..server::Config::new(data.clone()) };
                    let running = server::Server::start(config).await?;
                    let key = running.credentials();
                    let key = AccessKey { id: key.id.clone(), secret: key.secret.to_string() };
                    announce(&Address { addr: running.addr(), key: Some(key) })?;
                    until_input_ends().await?;
                    running.stop().await;
                    Ok(())
                }
            }
        })
    }
}

/// An access key of a server that is gone when the measurement is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// What to sign with.
    pub secret: String,
}

/// Where a child listens, and with which key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The socket.
    pub addr: SocketAddr,
    /// The root user's access key; the peer has none.
    pub key: Option<AccessKey>,
}

fn announce(address: &Address) -> Result<()> {
    let mut line = serde_json::to_vec(address)?;
    line.push(b'\n');
    let mut out = std::io::stdout();
    out.write_all(&line)?;
    Ok(out.flush()?)
}

async fn until_input_ends() -> Result<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// A server that runs as a child process.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// Where it listens.
    pub address: Address,
}

impl Server {
    /// Starts `program`, which is to be a server when it is told so.
    ///
    /// # Errors
    /// Where it does not start or does not say where it listens.
    pub fn start(program: &Path, role: &Role) -> Result<Server> {
        let mut command = Command::new(program);
        command.args(role.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        let out = process.stdout.take().context("a child's output is piped")?;
        BufReader::new(out).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the child {role:?} ended before it listened; see its error above");
        Ok(Server { process, address: serde_json::from_str(&line)? })
    }

    /// Processor seconds that it has used so far, in user and kernel, all threads.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.process.id())
    }
}

/// Ends its input and waits for it.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It has ended, or never will be waited for again.
        let _ = self.process.wait();
    }
}

/// Processor seconds that a process has used so far.
///
/// # Errors
/// Where the system does not say.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the program's name in brackets, which may hold anything; user and kernel time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}
