//! EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion: commands to a key's life.

use std::sync::Arc;

use api::Fault;
use api::shape::lifecycle::{Cancelled, ScheduleKeyDeletion, Scheduled};
use api::shape::{Epoch, OfKey};
use lifecycle::{Change as Turn, Command, PendingWindow, State, decide};
use serde_json::json;
use trail::record::aws_date;

use crate::authorize::Asks;
use crate::decide::{Asked, Change, Done};
use crate::fault::refused;
use crate::state::{Key, Name, Origin};

pub(super) fn enable_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    switch(asked, Command::Enable)
}

pub(super) fn disable_key(asked: &Asked<'_>) -> Result<Done, Fault> {
    switch(asked, Command::Disable)
}

fn switch(asked: &Asked<'_>, command: Command) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    let (_, change) = turn(asked, &key, command)?;
    // What changes nothing depends on the key's state, too: its record must not come after that of another change.
    let same = || Change::on(Name::Key(key.arn), asked.state.key_version(&key.arn));
    Ok(Done::nothing().about(&key.arn).changing(change.unwrap_or_else(same)))
}

pub(super) fn schedule_key_deletion(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: ScheduleKeyDeletion<'_> = asked.request()?;
    let window = match request.pending_window_in_days {
        None => PendingWindow::DEFAULT,
        Some(days) => PendingWindow::of_days(days)
            .map_err(|_| Fault::validation("PendingWindowInDays must be between 7 and 30"))?,
    };
    let key = asked.key(&request.key, Asks { pending_window: Some(window.days()), ..Asks::default() })?;
    // A primary does not die before its replicas: which command this is depends on them, and so does the batch.
    let family = asked.state.family(&key.arn);
    let has_replicas = family.is_some_and(|family| family.primary == key.arn.region && !family.replicas.is_empty());
    let command = if has_replicas { Command::ScheduleAfterReplicas(window) } else { Command::ScheduleDeletion(window) };
    let (state, change) = turn(asked, &key, command)?;
    let deletion_date = match state {
        State::PendingDeletion { deletion_date } => Some(deletion_date),
        _ => None,
    };
    let arn = key.arn.to_string();
    let mut shown = json!({ "keyId": arn, "keyState": state.name(), "pendingWindowInDays": window.days() });
    if let Some(date) = deletion_date {
        shown["deletionDate"] = aws_date(date).into();
    }
    let answer = Scheduled {
        key_id: arn,
        deletion_date: deletion_date.map(Epoch),
        key_state: state.name(),
        pending_window_in_days: window.days(),
    };
    let mut change = change.expect("scheduling a deletion is never a change to the same state");
    if key.multi_region {
        change = asked.expect_family(&key.arn, change);
    }
    Ok(Done::answer(&answer).changing(change).showing(&shown))
}

pub(super) fn cancel_key_deletion(asked: &Asked<'_>) -> Result<Done, Fault> {
    let request: OfKey<'_> = asked.request()?;
    let key = asked.key(&request.key, Asks::default())?;
    let (_, change) = turn(asked, &key, Command::CancelDeletion)?;
    let change = change.expect("cancelling a deletion is never a change to the same state");
    Ok(Done::answer(&Cancelled { key_id: key.arn.to_string() }).changing(change).about(&key.arn))
}

/// What the lifecycle makes of `command`: the state after it, and the change, if there is one.
pub(super) fn turn(asked: &Asked<'_>, key: &Arc<Key>, command: Command) -> Result<(State, Option<Change>), Fault> {
    match decide(&key.state, command, asked.call.now).map_err(|refusal| refused(&key.arn, refusal))? {
        Turn::Stay => Ok((key.state, None)),
        Turn::To(state) => {
            // What a key lacks while it waits for deletion it still lacks when that is cancelled.
            let state =
                if key.origin == Origin::External { state.with_material(key.has_all_material()) } else { state };
            let new = Key { state, ..Key::clone(key) };
            Ok((state, Some(asked.change_key(key, &new))))
        }
        Turn::Deleted => unreachable!("only time deletes a key"),
    }
}
