//! Lives of keys, told in lines: `command -> state or refusal`, `+Nd` lets days pass and then looks what is due.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use api::Timestamp;
use lifecycle::{Change, Command, PendingWindow, RotationPeriod, State, deadline, decide, due};
use proptest::prelude::*;

struct Life {
    now: Timestamp,
    state: Option<State>,
}

impl Life {
    fn begin() -> Life {
        Life { now: Timestamp::UNIX_EPOCH, state: Some(State::Enabled) }
    }

    fn pass(&mut self, seconds: i64) {
        self.now = Timestamp::from_second(self.now.as_second() + seconds).unwrap();
        match self.state.and_then(|state| due(&state, self.now)) {
            None | Some(Change::Stay) => {}
            Some(Change::To(next)) => self.state = Some(next),
            Some(Change::Deleted) => self.state = None,
        }
    }

    fn order(&mut self, command: Command) -> String {
        let Some(state) = self.state else { return "Deleted".to_owned() };
        match decide(&state, command, self.now) {
            Ok(Change::Stay) => {}
            Ok(Change::To(next)) => self.state = Some(next),
            Ok(Change::Deleted) => self.state = None,
            Err(refusal) => return refusal.to_string(),
        }
        self.name()
    }

    fn name(&self) -> String {
        self.state.map_or("Deleted".to_owned(), |state| state.name().to_owned())
    }
}

fn command(words: &[&str]) -> Command {
    match words {
        ["enable"] => Command::Enable,
        ["disable"] => Command::Disable,
        ["schedule", days] => Command::ScheduleDeletion(PendingWindow::of_days(days.parse().unwrap()).unwrap()),
        ["schedule", "after", "replicas", days] => {
            Command::ScheduleAfterReplicas(PendingWindow::of_days(days.parse().unwrap()).unwrap())
        }
        ["move", "primary"] => Command::MovePrimary,
        ["last", "replica", "deleted"] => Command::LoseLastReplica,
        ["cancel"] => Command::CancelDeletion,
        other => panic!("no such command: {other:?}"),
    }
}

fn check(story: &str) {
    let mut life = Life::begin();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (left, expected) = line.split_once("->").unwrap();
        let left = left.trim();
        let got = if let Some(days) = left.strip_prefix('+').and_then(|span| span.strip_suffix('d')) {
            life.pass(days.parse::<i64>().unwrap() * 86_400);
            life.name()
        } else if let Some(seconds) = left.strip_prefix('+').and_then(|span| span.strip_suffix('s')) {
            life.pass(seconds.parse().unwrap());
            life.name()
        } else {
            life.order(command(&left.split(' ').collect::<Vec<_>>()))
        };
        assert_eq!(got, expected.trim(), "at `{line}`");
    }
}

#[test]
fn a_key_dies_when_its_date_comes_and_not_a_second_before() {
    check(
        "
        disable      -> Disabled
        schedule 7   -> PendingDeletion
        +6d          -> PendingDeletion
        +86399s      -> PendingDeletion
        +1s          -> Deleted
        enable       -> Deleted
    ",
    );
}

#[test]
fn a_cancelled_key_is_disabled_and_lives() {
    check(
        "
        schedule 30  -> PendingDeletion
        +29d         -> PendingDeletion
        enable       -> is pending deletion.
        disable      -> is pending deletion.
        schedule 7   -> is pending deletion.
        cancel       -> Disabled
        +365d        -> Disabled
        cancel       -> is not pending deletion.
        enable       -> Enabled
        enable       -> Enabled
    ",
    );
}

#[test]
fn a_primary_waits_for_its_replicas_without_end_and_then_for_its_own_period() {
    check(
        "
        schedule after replicas 7 -> PendingReplicaDeletion
        +3650d                    -> PendingReplicaDeletion
        schedule 7                -> is pending replica deletion.
        schedule after replicas 9 -> is pending replica deletion.
        move primary              -> is pending replica deletion.
        last replica deleted      -> PendingDeletion
        +6d                       -> PendingDeletion
        +86399s                   -> PendingDeletion
        +1s                       -> Deleted
    ",
    );
    check(
        "
        schedule after replicas 7 -> PendingReplicaDeletion
        cancel                    -> Disabled
        last replica deleted      -> Disabled
        +365d                     -> Disabled
    ",
    );
}

