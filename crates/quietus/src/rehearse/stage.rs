//! Where the rehearsal plays: a development server of its own, its clock, and the applications that call it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use api::{AccountId, Timestamp};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_kms::primitives::Blob;
use jiff::SignedDuration;
use serde_json::json;
use server::{AccessKey, ClockKind, Config, Principal, Running, Server};
use tokio::runtime::Runtime;

use super::cast::{BLIND, CAST, HISTORY_DAYS, HOME, Part};

/// The application that uses a key of its own in each Region all the time, so that a silent trail can be told from a quiet one.
const HEARTBEAT: &str = "heartbeat";

/// The server and everybody who calls it but the operator.
pub(crate) struct Stage {
    runtime: Runtime,
    server: Running,
    /// The operator's access key, and everybody's who has no name of their own.
    root: AccessKey,
    applications: BTreeMap<&'static str, Application>,
    heartbeats: Vec<Application>,
}

/// An application: its own principal, its key, and something it once encrypted.
struct Application {
    client: Client,
    key: String,
    ciphertext: Option<Blob>,
}

impl Stage {
    /// Starts the server in `data`, `HISTORY_DAYS` before `today`, and makes the keys.
    pub(crate) fn set(data: &Path, today: Timestamp) -> Result<Stage> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let account = AccountId::ZERO;
        let names = CAST.iter().map(|part| part.name).chain([HEARTBEAT]);
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            dev: true,
            clock: ClockKind::Virtual { start: Some(today - SignedDuration::from_hours(24 * HISTORY_DAYS)) },
            seal_every: SignedDuration::from_hours(24),
            extra_keys: names.map(|name| access_key(account, name)).collect(),
            ..Config::new(data.to_owned())
        };
        let server = runtime.block_on(Server::start(config)).context("the rehearsal's server did not start")?;
        let root = server.credentials().clone();
        let mut stage = Stage { runtime, server, root, applications: BTreeMap::new(), heartbeats: Vec::new() };
        for part in CAST {
            let application = stage.make(part.name, part.region, Some(part))?;
            stage.applications.insert(part.name, application);
        }
        for region in [HOME, BLIND] {
            let application = stage.make(HEARTBEAT, region, None)?;
            stage.heartbeats.push(application);
        }
        Ok(stage)
    }

    /// The endpoint of all services.
    pub(crate) fn endpoint_url(&self) -> String {
        self.server.endpoint_url()
    }

    /// The operator's access key: ID and secret.
    pub(crate) fn operator(&self) -> (&str, &str) {
        (&self.root.id, self.root.secret.as_str())
    }

    /// The key ARN of a part.
    pub(crate) fn key(&self, part: &Part) -> &str {
        &self.applications[part.name].key
    }

    /// What time it is on stage.
    pub(crate) fn now(&self) -> Timestamp {
        self.server.clock().now()
    }

    /// Lets hours pass.
    pub(crate) fn pass(&self, hours: i64) -> Result<()> {
        self.runtime.block_on(self.server.advance(SignedDuration::from_hours(hours)))?;
        Ok(())
    }

    /// The other work of the account goes on in every Region.
    pub(crate) fn beat(&self) -> Result<()> {
        for heartbeat in &self.heartbeats {
            self.runtime.block_on(heartbeat.encrypt())?;
        }
        Ok(())
    }

    /// An application does its work: it keeps what it encrypts.
    pub(crate) fn work(&mut self, part: &Part) -> Result<()> {
        let application = self.applications.get_mut(part.name).expect("every part has its application");
        application.ciphertext = Some(self.runtime.block_on(application.encrypt())?);
        Ok(())
    }

    /// An application wants to read what it once wrote: what came of it.
    pub(crate) fn read_back(&self, part: &Part) -> Result<String> {
        let application = &self.applications[part.name];
        let ciphertext = application.ciphertext.clone().context("the application has written before")?;
        let asked = application.client.decrypt().ciphertext_blob(ciphertext).send();
        match self.runtime.block_on(asked) {
            Ok(_) => Ok("read".to_owned()),
            Err(error) => match (error.code(), error.message()) {
                (Some(code), _) => Ok(code.to_owned()),
                _ => Err(anyhow!("{}: Decrypt: {}", part.name, DisplayErrorContext(error))),
            },
        }
    }

    /// The state of a part's key; `gone` where there is none any more.
    pub(crate) fn state(&self, part: &Part) -> Result<String> {
        let client = client(&self.endpoint_url(), part.region, &self.root.id, self.root.secret.as_str());
        match self.runtime.block_on(client.describe_key().key_id(self.key(part)).send()) {
            Ok(answer) => {
                let state = answer.key_metadata().and_then(|metadata| metadata.key_state());
                Ok(state.context("a key has a state")?.as_str().to_owned())
            }
            Err(error) if error.code() == Some("NotFoundException") => Ok("gone".to_owned()),
            Err(error) => bail!("DescribeKey: {}", DisplayErrorContext(error)),
        }
    }

    /// Whether the trail of a Region delivers, or loses what happens.
    pub(crate) fn deliver(&self, region: &str, delivers: bool) -> Result<()> {
        let delivery = if delivers { "started" } else { "lost" };
        let body = json!({ "region": region, "delivery": delivery }).to_string();
        operator::clock::control(&self.endpoint_url().parse()?, "/_quietus/trail", &body)?;
        Ok(())
    }

    /// Stops the server, everything written.
    pub(crate) fn clear(self) {
        self.runtime.block_on(self.server.stop());
    }

    fn make(&self, name: &'static str, region: &'static str, part: Option<&Part>) -> Result<Application> {
        let root = client(&self.endpoint_url(), region, &self.root.id, self.root.secret.as_str());
        let account = self.server.account();
        let statement = |sid: &str, who: String, actions: &[&str]| {
            json!({ "Sid": sid, "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{account}:{who}") },
                    "Action": actions, "Resource": "*" })
        };
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            statement("administration", "root".to_owned(), &["kms:*"]),
            statement("application", format!("user/{name}"), &["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"]),
        ]});
        let about = part.map_or("keeps every Region busy", |part| part.about);
        let key = self.runtime.block_on(async {
            let made = root.create_key().policy(policy.to_string()).description(about).send().await;
            let made = made.map_err(|error| anyhow!("CreateKey: {}", DisplayErrorContext(error)))?;
            let arn = made.key_metadata().and_then(|metadata| metadata.arn()).context("a key has an ARN")?.to_owned();
            let alias = root.create_alias().alias_name(format!("alias/{name}")).target_key_id(&arn).send().await;
            alias.map_err(|error| anyhow!("CreateAlias: {}", DisplayErrorContext(error)))?;
            anyhow::Ok(arn)
        })?;
        let own = access_key(account, name);
        let client = client(&self.endpoint_url(), region, &own.id, own.secret.as_str());
        Ok(Application { client, key, ciphertext: None })
    }
}

impl Application {
    async fn encrypt(&self) -> Result<Blob> {
        let asked = self.client.encrypt().key_id(&self.key).plaintext(Blob::new("rehearsal"));
        match asked.send().await {
            Ok(answer) => answer.ciphertext_blob.context("Encrypt answers with a ciphertext"),
            Err(error) => bail!("Encrypt: {}", DisplayErrorContext(error)),
        }
    }
}

/// The access key of a named application. Its secret protects nothing: the server listens on loopback and forgets it.
fn access_key(account: AccountId, name: &str) -> AccessKey {
    AccessKey {
        id: format!("AKIA{}", name.replace('-', "").to_uppercase()),
        secret: format!("secret-of-{name}").into(),
        principal: Principal { account, user: Some(name.to_owned()) },
    }
}

fn client(endpoint: &str, region: &'static str, id: &str, secret: &str) -> Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static(region))
        .credentials_provider(Credentials::new(id, secret, None, None, "rehearsal"))
        .build();
    Client::from_conf(config)
}
