//! The load: connections that each send a request, wait for the answer, and send the next.
//!
//! One thread drives all connections and looks at an answer only as far as it must, to leave the processors to the servers.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::now;

/// Longest answer; Encrypt's is near 600 bytes.
const ANSWER_BYTES: usize = 16 << 10;
/// How long an answer may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a step of load has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How long it took.
    pub length: Duration,
    /// How long each request took, in nanoseconds, in no order.
    pub latencies: Vec<u32>,
}

impl Seen {
    /// Takes in another step of the same kind.
    pub fn add(&mut self, other: Seen) {
        self.length += other.length;
        self.latencies.extend(other.latencies);
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.length.as_secs_f64()
    }

    /// The latency that `percent` of the requests did not exceed, in microseconds; 0 where there were none.
    pub fn percentile_micros(&mut self, percent: usize) -> f64 {
        if self.latencies.is_empty() {
            return 0.0;
        }
        let at = (self.latencies.len() - 1) * percent / 100;
        let (_, latency, _) = self.latencies.select_nth_unstable(at);
        f64::from(*latency) / 1000.0
    }
}

/// Asks the server at `addr` for `requests`, in turn, over `connections` connections for `length`.
///
/// # Errors
/// At the first answer that is no success, and where a connection fails.
pub fn run(addr: SocketAddr, requests: &[Vec<u8>], connections: usize, length: Duration) -> Result<Seen> {
    ensure!(!requests.is_empty(), "there is nothing to ask for");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let requests: Rc<[Vec<u8>]> = requests.into();
    local.block_on(&runtime, async {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::open(addr).await?);
        }
        let begun = now();
        let running = open.into_iter().enumerate().map(|(first, connection)| {
            tokio::task::spawn_local(connection.ask(requests.clone(), first, begun + length))
        });
        let mut seen = Seen::default();
        for running in running.collect::<Vec<_>>() {
            seen.latencies.extend(running.await??);
        }
        seen.length = begun.elapsed();
        Ok(seen)
    })
}

/// Asks once.
///
/// # Errors
/// Where the answer is no success.
pub fn ask(addr: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(addr).await?;
        let body = connection.answer(request).await?;
        Ok(connection.buffer[body].to_vec())
    })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; ANSWER_BYTES] })
    }

    /// Asks until `until`, beginning with the request `first`; how long each took.
    async fn ask(mut self, requests: Rc<[Vec<u8>]>, first: usize, until: Instant) -> Result<Vec<u32>> {
        let asking = async {
            let mut latencies = Vec::new();
            let mut begun = now();
            for request in requests.iter().cycle().skip(first % requests.len()) {
                if begun >= until {
                    break;
                }
                self.answer(request).await?;
                let answered = now();
                latencies.push(u32::try_from((answered - begun).as_nanos()).unwrap_or(u32::MAX));
                begun = answered;
            }
            Ok(latencies)
        };
        let left = until.saturating_duration_since(now()) + PATIENCE;
        tokio::time::timeout(left, asking).await.context("a server stopped answering")?
    }

    /// Sends a request and reads its whole answer; where in the buffer the body is.
    async fn answer(&mut self, request: &[u8]) -> Result<std::ops::Range<usize>> {
        self.stream.write_all(request).await?;
        let mut read = 0;
        loop {
            ensure!(read < self.buffer.len(), "an answer is longer than {ANSWER_BYTES} bytes");
            let more = self.stream.read(&mut self.buffer[read..]).await?;
            ensure!(more > 0, "a server closed the connection");
            read += more;
            if let Some(body) = body(&self.buffer[..read])?
                && body.end <= read
            {
                return Ok(body);
            }
        }
    }
}

/// Where the body of an answer is, once its head is whole.
fn body(answer: &[u8]) -> Result<Option<std::ops::Range<usize>>> {
    let Some(head) = memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
    let (head, start) = (&answer[..head], head + 4);
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("a request was refused: {}", String::from_utf8_lossy(answer));
    }
    let name = b"\r\ncontent-length: ";
    let at = memmem::find(head, name).context("an answer has no content-length")? + name.len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    Ok(Some(start..start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_far_as_its_length_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\ncontent-length: 12\r\n\r\nhello";
        assert_eq!(body(answer).unwrap(), Some(56..68));
        assert_eq!(body(&answer[..40]).unwrap(), None);
        assert!(body(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn percentiles_are_of_what_was_seen() {
        let mut seen = Seen { length: Duration::from_secs(2), latencies: (1..=101).rev().map(|n| n * 1000).collect() };
        assert_eq!((seen.percentile_micros(50), seen.percentile_micros(99), seen.rate()), (51.0, 100.0, 50.5));
        assert_eq!(Seen::default().percentile_micros(50), 0.0);
    }
}
