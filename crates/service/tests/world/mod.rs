//! A world in memory: the service over the memory store, with a clock that tests turn.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test fails by panicking")]

use api::{AccountId, KeyArn, Region, Service, Timestamp};
use serde_json::{Value, json};
use service::{Call, Caller, CallerKind, Commit, Due, Effect, LastUse, Origin, State, Vault};
use store::{Batch, Memory, Outcome, Store};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const OTHER_ACCOUNT: &str = "444455556666";

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) store: Memory,
    pub(crate) vault: Vault,
    pub(crate) now: Timestamp,
    pub(crate) region: Region,
    /// Every record, in order.
    pub(crate) trail: Vec<Value>,
    calls: u64,
}

pub(crate) fn root(account: &str) -> Caller {
    Caller {
        account: account.parse().unwrap(),
        arn: format!("arn:aws:iam::{account}:root"),
        kind: CallerKind::Root,
        access_key_id: "AKIAROOT".to_owned(),
    }
}

pub(crate) fn user(name: &str) -> Caller {
    Caller {
        account: ACCOUNT.parse().unwrap(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
        kind: CallerKind::User { name: name.to_owned() },
        access_key_id: "AKIAUSER".to_owned(),
    }
}

impl World {
    pub(crate) fn new() -> World {
        World {
            state: State::default(),
            store: Memory::default(),
            vault: Vault::new(crypto::Keyring::in_memory()),
            now: "2026-05-20T20:45:00Z".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            trail: Vec::new(),
            calls: 0,
        }
    }

    /// Calls as the root user of the first account: the answer, or `Code: message`.
    pub(crate) fn call(&mut self, operation: &str, body: Value) -> Result<Value, String> {
        self.call_as(&root(ACCOUNT), operation, &body.to_string())
    }

    pub(crate) fn call_as(&mut self, caller: &Caller, operation: &str, body: &str) -> Result<Value, String> {
        let (request_id, effect) = self.effect(caller, operation, body.as_bytes());
        match effect.commit {
            Commit::Append(records) => {
                self.trail.extend(records.iter().map(|record| serde_json::from_slice::<Value>(record).unwrap()));
            }
            Commit::Batch(batch) => assert!(self.commit(batch), "nobody else changes this world"),
        }
        for used in &effect.uses {
            let last = LastUse {
                operation: used.operation.to_owned(),
                at: self.now,
                event_id: used.event_id.clone(),
                request_id: request_id.clone(),
            };
            self.state.note_use(&used.key, &last);
        }
        match effect.reply {
            Ok(body) if body.is_empty() => Ok(Value::Null),
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap()),
            Err(fault) => {
                assert_eq!(fault.status, if fault.code == "KMSInternalException" { 500 } else { 400 });
                Err(fault.to_string())
            }
        }
    }

    /// What a call would do, as the root user of the first account; `None` where it changes nothing.
    pub(crate) fn decided(&mut self, operation: &str, body: &Value) -> Option<Batch> {
        match self.effect_of(operation, body).commit {
            Commit::Append(_) => None,
            Commit::Batch(batch) => Some(batch),
        }
    }

    /// What a call would do, as the root user of the first account.
    pub(crate) fn effect_of(&mut self, operation: &str, body: &Value) -> Effect {
        self.effect(&root(ACCOUNT), operation, body.to_string().as_bytes()).1
    }

    /// The ID of a request, and what it does.
    pub(crate) fn effect(&mut self, caller: &Caller, operation: &str, body: &[u8]) -> (String, Effect) {
        let service = if operation == "GetCallerIdentity" { Service::Sts } else { Service::Kms };
        let row = api::find(service, operation).unwrap();
        self.calls += 1;
        let (request_id, event_id) = (uuid(2 * self.calls), uuid(2 * self.calls + 1));
        let call = Call {
            operation: row,
            caller,
            region: self.region,
            body,
            now: self.now,
            request_id: &request_id,
            event_id: &event_id,
            origin: Origin { source_ip: "192.0.2.1", user_agent: "test", host: "localhost", tls: None },
        };
        let effect = service::decide(&self.state, &self.vault, &call);
        (request_id, effect)
    }

    /// Commits a batch; `false` where the world has changed since it was decided.
    pub(crate) fn commit(&mut self, batch: Batch) -> bool {
        match self.store.commit(std::slice::from_ref(&batch)).unwrap().remove(0) {
            Outcome::Committed { revision } => {
                self.state.apply(&batch, revision).unwrap();
                self.trail.extend(batch.append.iter().map(|record| serde_json::from_slice::<Value>(record).unwrap()));
                true
            }
            Outcome::Conflict { .. } => false,
        }
    }

    /// Lets time pass, then does what is due; the keys to which something happened.
    pub(crate) fn pass(&mut self, seconds: i64) -> Vec<KeyArn> {
        self.now = Timestamp::from_second(self.now.as_second() + seconds).unwrap();
        self.tick()
    }

    pub(crate) fn tick(&mut self) -> Vec<KeyArn> {
        let mut keys = Vec::new();
        loop {
            let due = self.due();
            if due.is_empty() {
                return keys;
            }
            keys.extend(due.iter().map(|due| due.key));
            for due in due {
                assert!(self.commit(due.batch));
            }
        }
    }

    pub(crate) fn due(&mut self) -> Vec<Due> {
        let calls = &mut self.calls;
        service::tick(&self.state, &self.vault, self.now, 0, &mut || {
            *calls += 1;
            (u128::from(*calls) << 64).to_be_bytes()
        })
    }

    /// A batch that takes away what deleted keys left behind.
    pub(crate) fn sweep(&mut self) -> Option<Batch> {
        let calls = &mut self.calls;
        service::sweep(&self.state, &mut || {
            *calls += 1;
            (u128::from(*calls) << 64).to_be_bytes()
        })
    }

    /// What is stored under names that hold `text`.
    pub(crate) fn stored(&self, text: &str) -> Vec<(String, Vec<u8>)> {
        let entries = self.store.scan(&[], &[0xff], usize::MAX).unwrap();
        let named = entries.into_iter().map(|entry| (String::from_utf8(entry.key).unwrap(), entry.value));
        named.filter(|(name, _)| name.contains(text)).collect()
    }

    /// Stores a record as it is given.
    pub(crate) fn put(&mut self, name: &str, record: &Value) {
        self.calls += 1;
        let mut batch = Batch::new(store::BatchId((u128::from(self.calls) << 32).to_be_bytes()));
        batch.put = vec![(name.as_bytes().to_vec(), record.to_string().into_bytes())];
        assert!(self.commit(batch));
    }

    /// The world as it is after a restart: read back from the store.
    pub(crate) fn restart(&mut self) {
        let mut state = State::default();
        for entry in self.store.scan(&[], &[0xff], usize::MAX).unwrap() {
            state.load(&entry).unwrap();
        }
        self.state = state;
    }

    pub(crate) fn create_key(&mut self) -> KeyArn {
        self.create_key_with(json!({}))
    }

    pub(crate) fn create_key_with(&mut self, request: Value) -> KeyArn {
        let made = self.call("CreateKey", request).unwrap();
        made["KeyMetadata"]["Arn"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn state_of(&mut self, key: &KeyArn) -> String {
        match self.call("DescribeKey", json!({ "KeyId": key.to_string() })) {
            Ok(answer) => answer["KeyMetadata"]["KeyState"].as_str().unwrap().to_owned(),
            Err(error) => error,
        }
    }

    pub(crate) fn encrypt(&mut self, key: &str) -> Result<String, String> {
        let answer = self.call("Encrypt", json!({ "KeyId": key, "Plaintext": "AQID" }))?;
        Ok(answer["CiphertextBlob"].as_str().unwrap().to_owned())
    }

    pub(crate) fn last_record(&self) -> &Value {
        self.trail.last().unwrap()
    }
}

fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

pub(crate) fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}
