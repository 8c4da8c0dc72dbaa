//! A service's address, as far as we must know it ourselves: is it this machine, and where to ask for its clock.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// An endpoint URL in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    tls: bool,
    host: String,
    port: u16,
}

/// A text that is no endpoint URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an endpoint URL such as `http://127.0.0.1:4566`")]
pub struct InvalidEndpoint {
    /// The text as given.
    pub given: String,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Endpoint, InvalidEndpoint> {
        let read = || {
            let (scheme, rest) = text.split_once("://")?;
            let tls = match scheme {
                "http" => false,
                "https" => true,
                _ => return None,
            };
            let authority =
                rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty() && !host.contains('@'))?;
            let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let (host, port) = match bracketed {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
                None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
            };
            let port = match port {
                Some(port) => port.parse().ok()?,
                None if tls => 443,
                None => 80,
            };
            let spelt = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_'));
            (!host.is_empty() && spelt).then(|| Endpoint { url: text.to_owned(), tls, host: host.to_owned(), port })
        };
        read().ok_or_else(|| InvalidEndpoint { given: text.to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.url)
    }
}

impl Endpoint {
    /// Whether it is on this machine, by its name: such a service is ours, and no rate of AWS's applies to it.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether it speaks HTTP without TLS.
    pub fn is_plain(&self) -> bool {
        !self.tls
    }

    /// What to put into `Host`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Its addresses on this machine; none if it is elsewhere.
    pub(crate) fn loopback_addresses(&self) -> Vec<SocketAddr> {
        if !self.is_loopback() {
            return Vec::new();
        }
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found.map(|all| all.filter(|address| address.ip().is_loopback()).collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, authority: &str, loopback: bool, plain: bool) {
        let endpoint: Endpoint = url.parse().unwrap();
        assert_eq!(
            (endpoint.authority().as_str(), endpoint.is_loopback(), endpoint.is_plain()),
            (authority, loopback, plain)
        );
        assert_eq!(endpoint.to_string(), url);
    }

    #[test]
    fn urls_are_taken_apart() {
        check("http://127.0.0.1:4566", "127.0.0.1:4566", true, true);
        check("http://[::1]:4566/", "[::1]:4566", true, true);
        check("http://localhost", "localhost:80", true, true);
        check("https://kms.eu-west-1.amazonaws.com", "kms.eu-west-1.amazonaws.com:443", false, false);
        check("http://127.evil.example:1/x", "127.evil.example:1", false, true);
        for text in
            ["", "127.0.0.1:4566", "ftp://a", "http://", "http://a:b", "http://me@host", "http://a b", "http://[::1"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
