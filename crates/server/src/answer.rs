//! How answers and faults stand on the wire: AWS JSON, and the XML of AWS Query.

use std::fmt::Write as _;

use api::{Fault, Operation};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::sigv4;

/// What leaves the door.
pub(crate) type Answer = Response<Full<Bytes>>;

/// `xmlns` of STS's answers. Source: STS API Reference, version 2011-06-15.
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// AWS JSON 1.0.
    Json10,
    /// AWS JSON 1.1.
    Json11,
    /// AWS Query: forms in, XML out.
    Query,
}

impl Protocol {
    fn content_type(self) -> &'static str {
        match self {
            Protocol::Json10 => "application/x-amz-json-1.0",
            Protocol::Json11 => "application/x-amz-json-1.1",
            Protocol::Query => "text/xml",
        }
    }
}

/// The answer to a call that succeeded; `json` is empty for operations that answer nothing.
pub(crate) fn success(protocol: Protocol, operation: &Operation, request_id: &str, json: Vec<u8>) -> Answer {
    let body = match protocol {
        Protocol::Json10 | Protocol::Json11 => json,
        Protocol::Query => result_xml(operation.name, request_id, &json).into_bytes(),
    };
    answer(StatusCode::OK, protocol, request_id, body)
}

/// The answer to a call that was refused.
pub(crate) fn refusal(protocol: Protocol, request_id: &str, fault: Fault) -> Answer {
    let fault = match protocol {
        Protocol::Json10 | Protocol::Json11 => fault,
        Protocol::Query => sigv4::for_query_protocol(fault),
    };
    let body = match (protocol, &fault.message) {
        (Protocol::Json10 | Protocol::Json11, Some(message)) => {
            json!({ "__type": fault.code, "message": message }).to_string()
        }
        (Protocol::Json10 | Protocol::Json11, None) => json!({ "__type": fault.code }).to_string(),
        (Protocol::Query, message) => error_xml(&fault, message.as_deref().unwrap_or_default(), request_id),
    };
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answer(status, protocol, request_id, body.into_bytes());
    answer.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(fault.code));
    answer
}

/// An answer of the server itself rather than of an AWS service.
pub(crate) fn plain(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn answer(status: StatusCode, protocol: Protocol, request_id: &str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(protocol.content_type()));
    let request_id = HeaderValue::from_str(request_id).expect("a UUID is a header value");
    headers.insert("x-amzn-requestid", request_id);
    answer
}

/// `<XResponse><XResult>…` with one element for each text of the flat object `json`.
fn result_xml(name: &str, request_id: &str, json: &[u8]) -> String {
    let members: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    let mut xml = format!("<{name}Response xmlns=\"{STS_NAMESPACE}\"><{name}Result>");
    for (member, value) in &members {
        let text = value.as_str().map(escaped).unwrap_or_default();
        write!(xml, "<{member}>{text}</{member}>").expect("a String takes every write");
    }
    write!(
        xml,
        "</{name}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    )
    .expect("a String takes every write");
    xml
}

fn error_xml(fault: &Fault, message: &str, request_id: &str) -> String {
    let kind = if fault.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{STS_NAMESPACE}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        fault.code,
        escaped(message)
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // XML 1.0 has no way to write other control characters.
            char if char.is_control() && !matches!(char, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_escaped() {
        let fault = Fault { code: "InvalidAction", message: Some("a <b> & \u{1}".into()), status: 400 };
        let xml = error_xml(&fault, fault.message.as_deref().unwrap(), "id");
        assert!(
            xml.contains("<Type>Sender</Type><Code>InvalidAction</Code><Message>a &lt;b&gt; &amp; \u{fffd}</Message>"),
            "{xml}"
        );
    }
}
