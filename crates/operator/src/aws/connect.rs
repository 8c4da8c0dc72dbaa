//! Finding the service and ourselves: configuration, credentials, Region, endpoint, clock.
//!
//! Everything a person can get wrong before the first question shows here, once, with what to do about it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{AccountId, Region};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kms::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Credentials, Intercept, ProvideCredentials, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use jiff::SignedDuration;
use procedure::{Gap, Seen};

use super::Aws;
use super::pace::Pace;
use super::trouble::{Trouble, chain};
use crate::archive::Archives;
use crate::clock;
use crate::endpoint::{Endpoint, InvalidEndpoint};

/// Longest wait for a connection. (Ours.)
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for one try of a call. (Ours; LookupEvents over a busy day takes a few seconds.)
const ATTEMPT: Duration = Duration::from_secs(20);
/// Longest wait for a call with all its tries. (Ours.)
const CALL: Duration = Duration::from_secs(60);
/// Most tries of a call that only looks. (Ours; AWS's default is three, and LookupEvents is throttled often.)
const TRIES: u32 = 5;

/// Where to connect, as far as the command line says; what it does not say comes from the AWS environment variables and files.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The endpoint for all services; else `AWS_ENDPOINT_URL`, else AWS.
    pub endpoint_url: Option<String>,
    /// The profile; else `AWS_PROFILE`.
    pub profile: Option<String>,
    /// The Region; else `AWS_REGION`, else the profile's.
    pub region: Option<String>,
    /// The access key to sign with; else what the environment and files give.
    pub credentials: Option<Credentials>,
    /// Whether time comes from the endpoint's own clock ([`clock::Clock::Endpoint`]).
    pub shares_clock: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is no URL.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// No Region is known.
    #[error("no Region is set; give `--region`, or set AWS_REGION or `region` in the profile")]
    NoRegion,
    /// The Region is none.
    #[error(transparent)]
    Region(#[from] api::InvalidId),
    /// There are no credentials.
    #[error(
        "no credentials were found ({why}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with `--profile`"
    )]
    NoCredentials {
        /// What the SDK says.
        why: String,
    },
    /// Nothing answered.
    #[error("{endpoint} does not answer ({why}); check the endpoint, the network, and that the service runs")]
    Unreachable {
        /// Where we asked.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// The service does not accept us.
    #[error("{endpoint} refused us with {code}: {message}; check the credentials, and the clock of this machine")]
    Refused {
        /// Where we asked.
        endpoint: String,
        /// AWS's code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// The service told nonsense about who we are.
    #[error("{endpoint} did not say who we are: {why}")]
    Nobody {
        /// Where we asked.
        endpoint: String,
        /// What was wrong.
        why: String,
    },
    /// The operating system gave no thread.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

/// Connects.
pub(super) fn open(target: &Target) -> Result<Aws, Error> {
    // One thread of its own keeps connections alive while nobody waits.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let parts = runtime.block_on(assemble(target))?;
    Ok(Aws {
        kms: parts.kms,
        acting: parts.acting,
        trail: parts.trail,
        account: parts.account,
        region: parts.region,
        operator: parts.operator,
        endpoint: parts.endpoint,
        skew: parts.skew,
        shares_clock: target.shares_clock,
        pace: parts.pace,
        archives: Archives::default(),
        memories: Mutex::default(),
        runtime,
    })
}

struct Parts {
    kms: aws_sdk_kms::Client,
    acting: aws_sdk_kms::Client,
    trail: aws_sdk_cloudtrail::Client,
    account: AccountId,
    region: Region,
    operator: String,
    endpoint: Option<String>,
    skew: Arc<Skew>,
    pace: Pace,
}

async fn assemble(target: &Target) -> Result<Parts, Error> {
    let config = load(target).await;
    let region: Region = config.region().ok_or(Error::NoRegion)?.as_ref().parse()?;
    let endpoint = config.endpoint_url().map(str::parse::<Endpoint>).transpose()?;
    let provider =
        config.credentials_provider().ok_or_else(|| Error::NoCredentials { why: "none are set".to_owned() })?;
    if let Err(error) = provider.provide_credentials().await {
        return Err(Error::NoCredentials { why: why_none(&error) });
    }
    let skew = Arc::new(Skew::default());
    let looking = aws_sdk_kms::config::Builder::from(&config).interceptor(Listener(Arc::clone(&skew)));
    let acting = looking.clone().retry_config(RetryConfig::disabled());
    let place = endpoint.as_ref().map_or_else(|| format!("AWS in {region}"), |endpoint| format!("`{endpoint}`"));
    let (operator, account) = identify(&config, &place).await?;
    Ok(Parts {
        kms: aws_sdk_kms::Client::from_conf(looking.build()),
        acting: aws_sdk_kms::Client::from_conf(acting.build()),
        trail: aws_sdk_cloudtrail::Client::new(&config),
        account,
        region,
        operator,
        pace: Pace::of(endpoint.as_ref().is_some_and(Endpoint::is_loopback)),
        endpoint: endpoint.map(|endpoint| endpoint.to_string()),
        skew,
    })
}

/// What the provider says, without its list of every place that it looked in.
pub(crate) fn why_none(error: &dyn std::error::Error) -> String {
    let text = chain(error);
    let text = text.split(" Attempted:").next().unwrap_or_default();
    text.trim_end_matches('.').to_owned()
}

/// The settings for `target`, without asking anybody yet.
pub(crate) async fn load(target: &Target) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(ATTEMPT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(CALL)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts);
    if let Some(url) = &target.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &target.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &target.region {
        loader = loader.region(aws_config::Region::new(region.clone()));
    }
    if let Some(credentials) = &target.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().await
}

/// Who we are, by GetCallerIdentity, which needs no permission.
async fn identify(config: &SdkConfig, place: &str) -> Result<(String, AccountId), Error> {
    // Whether anybody is there is known soon; a person waits for it.
    let sts = aws_sdk_sts::config::Builder::from(config).retry_config(RetryConfig::standard().with_max_attempts(2));
    let answer = aws_sdk_sts::Client::from_conf(sts.build()).get_caller_identity().send().await;
    let answer = answer.map_err(|error| match Trouble::from(error) {
        Trouble::Refused { code, message, .. } => {
            let message = message.trim_end_matches('.').to_owned();
            Error::Refused { endpoint: place.to_owned(), code, message }
        }
        Trouble::NoAnswer { class, message } => {
            Error::Unreachable { endpoint: place.to_owned(), why: format!("{class}: {message}") }
        }
        Trouble::NotMade { message } => Error::NoCredentials { why: message },
    })?;
    let nobody = |why: &str| Error::Nobody { endpoint: place.to_owned(), why: why.to_owned() };
    let arn = answer.arn().ok_or_else(|| nobody("there is no Arn"))?;
    let account = answer.account().and_then(|account| account.parse().ok());
    Ok((stable_arn(arn), account.ok_or_else(|| nobody("there is no Account of 12 digits"))?))
}

/// The name that stays the same from session to session: of a role's session, the role.
fn stable_arn(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if let [front, partition, "sts", "", account, resource] = parts.as_slice()
        && let Some(role) = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next())
    {
        return format!("{front}:{partition}:iam::{account}:role/{role}");
    }
    arn.to_owned()
}

