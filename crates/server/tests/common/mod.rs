//! A small client that signs with AWS's own signer, and what the tests ask of a server.

#![allow(dead_code, clippy::print_stdout, reason = "each test file uses a part of it; a child says where it listens")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use server::{Config, Running, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What the child says when it serves; behind it stands where.
const LISTENING: &str = "listening on ";

/// Says where a child's server listens, and waits to be killed.
pub(crate) async fn serve_until_killed(running: &Running) {
    println!("{LISTENING}{}", running.addr());
    std::future::pending::<()>().await;
}

/// This test program again, as a child that runs its test `child` and finds its data folder in `variable`: a server that can be
/// killed. Returns when it listens, and where.
pub(crate) fn spawn_child(variable: &str, folder: &Path) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(variable, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let host = loop {
        let line = lines.next().expect("the child says where it listens").unwrap();
        // The test runner's own words may stand before it on the line.
        if let Some((_, host)) = line.split_once(LISTENING) {
            break host.to_owned();
        }
    };
    (child, host)
}

/// A development server that keeps nothing.
pub(crate) async fn dev() -> Running {
    Server::start(Config::ephemeral()).await.unwrap()
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn request_id(&self) -> String {
        self.headers["x-amzn-requestid"].to_str().unwrap().to_owned()
    }

    /// The JSON of a success.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// `code: message` of a refusal.
    pub(crate) fn refusal(&self) -> String {
        assert_ne!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let body = self.json();
        match body.get("message") {
            Some(message) => format!("{}: {}", body["__type"].as_str().unwrap(), message.as_str().unwrap()),
            None => body["__type"].as_str().unwrap().to_owned(),
        }
    }
}

/// Who signs, and where for.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) region: String,
}

impl Signer {
    pub(crate) fn of(running: &Running) -> Signer {
        let key = running.credentials();
        Signer { id: key.id.clone(), secret: key.secret.to_string(), region: "eu-west-1".to_owned() }
    }

    /// A signed request.
    pub(crate) fn request(
        &self,
        host: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        self.build("POST", &format!("http://{host}/"), service, headers, body, SigningSettings::default())
    }

    /// A presigned one.
    pub(crate) fn presigned(
        &self,
        uri: &str,
        method: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(std::time::Duration::from_secs(60));
        settings.percent_encoding_mode = PercentEncodingMode::Double;
        self.build(method, uri, service, headers, body, settings)
    }

    fn build(
        &self,
        method: &str,
        uri: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        settings: SigningSettings,
    ) -> Request<Full<Bytes>> {
        let identity = Credentials::new(&self.id, &self.secret, None, None, "test").into();
        #[expect(clippy::disallowed_methods, reason = "a client signs with the wall clock")]
        let now = SystemTime::now();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(now)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let host = uri.split('/').nth(2).unwrap();
        let all: Vec<(&str, &str)> = std::iter::once(("host", host)).chain(headers.iter().copied()).collect();
        let signable = SignableRequest::new(method, uri, all.iter().copied(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in all {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// One connection, and who signs on it.
pub(crate) struct Client {
    sender: Sender,
    pub(crate) host: String,
    pub(crate) signer: Signer,
}

impl Client {
    /// HTTP/1.1, as the root user, for eu-west-1.
    pub(crate) async fn connect(running: &Running) -> Client {
        Client::open(&running.addr().to_string(), Signer::of(running)).await.unwrap()
    }

    pub(crate) async fn open(host: &str, signer: Signer) -> std::io::Result<Client> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Client::over_http1(stream, host, signer).await
    }

    pub(crate) async fn over_http1<S>(stream: S, host: &str, signer: Signer) -> std::io::Result<Client>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Client { sender: Sender::One(sender), host: host.to_owned(), signer })
    }

    pub(crate) async fn over_http2<S>(stream: S, host: &str, signer: Signer) -> Client
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client { sender: Sender::Two(sender), host: host.to_owned(), signer }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let response: Response<hyper::body::Incoming> = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Asks, perhaps in vain.
    pub(crate) async fn try_target(
        &mut self,
        service: &str,
        target: &str,
        body: &Value,
    ) -> Result<Answer, hyper::Error> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let request = self.signer.request(&self.host, service, &headers, body.to_string().as_bytes());
        self.send(request).await
    }

    /// A KMS operation.
    pub(crate) async fn kms(&mut self, operation: &str, body: Value) -> Answer {
        self.try_target("kms", &format!("TrentService.{operation}"), &body).await.unwrap()
    }

    /// CloudTrail's LookupEvents.
    pub(crate) async fn lookup(&mut self, body: Value) -> Answer {
        self.try_target("cloudtrail", "CloudTrail_20131101.LookupEvents", &body).await.unwrap()
    }

    /// All events of one attribute, newest first.
    pub(crate) async fn events(&mut self, key: &str, value: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut body = json!({ "LookupAttributes": [{ "AttributeKey": key, "AttributeValue": value }] });
        loop {
            let mut page = self.lookup(body.clone()).await.ok();
            events.append(page["Events"].as_array_mut().unwrap());
            match page.get("NextToken") {
                Some(token) => body["NextToken"] = token.clone(),
                None => return events,
            }
        }
    }

    /// A new key's ARN.
    pub(crate) async fn create_key(&mut self) -> String {
        self.kms("CreateKey", json!({})).await.ok()["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    /// An unsigned request to the server itself.
    pub(crate) async fn plain(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let uri = format!("http://{}{path}", self.host);
        let request = Request::builder().method(method).uri(uri).header("host", &self.host);
        self.send(request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()).await.unwrap()
    }
}
