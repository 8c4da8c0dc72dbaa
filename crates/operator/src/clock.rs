//! What time it is: the only place below the command line that may ask.
//!
//! Against AWS it is this machine's clock, and the service's `Date` header tells how far it may be trusted (F-CLOCK). A
//! development server can have a clock of its own, which a rehearsal turns by weeks; then that clock is the time, and nothing
//! else is, or deadlines would be missed by both sides differently.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use api::Timestamp;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::endpoint::Endpoint;

/// Longest wait for a development server on this machine. (Ours.)
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait until a development server has done all that became due when its clock was turned. (Ours.)
const TURN: Duration = Duration::from_secs(600);
/// Longest answer; the real one has under a hundred bytes. (Ours.)
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// What time it is.
#[derive(Debug, Clone)]
pub enum Clock {
    /// This machine's clock.
    System,
    /// The clock of a development server on this machine, which may be virtual.
    Endpoint(Endpoint),
}

/// Why the time could not be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a server on this machine may say what time it is.
    #[error(
        "`{endpoint}` may not set the time: `--clock endpoint` is for a development server on this machine, over http"
    )]
    NotLocal {
        /// The endpoint.
        endpoint: String,
    },
    /// It did not answer.
    #[error("the clock of `{endpoint}` did not answer: {source}; is `quietus serve --dev` running there?")]
    Silent {
        /// The endpoint.
        endpoint: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It answered something else.
    #[error("`{endpoint}` did not tell the time: {answer}; only `quietus serve --dev` does")]
    Nonsense {
        /// The endpoint.
        endpoint: String,
        /// The beginning of what it said.
        answer: String,
    },
}

impl Clock {
    /// The clock of a server on this machine.
    ///
    /// # Errors
    /// [`Error::NotLocal`] for any other server: its answers are not protected, and time decides about loss.
    pub fn of_endpoint(endpoint: Endpoint) -> Result<Clock, Error> {
        if endpoint.is_loopback() && endpoint.is_plain() {
            Ok(Clock::Endpoint(endpoint))
        } else {
            Err(Error::NotLocal { endpoint: endpoint.to_string() })
        }
    }

    /// Now.
    ///
    /// # Errors
    /// Where a server's clock does not tell it.
    pub fn now(&self) -> Result<Timestamp, Error> {
        match self {
            Clock::System => Ok(system_now()),
            Clock::Endpoint(endpoint) => ask(endpoint),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the edge: everything below takes `now` from here")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

/// A service's clock less this machine's, by the `Date` header of an answer that has just come; whole seconds.
pub(crate) fn skew(date: &str) -> Option<SignedDuration> {
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let ours = system_now().as_second();
    Some(SignedDuration::from_secs(theirs.as_second().saturating_sub(ours)))
}

#[derive(Deserialize)]
struct Answer {
    now: Timestamp,
}

/// Lets the virtual clock of a development server on this machine go on; what it shows when all that became due is done.
///
/// # Errors
/// Where the server is not on this machine, does not answer, or has no virtual clock.
pub fn advance(endpoint: &Endpoint, by: SignedDuration) -> Result<Timestamp, Error> {
    let body = format!("{{\"advance_seconds\":{}}}", by.as_secs());
    let answer = control(endpoint, "/_quietus/clock", &body)?;
    time(endpoint, &answer)
}

/// Asks a development server on this machine for one of its controls: POSTs `body` to `path`; the whole answer.
///
/// # Errors
/// Where the server is not on this machine or does not answer.
pub fn control(endpoint: &Endpoint, path: &str, body: &str) -> Result<Vec<u8>, Error> {
    if !(endpoint.is_loopback() && endpoint.is_plain()) {
        return Err(Error::NotLocal { endpoint: endpoint.to_string() });
    }
    let head =
        format!("POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", endpoint.authority(), body.len());
    let asked = exchange(endpoint, &format!("{head}{body}"), TURN);
    asked.map_err(|source| Error::Silent { endpoint: endpoint.to_string(), source })
}

fn ask(endpoint: &Endpoint) -> Result<Timestamp, Error> {
    let request = format!("GET /_quietus/clock HTTP/1.0\r\nHost: {}\r\n\r\n", endpoint.authority());
    let asked = exchange(endpoint, &request, TIMEOUT);
    let answer = asked.map_err(|source| Error::Silent { endpoint: endpoint.to_string(), source })?;
    time(endpoint, &answer)
}

/// The time that an answer tells.
fn time(endpoint: &Endpoint, answer: &[u8]) -> Result<Timestamp, Error> {
    let nonsense = || Error::Nonsense {
        endpoint: endpoint.to_string(),
        answer: String::from_utf8_lossy(answer).chars().take(80).collect::<String>().escape_debug().to_string(),
    };
    let text = std::str::from_utf8(answer).map_err(|_| nonsense())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(nonsense)?;
    let status = head.split(' ').nth(1).ok_or_else(nonsense)?;
    if status != "200" {
        return Err(nonsense());
    }
    serde_json::from_str::<Answer>(body).map(|answer| answer.now).map_err(|_| nonsense())
}

/// One request over a connection of its own. HTTP/1.0, so that the answer ends where the connection does.
fn exchange(endpoint: &Endpoint, request: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in endpoint.loopback_addresses() {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                stream.write_all(request.as_bytes())?;
                let mut answer = Vec::new();
                stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
                return Ok(answer);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a server's clock comes to that answers this.
    fn check(answer: &'static str) -> Result<Timestamp, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let size = stream.read(&mut asked).unwrap();
            assert!(asked[..size].starts_with(b"GET /_quietus/clock HTTP/1.0\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let told = Clock::of_endpoint(endpoint).unwrap().now().map_err(|error| error.to_string());
        server.join().unwrap();
        told
    }

    #[test]
    fn a_development_server_tells_its_time() {
        let told = check("HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"now\":\"2031-02-03T04:05:06Z\"}");
        assert_eq!(told.unwrap().to_string(), "2031-02-03T04:05:06Z");
    }

    #[test]
    fn a_date_header_tells_how_far_the_clocks_differ() {
        assert!(skew("Mon, 03 Feb 2070 04:05:06 GMT").unwrap() > SignedDuration::from_hours(24));
        assert!(skew("soon").is_none());
    }

    #[test]
    fn anything_else_is_an_error_that_says_so() {
        for answer in ["", "HTTP/1.0 404 Not Found\r\n\r\n{}", "HTTP/1.0 200 OK\r\n\r\n{\"now\":\"soon\"}", "\u{0}"] {
            assert!(check(answer).unwrap_err().contains("did not tell the time"), "{answer:?}");
        }
        let far = "http://example.org".parse().unwrap();
        assert!(Clock::of_endpoint(far).is_err());
        let nobody = "http://127.0.0.1:1".parse().unwrap();
        assert!(Clock::of_endpoint(nobody).unwrap().now().unwrap_err().to_string().contains("did not answer"));
    }
}
