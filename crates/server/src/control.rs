//! What the server answers for itself, unsigned: whether it lives and is ready, and in development servers a few controls.
//!
//! ```text
//! GET  /healthz          the process lives
//! GET  /readyz           calls are answered; else 503 and why
//! GET  /_quietus/clock   {"now": "2026-01-01T00:00:00Z"}: what a virtual clock shows
//! POST /_quietus/clock   {"advance_seconds": 86400}: answers when all that became due is done
//! POST /_quietus/reset   empties the server
//! POST /_quietus/trail   {"region": "eu-west-1", "delivery": "stopped" | "lost" | "started"}: rehearses a blind trail
//! ```
//!
//! Everything under `/_quietus/` exists only in a development server, which listens on loopback; a page in a browser, which
//! always says where it comes from, may not use it.

use std::sync::Arc;

use api::Region;
use hyper::header::ORIGIN;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{error, info};

use crate::answer::{Answer, plain};
use crate::clock::ClockError;
use crate::node::Node;
use crate::records::Outage;
use crate::ticks::AdvanceError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trail {
    region: String,
    delivery: Delivery,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    Started,
    Stopped,
    Lost,
}

/// The answer to a request for any path but `/`.
pub(crate) async fn answer(node: &Arc<Node>, head: &Parts, body: &[u8]) -> Answer {
    let path = head.uri.path();
    match (path, &head.method) {
        ("/healthz", &Method::GET | &Method::HEAD) => plain(StatusCode::OK, &json!({ "alive": true })),
        ("/readyz", &Method::GET | &Method::HEAD) => ready(node),
        ("/healthz" | "/readyz", _) => wrong_method(),
        _ if node.dev && path.starts_with("/_quietus/") => control(node, head, body).await,
        _ => no_such_path(),
    }
}

fn ready(node: &Node) -> Answer {
    let (reasons, warnings) = (node.health.reasons(), node.health.warnings());
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    plain(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons, "warnings": warnings }))
}

async fn control(node: &Arc<Node>, head: &Parts, body: &[u8]) -> Answer {
    if head.headers.contains_key(ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "pages in a browser may not use the controls");
    }
    match (head.uri.path(), &head.method) {
        ("/_quietus/clock", &Method::GET) if node.clock.is_virtual() => {
            plain(StatusCode::OK, &json!({ "now": node.clock.now().to_string() }))
        }
        ("/_quietus/clock", &Method::POST) if node.clock.is_virtual() => match read(body) {
            Ok(Advance { advance_seconds }) => advance(node, advance_seconds).await,
            Err(answer) => *answer,
        },
        ("/_quietus/clock", &Method::GET | &Method::POST) => refused(StatusCode::NOT_FOUND, &ClockError::Real),
        ("/_quietus/reset", &Method::POST) => reset(node).await,
        ("/_quietus/trail", &Method::POST) => match read(body) {
            Ok(trail) => set_delivery(node, &trail).await,
            Err(answer) => *answer,
        },
        ("/_quietus/clock" | "/_quietus/reset" | "/_quietus/trail", _) => wrong_method(),
        _ => no_such_path(),
    }
}

/// Runs in a task of its own, so that a client that goes away does not stop time half-way.
async fn advance(node: &Arc<Node>, seconds: i64) -> Answer {
    let advancing = node.clone();
    let advanced = tokio::spawn(async move { advancing.advance(SignedDuration::from_secs(seconds)).await }).await;
    match advanced {
        Ok(Ok(now)) => {
            info!(seconds, %now, "advanced the virtual clock");
            plain(StatusCode::OK, &json!({ "now": now.to_string() }))
        }
        Ok(Err(AdvanceError::Clock(error @ ClockError::OutOfRange { .. }))) => refused(StatusCode::BAD_REQUEST, &error),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the server is stopping"),
    }
}

async fn reset(node: &Arc<Node>) -> Answer {
    let resetting = node.clone();
    match tokio::spawn(async move { resetting.reset().await }).await {
        Ok(true) => {
            info!("emptied the server");
            plain(StatusCode::OK, &json!({}))
        }
        Ok(false) | Err(_) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the server could not be emptied; ask /readyz why")
        }
    }
}

async fn set_delivery(node: &Arc<Node>, trail: &Trail) -> Answer {
    let region: Region = match trail.region.parse() {
        Ok(region) => region,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let outage = match trail.delivery {
        Delivery::Started => None,
        Delivery::Stopped => Some(Outage::Stopped),
        Delivery::Lost => Some(Outage::Lost),
    };
    // Changes that were answered before belong to the time before.
    node.committer.settle().await;
    let setting = node.clone();
    let set = tokio::task::spawn_blocking(move || {
        setting.records.set_outage(&region, outage, |keys| setting.keep_uses(&keys))
    });
    match set.await {
        Ok(Some(Ok(()))) => {
            info!(%region, delivery = ?trail.delivery, "changed the delivery of records");
            plain(StatusCode::OK, &json!({}))
        }
        Ok(Some(Err(error))) => {
            error!(%error, "could not change the delivery of records");
            refused(StatusCode::INTERNAL_SERVER_ERROR, &error)
        }
        Ok(None) | Err(_) => no_such_path(),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Answer>> {
    serde_json::from_slice(body).map_err(|error| {
        let why = format!("the body is not the JSON that this control takes: {error}");
        Box::new(refused(StatusCode::BAD_REQUEST, &why))
    })
}

fn refused(status: StatusCode, why: &(impl std::fmt::Display + ?Sized)) -> Answer {
    plain(status, &json!({ "message": why.to_string() }))
}

fn no_such_path() -> Answer {
    refused(StatusCode::NOT_FOUND, "no such path; AWS operations are asked for at `/`")
}

fn wrong_method() -> Answer {
    refused(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
