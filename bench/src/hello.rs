//! The peer: the least that an HTTP server on hyper can do for a request of the same shape.
//!
//! It reads the body, as any server that verifies signatures must, and answers fixed bytes under the same headers as Encrypt's.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// Starts it on a free port, answering bodies of `body_bytes` bytes for as long as the runtime lives.
///
/// # Errors
/// Where no port can be had.
pub async fn start(body_bytes: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the hello server")?;
    let addr = listener.local_addr()?;
    let body = Bytes::from(vec![b'x'; body_bytes]);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let service = service_fn(move |request| answer(request, body.clone()));
                let served =
                    http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
                // An error is a client that left in the middle.
                let _ = served.await;
            });
        }
    });
    Ok(addr)
}

async fn answer(request: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    // An error is a client that left; hyper ends the connection.
    let _ = request.into_body().collect().await;
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amzn-requestid", HeaderValue::from_static("00000000-0000-4000-8000-000000000000"));
    Ok(answer)
}
