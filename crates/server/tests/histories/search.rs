//! Whether a history has an order in which the model tells the same: each call at one moment between its request and its answer
//! (Wing and Gong, "Testing and Verifying Concurrent Objects", 1993), with a memory of what was tried.

use std::collections::BTreeSet;

use crate::model::{Call, Place, Shown};

/// A call as one client saw it. Moments are numbers that only grow.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) call: Call,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// What the answer showed; `None`: the server died before it came, and the call may have happened or not.
    pub(crate) told: Option<Shown>,
}

/// Every state that `lanes` (one client's calls each, in its order) may lead to from one of `starts`, at `now`; none where no order
/// of the calls explains the answers.
pub(crate) fn explain(starts: &BTreeSet<Place>, lanes: &[Vec<Entry>], now: i64) -> BTreeSet<Place> {
    let mut ends = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<(Vec<usize>, Place)> = starts.iter().map(|start| (vec![0; lanes.len()], start.clone())).collect();
    while let Some((done, place)) = open.pop() {
        if !seen.insert((done.clone(), place.clone())) {
            continue;
        }
        let waiting =
            || lanes.iter().zip(&done).enumerate().filter_map(|(lane, (calls, at))| Some((lane, calls.get(*at)?)));
        // Nothing can be next that was asked only after something else was answered.
        let Some(first_answer) = waiting().map(|(_, entry)| entry.answered).min() else {
            ends.insert(place);
            continue;
        };
        for (lane, entry) in waiting().filter(|(_, entry)| entry.asked < first_answer) {
            let mut next_done = done.clone();
            next_done[lane] += 1;
            let mut next = place.clone();
            let shown = next.run(&entry.call, now, entry.told.as_ref());
            match &entry.told {
                Some(told) if *told != shown => {}
                Some(_) => open.push((next_done, next)),
                None => {
                    open.push((next_done.clone(), place.clone()));
                    open.push((next_done, next));
                }
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Op;

    fn entry(op: Op, asked: u64, answered: u64, told: Option<Shown>) -> Entry {
        Entry { call: Call { key: 1, region: 0, op }, asked, answered, told }
    }

    fn is_explained(lanes: &[Vec<Entry>]) -> bool {
        !explain(&BTreeSet::from([Place::new(0)]), lanes, 0).is_empty()
    }

    #[test]
    fn a_read_may_be_before_or_after_a_write_beside_it_but_not_before_one_that_was_answered() {
        let shows = |state: &str| Some(Ok(json!({ "state": state })));
        for (asked, seen, explained) in
            [(1, "Enabled", true), (1, "Disabled", true), (3, "Enabled", false), (3, "Disabled", true)]
        {
            let write = entry(Op::Disable, 0, 2, Some(Ok(Value::Null)));
            let read = entry(Op::Describe, asked, 4, shows(seen));
            assert_eq!(is_explained(&[vec![write], vec![read]]), explained, "{asked} {seen}");
        }
    }

    #[test]
    fn a_lost_answer_leaves_both_open_and_then_only_one() {
        let lost = entry(Op::Disable, 0, 1, None);
        let shows = |asked, state: &str| entry(Op::Describe, asked, asked + 1, Some(Ok(json!({ "state": state }))));
        assert!(is_explained(&[vec![lost.clone(), shows(2, "Enabled")]]));
        assert!(is_explained(&[vec![lost.clone(), shows(2, "Disabled"), shows(4, "Disabled")]]));
        assert!(!is_explained(&[vec![lost, shows(2, "Enabled"), shows(4, "Disabled")]]));
    }
}
