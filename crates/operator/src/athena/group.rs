//! A group of events that say the same, from a row of the answer to the rows of a scan: written as the event that it stands for, and
//! read by the code that reads files.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use trail::event::{self, Event};
use trail::summary::Builder;
use trail::tally::Alike;

use super::sql::{COLUMNS, FIELD, ITEM};

/// Why a row of the answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    /// The columns are others.
    #[error("its columns are `{}`", columns.join(", "))]
    Columns {
        /// Which.
        columns: Vec<String>,
    },
    /// A count or a time is none.
    #[error("`{column}` is `{given}`")]
    Value {
        /// The column.
        column: &'static str,
        /// What it holds.
        given: String,
    },
    /// The event that a group stands for is none.
    #[error("a group is no event: {0}")]
    Event(#[from] event::Error),
}

/// Checks that the first row names the columns that were asked for.
pub(super) fn check_header(row: &[Option<&str>]) -> Result<(), Odd> {
    if row.iter().map(|name| name.unwrap_or_default()).eq(COLUMNS.iter().map(|column| column.name)) {
        return Ok(());
    }
    Err(Odd::Columns { columns: row.iter().map(|name| name.unwrap_or_default().to_owned()).collect() })
}

/// Adds a group.
pub(super) fn add(builder: &mut Builder, row: &[Option<&str>]) -> Result<(), Odd> {
    let group = Group(row);
    let text = group.event().to_string();
    let event = Event::parse(text.as_bytes())?;
    let alike =
        Alike { count: group.number("events")?, deliveries: group.number("deliveries")?, last: group.time("last_at")? };
    builder.add_alike(&event, &alike);
    Ok(())
}

struct Group<'r>(&'r [Option<&'r str>]);

impl Group<'_> {
    /// The value of a column; `None` for NULL.
    fn at(&self, column: &str) -> Option<&str> {
        let place = COLUMNS.iter().position(|known| known.name == column)?;
        *self.0.get(place)?
    }

    fn text(&self, column: &str) -> Value {
        self.at(column).map_or(Value::Null, Value::from)
    }

    /// A value that the query gave as JSON text.
    fn json(&self, column: &str) -> Value {
        self.at(column).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    fn number(&self, column: &'static str) -> Result<u64, Odd> {
        let given = self.at(column).unwrap_or_default();
        given.parse().map_err(|_| Odd::Value { column, given: given.to_owned() })
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, Odd> {
        let given = self.at(column).unwrap_or_default();
        given.parse().map_err(|_| Odd::Value { column, given: given.to_owned() })
    }

    /// The event that stands for the group.
    fn event(&self) -> Value {
        let request = [
            ("keyId", "request_key_id"),
            ("sourceKeyId", "request_source_key_id"),
            ("destinationKeyId", "request_destination_key_id"),
            ("targetKeyId", "request_target_key_id"),
            ("aliasName", "request_alias_name"),
            ("encryptionContext", "request_context"),
            ("sourceEncryptionContext", "request_source_context"),
            ("destinationEncryptionContext", "request_destination_context"),
            ("constraints", "request_constraints"),
        ];
        let request: Map<String, Value> =
            request.into_iter().map(|(member, column)| (member.to_owned(), self.json(column))).collect();
        let read_only = match self.at("read_only") {
            Some("true") => Value::Bool(true),
            Some("false") => Value::Bool(false),
            _ => Value::Null,
        };
        json!({
            "eventTime": self.text("first_at"),
            "eventSource": event::KMS,
            "eventName": self.text("event_name"),
            "awsRegion": self.text("aws_region"),
            "sourceIPAddress": self.text("source_service"),
            "errorCode": self.text("error_code"),
            "errorMessage": self.text("error_message"),
            "readOnly": read_only,
            "recipientAccountId": self.text("recipient_account_id"),
            "userIdentity": {
                "type": self.text("identity_type"),
                "principalId": self.text("principal_id"),
                "arn": self.text("identity_arn"),
                "accountId": self.text("identity_account_id"),
                "invokedBy": self.text("invoked_by"),
                "sessionContext": { "sessionIssuer": { "arn": self.text("issuer_arn") } },
            },
            "resources": self.at("resources").map(resources).unwrap_or_default(),
            "requestParameters": request,
            "responseElements": {
                "keyId": self.json("answer_key_id"),
                "keyMetadata": { "arn": self.json("answer_key_arn") },
            },
            "serviceEventDetails": { "keyId": self.json("details_key_id") },
        })
    }
}

/// The resources, as the query writes them into one text.
fn resources(text: &str) -> Vec<Value> {
    let said = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let items = text.split(ITEM).filter_map(|item| item.split_once(FIELD));
    items.map(|(kind, arn)| json!({ "type": said(kind), "ARN": said(arn) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trail::Selection;

    fn row<'a>(values: &[(&str, &'a str)]) -> Vec<Option<&'a str>> {
        let value = |name| values.iter().find(|(column, _)| *column == name).map(|(_, value)| *value);
        COLUMNS.iter().map(|column| value(column.name)).collect()
    }

    #[test]
    fn a_group_is_counted_as_its_events_would_be() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        let resources = format!("AWS::KMS::Key{FIELD}{arn}");
        let group = row(&[
            ("event_name", "Decrypt"),
            ("issuer_arn", "arn:aws:iam::111122223333:role/app"),
            ("resources", &resources),
            ("request_context", r#"{"aws:s3:arn":"arn:aws:s3:::b","x":"\"1\""}"#),
            ("events", "3"),
            ("deliveries", "5"),
            ("first_at", "2026-01-02T03:04:05Z"),
            ("last_at", "2026-02-02T03:04:05Z"),
        ]);
        let mut builder = Builder::new(&Selection::all());
        add(&mut builder, &group).unwrap();
        add(&mut builder, &group).unwrap();
        let totals = builder.finish().totals;
        let [row] = totals.rows.as_slice() else { panic!("{:?}", totals.rows) };
        assert_eq!((row.key.as_str(), row.count, totals.duplicates, totals.kms_records), (arn, 6, 4, 10));
        assert_eq!(row.principal, "arn:aws:iam::111122223333:role/app");
        assert_eq!(row.dependents, ["arn:aws:s3:::b", "x=\"1\""]);
        assert_eq!(
            (row.first.to_string(), row.last.to_string()),
            ("2026-01-02T03:04:05Z".into(), "2026-02-02T03:04:05Z".into())
        );
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let names: Vec<_> = COLUMNS.iter().map(|column| Some(column.name)).collect();
        assert!(check_header(&names).is_ok());
        assert_eq!(check_header(&[Some("x"), None]).unwrap_err().to_string(), "its columns are `x, `");
        let mut builder = Builder::new(&Selection::all());
        let refused =
            |builder: &mut Builder, values: &[(&str, &str)]| add(builder, &row(values)).unwrap_err().to_string();
        assert!(refused(&mut builder, &[("event_name", "Decrypt")]).starts_with("a group is no event"));
        let timed = [("event_name", "Decrypt"), ("first_at", "2026-01-02T03:04:05Z"), ("events", "many")];
        assert_eq!(refused(&mut builder, &timed), "`events` is `many`");
    }
}
