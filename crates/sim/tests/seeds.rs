//! Runs that must go well: one calm world, and many rough ones.
//!
//! A seed that fails is printed with the rules that did not hold; `just sim SEED` shows what happened in it. `SLOW=1` runs a thousand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use procedure::span::days;
use procedure::{Outcome, Stage};
use sim::{Applications, Report, Shape, Subject, run};

/// Seeds of the short test, and of the long one.
const FEW: u64 = 32;
const MANY: u64 = 1_000;

fn rough(seed: u64) -> Report {
    run(seed, &Shape::rough(seed), Subject::default())
}

/// The reports of the seeds from 0, as many threads at once as there are processors.
fn reports(seeds: u64) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let mut report = rough(seed);
                    if report.violations.is_empty() {
                        report.trace = report.trace.without_lines();
                    }
                    done.lock().unwrap().push(report);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn a_key_that_nobody_uses_is_deleted_when_nothing_goes_wrong() {
    let report = run(1, &Shape::calm(), Subject::default());
    assert_eq!(report.violations, []);
    assert_eq!(report.endings[0].outcome, Outcome::Deleted, "{:#?}", report.trace.lines());
    assert_eq!(report.endings[0].stage, Stage::Closed);
}

#[test]
fn a_use_at_the_last_moment_gives_the_key_back() {
    // Before the last look, and after the commit.
    for lead in [days(3), SignedDuration::from_hours(20)] {
        let shape = Shape { applications: Applications::AtTheLast(lead), ..Shape::calm() };
        let report = run(2, &shape, Subject::default());
        assert_eq!(report.violations, []);
        let lines = report.trace.lines();
        assert!(lines.iter().any(|line| line.ends_with("is rescued")), "{lines:#?}");
        assert_ne!(report.endings[0].outcome, Outcome::Deleted, "{lines:#?}");
    }
}

/// A runner looked, was held up for longer than an act may take to show, and decided by the old look: its own deletion passed
/// for somebody else's, nobody watched it any more, and the key died uncommitted.
#[test]
fn an_old_look_makes_no_stranger_of_our_own_act() {
    for seed in [2015, 2876] {
        assert_eq!(rough(seed).violations, [], "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (one, other) = (rough(5), rough(5));
    assert_eq!(one.trace.lines(), other.trace.lines());
    assert_eq!(one.trace.hash(), other.trace.hash());
    assert_ne!(one.trace.hash(), rough(6).trace.hash());
}

#[test]
fn every_rule_holds_whatever_goes_wrong() {
    let slow = std::env::var_os("SLOW").is_some();
    let reports = reports(if slow { MANY } else { FEW });
    let bad: Vec<String> = reports
        .iter()
        .flat_map(|report| report.violations.iter().map(|violation| format!("seed {}: {violation}", report.seed)))
        .collect();
    assert!(bad.is_empty(), "`just sim SEED` shows the run of a seed\n{}", bad.join("\n"));

    // A hall in which nothing is ever deleted, or nothing ever rescued, would prove nothing.
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for ending in reports.iter().flat_map(|report| &report.endings) {
        *outcomes.entry(format!("{:?}", ending.outcome)).or_default() += 1;
    }
    for outcome in ["Deleted", "Abandoned", "Verdict(InUse)"] {
        assert!(outcomes.contains_key(outcome), "no case of {outcome} in {outcomes:?}");
    }
}
