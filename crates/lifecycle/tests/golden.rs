//! The whole table, operation × state, as a person would read it: a changed cell is a visible diff of `state_table.txt`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use api::{Needs, OPERATIONS, Service, Timestamp};
use lifecycle::{Change, Command, PendingWindow, State, Timer, deadline, decide, due, permit, runs};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn states() -> [State; 8] {
    [
        State::Enabled,
        State::Disabled,
        State::PendingDeletion { deletion_date: PendingWindow::DEFAULT.after(NOW) },
        State::PendingReplicaDeletion { window: PendingWindow::DEFAULT },
        State::PendingImport,
        State::Unavailable { enabled: true },
        State::Creating { until: NOW, to_import: false },
        State::Updating { until: NOW },
    ]
}

/// Commands that only a primary with replicas is given.
const FAMILY: [(&str, Command); 2] = [
    ("(ScheduleKeyDeletion of a primary with replicas)", Command::ScheduleAfterReplicas(PendingWindow::DEFAULT)),
    ("(the last replica is deleted)", Command::LoseLastReplica),
];

fn command(name: &str) -> Option<Command> {
    match name {
        "EnableKey" => Some(Command::Enable),
        "DisableKey" => Some(Command::Disable),
        "ScheduleKeyDeletion" => Some(Command::ScheduleDeletion(PendingWindow::DEFAULT)),
        "CancelKeyDeletion" => Some(Command::CancelDeletion),
        "UpdatePrimaryRegion" => Some(Command::MovePrimary),
        _ => None,
    }
}

fn cell(name: &str, needs: Needs, state: &State) -> String {
    match command(name) {
        Some(command) => outcome(command, state),
        None => permit(needs, state).map_or_else(|refusal| format!("X {refusal}"), |()| "ok".to_owned()),
    }
}

fn outcome(command: Command, state: &State) -> String {
    match decide(state, command, NOW) {
        Ok(Change::Stay) => "ok, stays".to_owned(),
        Ok(Change::To(next)) => format!("-> {}", next.name()),
        Ok(Change::Deleted) => panic!("a command deleted a key"),
        Err(refusal) => format!("X {refusal}"),
    }
}

#[test]
fn every_state_and_operation_answers_as_the_table_says() {
    let mut table = String::new();
    for operation in OPERATIONS.iter().filter(|row| row.service == Service::Kms && row.keys != api::Keys::None) {
        writeln!(table, "{}", operation.name).unwrap();
        for state in states() {
            writeln!(table, "    {:<24}{}", state.name(), cell(operation.name, operation.needs, &state)).unwrap();
        }
    }
    for (name, command) in FAMILY {
        writeln!(table, "{name}").unwrap();
        for state in states() {
            writeln!(table, "    {:<24}{}", state.name(), outcome(command, &state)).unwrap();
        }
    }
    check("state_table.txt", &table);
}

/// What time does to a key in each state.
#[test]
fn every_timer_runs_in_the_states_that_the_table_says() {
    let mut table = String::new();
    for timer in Timer::ALL {
        writeln!(table, "{timer:?}").unwrap();
        for state in states() {
            let word = if runs(timer, &state) { "runs" } else { "stands still" };
            writeln!(table, "    {:<24}{word}", state.name()).unwrap();
        }
    }
    check("timer_table.txt", &table);
    for state in states() {
        let (date, end) = (deadline(&state), due(&state, Timestamp::MAX));
        assert_eq!(end == Some(Change::Deleted), runs(Timer::Deletion, &state), "{}", state.name());
        assert_eq!(matches!(end, Some(Change::To(_))), runs(Timer::Settlement, &state), "{}", state.name());
        assert_eq!(date.is_some(), end.is_some(), "{}", state.name());
    }
}

fn check(golden: &str, table: &str) {
    let path = format!("{}/tests/{golden}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, table).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap();
    assert_eq!(table, known, "{golden} changed; run with BLESS=1 and read the diff");
}

#[test]
fn operations_that_decide_are_exactly_the_commands() {
    for operation in OPERATIONS {
        assert_eq!(operation.needs == Needs::Decision, command(operation.name).is_some(), "{}", operation.name);
    }
}