#[test]
fn a_move_of_the_primary_ends_by_itself() {
    check(
        "
        move primary         -> Updating
        disable              -> is updating.
        schedule 7           -> is updating.
        cancel               -> is not pending deletion.
        last replica deleted -> Updating
        +1s                  -> Updating
        move primary         -> Updating
        +1s                  -> Updating
        +1s                  -> Enabled
        disable              -> Disabled
        move primary         -> is disabled.
    ",
    );
}

#[test]
fn the_waiting_period_is_7_to_30_days() {
    assert_eq!(PendingWindow::DEFAULT.days(), 30);
    for days in [i64::MIN, -1, 0, 6, 31, 256 + 7, i64::MAX] {
        let error = PendingWindow::of_days(days).unwrap_err();
        assert_eq!(error.to_string(), format!("pending window of `{days}` days is not between 7 and 30"));
    }
    for days in 7..=30 {
        assert_eq!(i64::from(PendingWindow::of_days(days).unwrap().days()), days);
    }
    assert_eq!(PendingWindow::DEFAULT.after(Timestamp::MAX), Timestamp::MAX);
}

#[test]
fn the_rotation_period_is_90_to_2560_days() {
    assert_eq!(RotationPeriod::DEFAULT.days(), 365);
    for days in [i64::MIN, -1, 0, 89, 2561, 65_536 + 90, i64::MAX] {
        let error = RotationPeriod::of_days(days).unwrap_err();
        assert_eq!(error.to_string(), format!("rotation period of `{days}` days is not between 90 and 2560"));
    }
    for days in [90, 365, 2560] {
        assert_eq!(i64::from(RotationPeriod::of_days(days).unwrap().days()), days);
    }
    assert_eq!(RotationPeriod::DEFAULT.after(Timestamp::UNIX_EPOCH).as_second(), 365 * 86_400);
    assert_eq!(RotationPeriod::DEFAULT.after(Timestamp::MAX), Timestamp::MAX);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Order(Command),
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Order(Command::Enable)),
        Just(Step::Order(Command::Disable)),
        Just(Step::Order(Command::CancelDeletion)),
        (7i64..=30).prop_map(|days| Step::Order(Command::ScheduleDeletion(PendingWindow::of_days(days).unwrap()))),
        (0i64..40 * 86_400).prop_map(Step::Pass),
    ]
}

proptest! {
    /// The definition, by brute force: a key is gone exactly when the last ScheduleKeyDeletion that took effect was not
    /// cancelled and its waiting period is over.
    #[test]
    fn random_lives_agree_with_the_definition(steps in proptest::collection::vec(step(), 0..60)) {
        let mut life = Life::begin();
        let mut pending_until: Option<i64> = None;
        let mut gone = false;
        for step in steps {
            match step {
                Step::Pass(seconds) => {
                    life.pass(seconds);
                    gone |= pending_until.is_some_and(|date| date <= life.now.as_second());
                }
                Step::Order(command) => {
                    let answer = life.order(command);
                    if !gone {
                        match command {
                            Command::ScheduleDeletion(window) if pending_until.is_none() => {
                                pending_until = Some(life.now.as_second() + i64::from(window.days()) * 86_400);
                            }
                            Command::CancelDeletion if pending_until.is_some() => {
                                pending_until = None;
                                prop_assert_eq!(answer, "Disabled");
                            }
                            _ => {}
                        }
                    }
                }
            }
            prop_assert_eq!(life.state.is_none(), gone);
            let date = life.state.as_ref().and_then(deadline).map(|date| date.as_second());
            prop_assert_eq!(date, if gone { None } else { pending_until });
        }
    }
}
