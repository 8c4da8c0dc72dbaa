//! The door: connections, HTTP, and which operation of which service a request asks for.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::{Fault, Operation, Service};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, USER_AGENT};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use service::{Call, Origin};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::answer::{self, Answer, Protocol};
use crate::control;
use crate::ids::Uuid;
use crate::node::Node;
use crate::sigv4;
use crate::ticks::stopping;
use crate::tls;

/// Largest body. The longest legal request, PutKeyPolicy with 128 KiB of policy, is far below even when much of it is escaped;
/// and a record that repeats the request must fit into the audit log.
pub(crate) const BODY_BYTES: usize = 512 << 10;
/// Most connections at a time; who comes then waits in the listener's queue.
const CONNECTIONS: usize = 1024;
/// Most calls at a time on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Largest head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// How long a client may take for a TLS handshake, a request's head, or its body; and how long a connection may be idle.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(60);
const BODY: Duration = Duration::from_secs(30);
/// How long calls may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long to wait when the operating system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Takes connections until `stop` says so, then lets those that are being answered finish, for at most ten seconds.
pub(crate) async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        tokio::select! {
            () = stopping(&mut stop) => break,
            (accepted, place) = next => match accepted {
                Ok((stream, peer)) => {
                    let source_ip = peer.ip().to_canonical().to_string();
                    let connection = Connection { node: node.clone(), source_ip, tls: None, used: AtomicBool::new(false) };
                    let (tls, watcher) = (tls.clone(), graceful.watcher());
                    tasks.spawn(async move {
                        connection.open(stream, tls, watcher).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "could not take a connection");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        warn!("stopped while calls were still being answered");
    }
    tasks.shutdown().await;
}

/// One client's connection.
struct Connection {
    node: Arc<Node>,
    source_ip: String,
    /// Version and cipher suite.
    tls: Option<(String, String)>,
    /// A request has come.
    used: AtomicBool,
}

impl Connection {
    async fn open(mut self, stream: TcpStream, tls: Option<TlsAcceptor>, watcher: Watcher) {
        // Answers are written whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = tls else { return self.serve(stream, watcher).await };
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.tls = tls::details(stream.get_ref().1);
                self.serve(stream, watcher).await;
            }
            Ok(Err(error)) => debug!(%error, source_ip = self.source_ip, "a TLS handshake failed"),
            Err(_) => debug!(source_ip = self.source_ip, "a TLS handshake took too long"),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, watcher: Watcher) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(HEAD_BYTES)
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES as u32);
        let connection = Arc::new(self);
        let answering = connection.clone();
        let service = service_fn(move |request| {
            let connection = answering.clone();
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        });
        let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::select! {
            served = served => if let Err(error) = served {
                debug!(%error, source_ip = connection.source_ip, "a connection ended early");
            },
            () = connection.unused() => debug!(source_ip = connection.source_ip, "a connection brought no request"),
        }
    }

    /// Returns when a connection has been open for long without any request; never once there was one.
    async fn unused(&self) {
        sleep(HEAD).await;
        if self.used.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.used.store(true, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        let (request_id, event_id) = (Uuid::fresh(), Uuid::fresh());
        let body = match read(body).await {
            Ok(body) => body,
            Err(fault) => return answer::refusal(protocol(&head.headers), request_id.as_str(), fault),
        };
        if head.uri.path() != "/" {
            return control::answer(&self.node, &head, &body).await;
        }
        match asked(&head, &body) {
            Ok(Asked { protocol, operation }) => {
                match self.call(operation, &head, &body, request_id.as_str(), event_id.as_str()).await {
                    Ok(reply) => answer::success(protocol, operation, request_id.as_str(), reply),
                    Err(fault) => answer::refusal(protocol, request_id.as_str(), fault),
                }
            }
            Err(Unasked { protocol, fault }) => {
                debug!(
                    code = fault.code,
                    source_ip = self.source_ip,
                    request_id = request_id.as_str(),
                    "no such operation"
                );
                answer::refusal(protocol, request_id.as_str(), fault)
            }
        }
    }

    /// Verifies and answers a call.
    async fn call(
        &self,
        operation: &'static Operation,
        head: &Parts,
        body: &[u8],
        request_id: &str,
        event_id: &str,
    ) -> Result<Vec<u8>, Fault> {
        let node = &self.node;
        if node.health.is_broken() {
            return Err(Fault::internal());
        }
        let started = node.clock.monotonic();
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let parts = sigv4::Parts {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            authority,
            headers: &head.headers,
            body,
        };
        let verified =
            node.verifier.verify(&parts, signing_names(operation.service), node.clock.wall()).inspect_err(|fault| {
                debug!(
                    operation = operation.name,
                    code = fault.code,
                    source_ip = self.source_ip,
                    request_id,
                    "not verified"
                )
            })?;
        let caller = verified.identity.in_partition_of(verified.region);
        let call = Call {
            operation,
            caller: &caller,
            region: verified.region,
            body,
            now: node.clock.now(),
            request_id,
            event_id,
            origin: Origin {
                source_ip: &self.source_ip,
                user_agent: text(&head.headers, &USER_AGENT).unwrap_or_default(),
                host: text(&head.headers, &HOST).or(authority).unwrap_or_default(),
                tls: self.tls.as_ref().map(|(version, suite)| (version.as_str(), suite.as_str())),
            },
        };
        let reply = match operation.service {
            Service::Kms | Service::Sts => node.answer(&call).await,
            Service::CloudTrail => node.look_up(&call).await,
        };
        debug!(
            operation = operation.name,
            region = call.region.as_str(),
            access_key_id = call.caller.access_key_id,
            code = reply.as_ref().err().map(|fault| fault.code),
            source_ip = self.source_ip,
            request_id,
            micros = (node.clock.monotonic() - started).as_micros(),
            "answered"
        );
        reply
    }
}