/// The service's clock less ours, by the last answer.
#[derive(Debug, Default)]
pub(super) struct Skew(Mutex<Option<SignedDuration>>);

impl Skew {
    /// What is known of it.
    pub(super) fn seen(&self) -> Seen<SignedDuration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Gap::NotRecorded { why: "no answer had a `Date` header".to_owned() };
        last.map_or_else(|| Seen::Unknown(unknown()), Seen::Seen)
    }
}

/// Reads the `Date` of every answer.
#[derive(Debug)]
struct Listener(Arc<Skew>);

impl Intercept for Listener {
    fn name(&self) -> &'static str {
        "clock skew"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(skew) = context.response().headers().get("date").and_then(clock::skew) {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_by_the_name_of_its_role() {
        for (given, stable) in [
            ("arn:aws:sts::111122223333:assumed-role/quietus/i-0abc", "arn:aws:iam::111122223333:role/quietus"),
            ("arn:aws-cn:sts::111122223333:assumed-role/q/a/b", "arn:aws-cn:iam::111122223333:role/q"),
            ("arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/ann"),
            ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
            ("arn:aws:sts::111122223333:federated-user/ann", "arn:aws:sts::111122223333:federated-user/ann"),
        ] {
            assert_eq!(stable_arn(given), stable);
        }
    }
}
