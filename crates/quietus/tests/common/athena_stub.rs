//! As much of S3 and Athena as a scan by Athena calls, with answers that a test chooses: late ones, refusals, none at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// The one object of the bucket `logs`.
const OBJECT: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/01/one.json.gz";
/// The ID of the statement that makes the table, and that of the query.
pub(crate) const TABLE_ID: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub(crate) const QUERY_ID: &str = "bbbbbbbb-0000-4000-8000-000000000002";

/// How a call of Athena is answered.
pub(crate) enum Reply {
    Now(Value),
    /// After a while.
    Late(Value),
    Refused(&'static str),
    Never,
}

/// A running stand-in. Its threads end with the test.
pub(crate) struct AthenaStub {
    endpoint: String,
    /// Athena's calls before they are answered: `<operation> <query ID>`.
    pub(crate) calls: Receiver<String>,
}

impl AthenaStub {
    /// Statements succeed at once, but for what `odd` says of a call of Athena.
    pub(crate) fn start(odd: fn(&str) -> Option<Reply>) -> AthenaStub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (tell, calls) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream.unwrap(), odd, &tell));
            }
        });
        AthenaStub { endpoint, calls }
    }

    /// `command`, with this as its AWS.
    pub(crate) fn serve(&self, command: &mut Command) {
        super::moto::serve(&self.endpoint, command);
    }
}

/// Answers one request; the connection ends with it.
fn serve(mut stream: TcpStream, odd: fn(&str) -> Option<Reply>, tell: &Sender<String>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut size_bytes, mut target) = (String::new(), 0, None);
    // A client may open a connection and not use it.
    if lines.read_line(&mut head).unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => size_bytes = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("x-amz-target") => target = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; size_bytes];
    lines.read_exact(&mut body).unwrap();
    let Some(target) = target else {
        return answer(&mut stream, "200 OK", &listed(head.split(' ').nth(1).unwrap()));
    };
    let operation = target.rsplit('.').next().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let id = match (body["QueryExecutionId"].as_str(), body["QueryString"].as_str()) {
        (Some(id), _) => id,
        (None, Some(statement)) if statement.starts_with("CREATE ") => TABLE_ID,
        (None, _) => QUERY_ID,
    };
    let call = format!("{operation} {id}");
    let reply = odd(&call).unwrap_or_else(|| {
        Reply::Now(match operation {
            "StartQueryExecution" => json!({ "QueryExecutionId": id }),
            "GetQueryExecution" => json!({ "QueryExecution": { "Status": { "State": "SUCCEEDED" } } }),
            _ => json!({}),
        })
    });
    // Nobody may listen any more.
    let _ = tell.send(call);
    match reply {
        Reply::Now(value) => answer(&mut stream, "200 OK", &value.to_string()),
        Reply::Late(value) => {
            std::thread::sleep(Duration::from_millis(500));
            answer(&mut stream, "200 OK", &value.to_string());
        }
        Reply::Refused(code) => {
            answer(&mut stream, "400 Bad Request", &json!({ "__type": code, "message": "no" }).to_string());
        }
        // Until the client goes away.
        Reply::Never => drop(lines.read(&mut [0])),
    }
}

/// ListObjectsV2.
fn listed(path: &str) -> String {
    let parameter = |name: &str| path.split(['?', '&']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let prefix = parameter("prefix").unwrap_or_default().replace("%2F", "/");
    let inside = OBJECT.strip_prefix(&prefix).unwrap_or_default();
    let found = match inside.split_once('/') {
        _ if inside.is_empty() => String::new(),
        Some((folder, _)) if parameter("delimiter").is_some() => {
            format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>")
        }
        _ => format!(
            "<Contents><Key>{OBJECT}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>100</Size></Contents>"
        ),
    };
    format!("<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>{found}</ListBucketResult>")
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let size = body.len();
    // A client that was ended does not read.
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}");
}
