//! The AWS credential chain, as a store wants it: `object_store` knows no profiles and no single sign-on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

use crate::clock::Clock;

/// How long before they end credentials are asked for anew. (Ours; a request is repeated for a minute at most.)
const EARLY: Duration = Duration::from_secs(300);

/// Credentials by the chain, asked for when the last have nearly ended.
#[derive(Debug)]
pub(super) struct Chain {
    provider: SharedCredentialsProvider,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    credential: Arc<AwsCredential>,
    ends: Option<SystemTime>,
}

impl Chain {
    pub(super) fn of(provider: SharedCredentialsProvider) -> Chain {
        Chain { provider, last: Mutex::new(None) }
    }
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut last = self.last.lock().await;
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "S3", source };
        let now = Clock::System.now().map_err(|error| failed(error.into()))?;
        let now = SystemTime::try_from(now).map_err(|error| failed(error.into()))?;
        if let Some(last) = &*last
            && last.ends.is_none_or(|ends| now + EARLY < ends)
        {
            return Ok(Arc::clone(&last.credential));
        }
        let given = self.provider.provide_credentials().await.map_err(|error| failed(error.into()))?;
        let credential = Arc::new(AwsCredential {
            key_id: given.access_key_id().to_owned(),
            secret_key: given.secret_access_key().to_owned(),
            token: given.session_token().map(str::to_owned),
        });
        *last = Some(Last { credential: Arc::clone(&credential), ends: given.expiry() });
        Ok(credential)
    }
}