/// The body, in one piece: not copied where it came in one.
async fn read(mut body: Incoming) -> Result<Bytes, Fault> {
    let too_large = || Fault {
        code: "RequestEntityTooLargeException",
        message: Some(format!("The request body is larger than {BODY_BYTES} bytes.").into()),
        status: 413,
    };
    let broken = |status| Fault {
        code: "RequestTimeoutException",
        message: Some("The request body did not arrive.".into()),
        status,
    };
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole = async {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| broken(400))?.into_data() else { continue };
            if first.len() + rest.len() + data.len() > BODY_BYTES {
                return Err(too_large());
            }
            if first.is_empty() {
                first = data;
            } else {
                rest.extend_from_slice(&data);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut all = BytesMut::with_capacity(first.len() + rest.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&rest);
        Ok(all.freeze())
    };
    timeout(BODY, whole).await.unwrap_or_else(|_| Err(broken(408)))
}

/// An operation that is offered.
struct Asked {
    protocol: Protocol,
    operation: &'static Operation,
}

/// A request for none.
struct Unasked {
    protocol: Protocol,
    fault: Fault,
}

/// Which operation a request for `/` asks for, by `X-Amz-Target` or by the `Action` of AWS Query.
fn asked(head: &Parts, body: &[u8]) -> Result<Asked, Unasked> {
    let protocol = protocol(&head.headers);
    if let Some(target) = text(&head.headers, &TARGET) {
        let operation = (head.method == Method::POST).then(|| targeted(target)).flatten();
        return operation.map(|operation| Asked { protocol, operation }).ok_or_else(|| unknown(protocol, target));
    }
    let form =
        (protocol == Protocol::Query && head.method == Method::POST).then(|| std::str::from_utf8(body).ok()).flatten();
    let action = head.uri.query().and_then(action).or_else(|| action(form?));
    match action {
        Some(name) => match api::find(Service::Sts, name) {
            Some(operation) => Ok(Asked { protocol: Protocol::Query, operation }),
            None => {
                let text = format!("Could not find operation {} for version 2011-06-15", shown(name));
                Err(Unasked { protocol: Protocol::Query, fault: Fault::new("InvalidAction", text) })
            }
        },
        None => Err(unknown(protocol, "a request without the header X-Amz-Target")),
    }
}

/// `TrentService.Encrypt`, or `…CloudTrail_20131101.LookupEvents` with whatever some clients put before it.
fn targeted(target: &str) -> Option<&'static Operation> {
    let (prefix, name) = target.rsplit_once('.')?;
    let service = match prefix.rsplit('.').next() {
        Some("TrentService") if prefix == "TrentService" => Service::Kms,
        Some("CloudTrail_20131101") => Service::CloudTrail,
        Some(_) | None => return None,
    };
    api::find(service, name)
}

fn unknown(protocol: Protocol, what: &str) -> Unasked {
    let message = format!("This server does not offer {}.", shown(what));
    Unasked { protocol, fault: Fault::new("UnknownOperationException", message) }
}

/// What a caller sent, short enough to send back.
fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

/// The `Action` of a form or query. Names of operations need no percent-encoding.
fn action(form: &str) -> Option<&str> {
    form.split('&').find_map(|pair| pair.strip_prefix("Action="))
}

fn protocol(headers: &HeaderMap) -> Protocol {
    let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-amz-json-1.0" => Protocol::Json10,
        "application/x-www-form-urlencoded" => Protocol::Query,
        _ => Protocol::Json11,
    }
}

fn signing_names(service: Service) -> &'static [&'static str] {
    match service {
        Service::Kms => &["kms"],
        Service::Sts => &["sts"],
        Service::CloudTrail => &["cloudtrail"],
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
