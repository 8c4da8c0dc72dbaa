//! Where CloudTrail files are: what a person typed, and the store that it means.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use object_store::aws::{AmazonS3Builder, resolve_bucket_region};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::credentials::Chain;

/// Most repetitions of one request to a store. (Ours.)
const MAX_RETRIES: usize = 5;
/// Longest time that one request is repeated for. (Ours.)
const RETRY_TIME: Duration = Duration::from_secs(60);
/// Longest wait for one answer; an object of many megabytes may take as long. (Ours.)
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// The Region to sign for where none is known. Every bucket answers there with its own.
const ANY_REGION: &str = "us-east-1";

/// A place that holds CloudTrail files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder or file of this machine.
    Local(PathBuf),
    /// A bucket, or a part of one.
    Bucket(Bucket),
}

/// A bucket, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    url: Url,
    name: String,
    prefix: Path,
}

/// A text that names no place for CloudTrail files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a place to read from: {why}")]
pub struct InvalidSource {
    /// The text as given.
    pub given: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Source, InvalidSource> {
        let invalid = |why| InvalidSource { given: text.to_owned(), why };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if !text.contains("://") {
            return Ok(Source::Local(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| invalid("it is not a URL"))?;
        if url.scheme() == "file" {
            let path = url.to_file_path().map_err(|()| invalid("it names no path of this machine"))?;
            return Ok(Source::Local(path));
        }
        if matches!(url.scheme(), "s3" | "s3a") && url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no bucket"));
        }
        match ObjectStoreScheme::parse(&url) {
            Ok((ObjectStoreScheme::AmazonS3, prefix)) => {
                let name = match url.scheme() {
                    "s3" | "s3a" => url.host_str().unwrap_or_default().to_owned(),
                    _ => bucket_of_host(&url),
                };
                if name.is_empty() {
                    return Err(invalid("it names no bucket"));
                }
                Ok(Source::Bucket(Bucket { url, name, prefix }))
            }
            Ok(_) | Err(_) => Err(invalid("only paths, `file://` and `s3://` can be read")),
        }
    }
}

/// The bucket of `https://<bucket>.s3.<Region>.amazonaws.com/…` and `https://s3.<Region>.amazonaws.com/<bucket>/…`.
fn bucket_of_host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    if host.starts_with("s3.") {
        return url.path_segments().and_then(|mut parts| parts.next()).unwrap_or_default().to_owned();
    }
    host.split_once(".s3.").map_or_else(String::new, |(bucket, _)| bucket.to_owned())
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Local(path) => path.display().fmt(out),
            Source::Bucket(bucket) => bucket.fmt(out),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "s3://{}/{}", self.name, self.prefix)
    }
}

impl Source {
    /// The path, of a source of this machine.
    pub fn local(&self) -> Option<&std::path::Path> {
        match self {
            Source::Local(path) => Some(path),
            Source::Bucket(_) => None,
        }
    }

    /// The bucket, of a source that is one.
    pub fn bucket(&self) -> Option<&Bucket> {
        match self {
            Source::Local(_) => None,
            Source::Bucket(bucket) => Some(bucket),
        }
    }
}

impl Bucket {
    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part of it.
    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The URL of an object in it.
    pub(crate) fn url_of(&self, path: &Path) -> String {
        format!("s3://{}/{path}", self.name)
    }

    /// The store, by the credentials, Region and endpoint that `config` has. Nothing is asked of it yet, but where it is.
    ///
    /// # Errors
    /// Where the settings contradict each other.
    pub(crate) async fn open(&self, config: &SdkConfig) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut options = ClientOptions::new().with_timeout(ANSWER_TIME);
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
        let retry = RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIME, backoff };
        let mut builder = AmazonS3Builder::new().with_url(self.url.as_str()).with_retry(retry);
        let mut region = config.region().map_or(ANY_REGION, |region| region.as_ref()).to_owned();
        match endpoint(config) {
            Some(endpoint) => {
                options = options.with_allow_http(endpoint.starts_with("http://"));
                builder = builder.with_endpoint(endpoint);
            }
            // A trail's bucket is often in another Region than the keys.
            None => region = resolve_bucket_region(&self.name, &options).await.unwrap_or(region),
        }
        if let Some(provider) = config.credentials_provider() {
            builder = builder.with_credentials(Arc::new(Chain::of(provider)));
        }
        let store = builder.with_region(region).with_client_options(options).build()?;
        Ok(Arc::new(store))
    }
}

/// The endpoint of S3, where it is not AWS's own: that of the service, or else that of all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let own = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
    own.or_else(|| config.endpoint_url().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        for (text, read) in [
            ("trail", "trail"),
            ("/var/trail/a.json.gz", "/var/trail/a.json.gz"),
            ("file:///var/my%20trail", "/var/my trail"),
            ("s3://logs", "s3://logs/"),
            ("s3://logs/AWSLogs/", "s3://logs/AWSLogs"),
            ("s3a://logs/x", "s3://logs/x"),
            ("https://logs.s3.eu-west-1.amazonaws.com/AWSLogs", "s3://logs/AWSLogs"),
            ("https://s3.eu-west-1.amazonaws.com/logs/AWSLogs", "s3://logs/AWSLogs"),
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), read, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_value_and_the_reason() {
        for (text, why) in [
            ("", "it is empty"),
            ("s3://", "it names no bucket"),
            ("ftp://host/x", "only paths, `file://` and `s3://` can be read"),
            ("https://example.com/x", "only paths, `file://` and `s3://` can be read"),
            ("memory:///x", "only paths, `file://` and `s3://` can be read"),
            ("://", "it is not a URL"),
        ] {
            let refused = text.parse::<Source>().unwrap_err().to_string();
            assert_eq!(refused, format!("`{text}` is not a place to read from: {why}"));
        }
    }
}
