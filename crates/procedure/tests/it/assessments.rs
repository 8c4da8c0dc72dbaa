//! What an observation proves: the verdicts of procedure.md 6.5.8 and the acceptance scenarios of 6.17 that an assessment decides.

use jiff::SignedDuration;
use procedure::observation::{GrantFacts, Hole, LastUsage, LastUse, NamedPolicy, Sibling, SourceSeen};
use procedure::span::{after, before, days};
use procedure::{
    Assessment, Class, Depth, Finding, Gap, KeyState, Observation, Presence, Profile, ProfileName, Seen, Source, Span,
    Terms, Verdict, Waived, Waiver, Weight, assess,
};

use crate::world::{ACCOUNT, KEY, LOCKOUT_POLICY, World};

fn judge(seen: &Observation) -> Assessment {
    assess(seen, &Terms::of(Profile::named(ProfileName::Standard)))
}

/// Holds the verdict, and the ids of what weighs on it, to what is expected: `IN_USE F-LASTUSE F-USE-READ`.
#[track_caller]
fn check(seen: &Observation, expected: &str) -> Assessment {
    let assessment = judge(seen);
    let mut ids: Vec<&str> =
        assessment.open().filter(|finding| finding.weight() > Weight::Note).map(Finding::id).collect();
    ids.sort_unstable();
    ids.dedup();
    let is = [assessment.verdict.as_str()].into_iter().chain(ids).collect::<Vec<_>>().join(" ");
    let told: Vec<String> = assessment.open().map(ToString::to_string).collect();
    assert_eq!(is, expected, "{told:#?}");
    assert_eq!(assessment, judge(seen), "the same evidence, the same verdict");
    assessment
}

fn quiet() -> Observation {
    World::quiet().observe(Depth::Full)
}

fn key(seen: &mut Observation) -> &mut procedure::observation::KeyFacts {
    match &mut seen.key {
        Seen::Seen(Presence::Present(facts)) => facts,
        _ => panic!("the key is there"),
    }
}

fn denied(action: &str) -> Gap {
    Gap::Denied { action: action.to_owned(), message: String::new() }
}

#[test]
fn quiet_says_what_it_rests_on_and_what_not() {
    let assessment = check(&quiet(), "QUIET");
    assert_eq!(assessment.verdict.exit_code(), 0);
    assert_eq!(assessment.lookback.length(), days(400));
    assert!(assessment.not_looked_at.iter().any(|line| line.contains("IAM")));
    assert!(assessment.scope.iter().any(|line| line.contains("any identity of account 111122223333 that IAM allows")));
    let codes = [Verdict::Quiet, Verdict::InUse, Verdict::Blocked, Verdict::Inconclusive].map(Verdict::exit_code);
    assert_eq!(codes, [0, 10, 11, 12]);
}

#[test]
fn use_within_the_quiet_window() {
    let mut world = World::quiet();
    world.used("role/app", "Decrypt", 89);
    check(&world.observe(Depth::Full), "IN_USE F-LASTUSE F-LOOKBACK F-USE-READ");
    let mut world = World::quiet();
    world.used("role/app", "GenerateDataKey", 1);
    world.archive = Some(world.created);
    check(&world.observe(Depth::Full), "IN_USE F-LASTUSE F-USE-WRITE");
    let mut world = World::quiet();
    world.call("role/app", "Verify");
    world.now = after(world.now, SignedDuration::from_mins(20));
    check(&world.observe(Depth::Full), "IN_USE F-USE-VERIFY");
}

#[test]
fn looking_is_not_use() {
    let mut world = World::quiet();
    world.call("role/console", "DescribeKey");
    world.call("role/console", "GetKeyPolicy");
    world.now = after(world.now, days(1));
    check(&world.observe(Depth::Full), "QUIET");
}

#[test]
fn refusals_that_show_need_count() {
    // Scenario 21: every wording of a refused use.
    for text in ["is disabled.", "is pending deletion.", "is pending deletion (or pending replica deletion)."] {
        let mut world = World::quiet();
        world.state = Some(KeyState::Disabled);
        world.call("role/app", "Decrypt");
        let last = world.events.last_mut().unwrap();
        last.error = Some(procedure::observation::EventError {
            code: "KMSInvalidStateException".to_owned(),
            message: format!("{KEY} {text}"),
        });
        world.now = after(world.now, days(1));
        check(&world.observe(Depth::Full), "IN_USE F-ATTEMPT");
    }
    let mut world = World::quiet();
    let last_use = world.last_use;
    world.call("role/stranger", "Decrypt");
    world.last_use = last_use;
    world.events.last_mut().unwrap().error =
        Some(procedure::observation::EventError { code: "AccessDenied".to_owned(), message: "no".to_owned() });
    world.now = after(world.now, days(1));
    check(&world.observe(Depth::Full), "QUIET");
    // The same by one that used to have access.
    world.archive = Some(world.created);
    world.events.last_mut().unwrap().principal = "arn:aws:iam::111122223333:role/app".to_owned();
    check(&world.observe(Depth::Full), "INCONCLUSIVE F-SUSPECT");
}

#[test]
fn an_empty_last_usage_has_three_meanings() {
    // Older than tracking: nothing is known from before.
    let mut world = World::quiet();
    world.events.clear();
    world.last_use = None;
    world.tracking_start = before(world.now, days(200));
    check(&world.observe(Depth::Full), "INCONCLUSIVE F-LOOKBACK");
    // Tracked for all of the look-back: not used in it.
    world.tracking_start = before(world.now, days(401));
    check(&world.observe(Depth::Full), "QUIET");
    // Younger than tracking: never used.
    world.tracking_start = before(world.now, days(200));
    world.created = before(world.now, days(150));
    check(&world.observe(Depth::Full), "QUIET");
}

#[test]
fn an_annual_job() {
    // Scenario 4: quiet for 90 days proves nothing.
    let mut world = World::quiet();
    world.events.clear();
    world.used("role/yearly", "Decrypt", 200);
    check(&world.observe(Depth::Full), "INCONCLUSIVE F-CADENCE F-LOOKBACK");
    // One use alone tells no rhythm, even if everything was seen.
    world.archive = Some(world.created);
    check(&world.observe(Depth::Full), "INCONCLUSIVE F-CADENCE");
    // Two do: the soak lasts until the next would have shown itself.
    world.used("role/yearly", "Decrypt", 565);
    let assessment = check(&world.observe(Depth::Full), "QUIET");
    let until = assessment.soak.not_before.expect("a use is due");
    assert!(until > after(world.now, days(165)), "{until}");
}

#[test]
fn a_trail_that_excludes_kms() {
    // Scenario 5: an archive without KMS events at all, and event history not readable.
    let mut seen = quiet();
    let archive = SourceSeen {
        source: Source::Archive,
        background: Vec::new(),
        spans: vec![Span::new(before(seen.at, days(500)), seen.at)],
        ..seen.sources[0].clone()
    };
    seen.sources = vec![archive.clone()];
    check(&seen, "INCONCLUSIVE F-COV-ASSUMED");
    // Scenario 6: write-only, so that there is no background of read events either; and it says so itself.
    let span = archive.spans[0];
    seen.sources[0]
        .holes
        .push(Hole { span, why: Gap::NotRecorded { why: "trail records write events only".to_owned() } });
    check(&seen, "INCONCLUSIVE F-COV-GAP");
}

#[test]
fn silence_of_all_keys_is_a_gap() {
    let mut world = World::quiet();
    world.blind.push(Span::new(before(world.now, days(40)), before(world.now, days(36))));
    let assessment = check(&world.observe(Depth::Full), "INCONCLUSIVE F-COV-GAP");
    assert_eq!(assessment.verdict.exit_code(), 12);
    // Beyond the quiet window GetKeyLastUsage bounds it.
    let mut world = World::quiet();
    world.archive = Some(world.created);
    world.blind.push(Span::new(before(world.now, days(240)), before(world.now, days(236))));
    check(&world.observe(Depth::Full), "QUIET");
}

#[test]
fn a_use_that_the_events_do_not_show_is_a_gap() {
    let mut seen = quiet();
    let at = before(seen.at, days(30));
    seen.last_usage = Seen::Seen(LastUsage {
        tracking_start: before(seen.at, days(900)),
        last: Some(LastUse { at, operation: "Decrypt".to_owned(), event_id: None }),
    });
    check(&seen, "IN_USE F-COV-GAP F-LASTUSE F-LOOKBACK");
}

#[test]
fn unknown_is_never_quiet() {
    /// What makes an observation blind, and what it then is.
    type Blinding = (&'static str, fn(&mut Observation));
    let blind: [Blinding; 7] = [
        ("INCONCLUSIVE F-SCOPE-UNREADABLE", |seen| seen.key = Seen::Unknown(denied("kms:DescribeKey"))),
        ("INCONCLUSIVE F-SCOPE-UNREADABLE", |seen| seen.policies = Seen::Unknown(denied("kms:GetKeyPolicy"))),
        ("INCONCLUSIVE F-SCOPE-UNREADABLE", |seen| seen.grants = Seen::Unknown(denied("kms:ListGrants"))),
        ("INCONCLUSIVE F-LOOKBACK F-SCOPE-UNREADABLE", |seen| {
            seen.last_usage = Seen::Unknown(denied("kms:GetKeyLastUsage"));
        }),
        ("INCONCLUSIVE F-LOOKBACK F-SCOPE-UNREADABLE", |seen| seen.sources.clear()),
        ("INCONCLUSIVE F-CLOCK", |seen| seen.clock_skew = Seen::Unknown(Gap::NotAsked)),
        ("INCONCLUSIVE F-SCOPE-UNREADABLE", |seen| {
            seen.policies = Seen::Seen(vec![NamedPolicy { name: "default".to_owned(), text: "{".to_owned() }]);
        }),
    ];
    for (expected, blind) in blind {
        let mut seen = quiet();
        blind(&mut seen);
        check(&seen, expected);
    }
}

#[test]
fn other_accounts() {
    // Scenario 15: a caller of another account whose denied calls show only there.
    let mut seen = quiet();
    let Seen::Seen(policies) = &mut seen.policies else { panic!("policies are seen") };
    policies[0].text = policies[0].text.replace(
        "]}",
        r#",{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:role/Partner"},"Action":"kms:Decrypt","Resource":"*"}]}"#,
    );
    let assessment = check(&seen, "INCONCLUSIVE F-XACCT");
    assert_eq!(assessment.window_days, 30);
    // Seen there as well.
    let abroad = SourceSeen { account: "444455556666".to_owned(), ..seen.sources[0].clone() };
    seen.sources.push(abroad);
    check(&seen, "QUIET");
    seen.sources[1].background.clear();
    check(&seen, "INCONCLUSIVE F-XACCT");
    // Or accepted.
    let waived = Waived {
        finding: "F-XACCT".to_owned(),
        subject: Some("444455556666".to_owned()),
        by: "sven".to_owned(),
        reason: "they moved".to_owned(),
        until: after(seen.at, days(10)),
    };
    let terms = Terms { waivers: vec![waived], ..Terms::of(Profile::named(ProfileName::Standard)) };
    let assessment = assess(&seen, &terms);
    assert_eq!(assessment.verdict, Verdict::Quiet);
    assert!(assessment.findings.iter().any(|judged| judged.waived_by.as_deref() == Some("sven")));
}

#[test]
fn everybody() {
    let mut seen = quiet();
    let Seen::Seen(policies) = &mut seen.policies else { panic!("policies are seen") };
    policies[0].text = policies[0]
        .text
        .replace("]}", r#",{"Effect":"Allow","Principal":"*","Action":"kms:Decrypt","Resource":"*"}]}"#);
    check(&seen, "INCONCLUSIVE F-PUBLIC");
}

#[test]
fn no_way_back() {
    // Scenario 10, before the act: who may not enable must not disable.
    let mut world = World::quiet();
    world.policy = LOCKOUT_POLICY.to_owned();
    check(&world.observe(Depth::Full), "BLOCKED F-RESCUE-PATH");
    let mut seen = quiet();
    let Seen::Seen(policies) = &mut seen.policies else { panic!("policies are seen") };
    policies[0].text = policies[0].text.replace(
        "]}",
        r#",{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:role/Quietus"},"Action":"kms:CancelKeyDeletion","Resource":"*"}]}"#,
    );
    let assessment = check(&seen, "BLOCKED F-RESCUE-PATH");
    assert!(assessment.open().all(|finding| finding.waivable() == Waiver::Nobody));
}

#[test]
fn a_grant_is_a_dependent() {
    // Scenario 13: a volume attached for 200 days shows no event.
    let mut seen = quiet();
    seen.grants = Seen::Seen(vec![GrantFacts {
        id: "grant-1".to_owned(),
        grantee: format!("arn:aws:sts::{ACCOUNT}:assumed-role/aws:ec2-infrastructure/i-0abc"),
        issuing_account: Some(format!("arn:aws:iam::{ACCOUNT}:root")),
        retiring: None,
        operations: vec!["Decrypt".to_owned()],
        created: Some(before(seen.at, days(200))),
        constraints: vec!["aws:ebs:id=vol-0abc".to_owned()],
    }]);
    check(&seen, "IN_USE F-GRANT-LIVE");
}

#[test]
fn surroundings() {
    // Scenario 11: the key protects the trail.
    let mut seen = quiet();
    seen.evidence_keys = Seen::Seen(vec![KEY.to_owned()]);
    check(&seen, "BLOCKED F-SELF-BLIND");
    // Scenario 18: as quiet as the busiest member.
    let mut seen = quiet();
    let sibling = KEY.replace("eu-west-1", "us-east-1");
    key(&mut seen).family = vec![KEY.to_owned(), sibling.clone()];
    check(&seen, "INCONCLUSIVE F-MRK-SIBLING");
    seen.siblings = vec![Sibling { arn: sibling, verdict: Some(Verdict::Quiet) }];
    check(&seen, "QUIET");
    // Scenario 25: a wrong clock.
    let mut seen = quiet();
    seen.clock_skew = Seen::Seen(SignedDuration::from_secs(-31));
    check(&seen, "INCONCLUSIVE F-CLOCK");
}

#[test]
fn states_in_which_disuse_means_nothing() {
    let mut seen = quiet();
    key(&mut seen).state = KeyState::PendingDeletion { deletion_date: after(seen.at, days(7)) };
    check(&seen, "BLOCKED F-FOREIGN");
    for state in [KeyState::Unavailable, KeyState::PendingImport, KeyState::Creating, KeyState::PendingReplicaDeletion]
    {
        let mut seen = quiet();
        key(&mut seen).state = state;
        check(&seen, "INCONCLUSIVE F-KEY-STATE");
    }
    let mut seen = quiet();
    key(&mut seen).customer_managed = false;
    check(&seen, "BLOCKED F-NOT-OURS");
    seen.key = Seen::Seen(Presence::Gone);
    check(&seen, "BLOCKED F-LOST");
}

#[test]
fn a_public_key_that_left() {
    // Scenario 17.
    let mut world = World::quiet();
    world.call("role/app", "GetPublicKey");
    world.now = after(world.now, days(1));
    let mut seen = world.observe(Depth::Full);
    for (spec, usage) in
        [("RSA_4096", "ENCRYPT_DECRYPT"), ("ECC_NIST_P256", "KEY_AGREEMENT"), ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE")]
    {
        let facts = key(&mut seen);
        (facts.spec, facts.usage) = (spec.to_owned(), usage.to_owned());
        check(&seen, "INCONCLUSIVE F-PUBKEY-OUT");
    }
}

#[test]
fn a_moved_alias_is_told() {
    // Scenario 16.
    let mut seen = quiet();
    seen.changes.push(procedure::observation::ControlChange {
        event_id: "event".to_owned(),
        at: before(seen.at, days(3)),
        principal: "arn:aws:iam::111122223333:role/deploy".to_owned(),
        operation: "UpdateAlias".to_owned(),
        request_id: None,
    });
    let assessment = check(&seen, "QUIET");
    assert!(assessment.open().any(|finding| finding.id() == "F-ALIAS-MOVED"));
}

#[test]
fn what_is_not_waivable_stays() {
    let mut world = World::quiet();
    world.used("role/app", "Decrypt", 3);
    let waive = |finding: &str| Waived {
        finding: finding.to_owned(),
        subject: None,
        by: "sven".to_owned(),
        reason: "trust me".to_owned(),
        until: after(world.now, days(10)),
    };
    let waivers = ["F-USE-READ", "F-LASTUSE", "F-ATTEMPT"].map(waive).to_vec();
    let terms = Terms { waivers, ..Terms::of(Profile::named(ProfileName::Standard)) };
    assert_eq!(assess(&world.observe(Depth::Full), &terms).verdict, Verdict::InUse);
}

#[test]
fn every_finding_has_its_words() {
    // The sentences go to terminals and reports: lower case, no full stop, one line.
    let mut world = World::quiet();
    world.archive = Some(world.created);
    world.used("role/app", "Decrypt", 3);
    world.policy = LOCKOUT_POLICY.to_owned();
    world.unknown = vec!["grants", "clock", "last-usage"];
    world.blind.push(Span::new(before(world.now, days(40)), before(world.now, days(36))));
    for finding in judge(&world.observe(Depth::Full)).open() {
        for text in [finding.what(), finding.why().to_owned(), finding.remedy()] {
            let begins = text.chars().next().expect("a text");
            assert!(!begins.is_uppercase() && !text.ends_with('.') && !text.contains('\n'), "{text}");
        }
    }
    assert_eq!(Class::of("Decrypt", None), Class::ReadData);
}

#[test]
fn an_assessment_reads_back_as_it_was_written() {
    let mut world = World::quiet();
    world.used("role/app", "Decrypt", 3);
    let seen = world.observe(Depth::Full);
    let assessment = judge(&seen);
    let json = serde_json::to_string(&assessment).unwrap();
    assert_eq!(serde_json::from_str::<Assessment>(&json).unwrap(), assessment);
    let json = serde_json::to_string(&seen).unwrap();
    assert_eq!(serde_json::from_str::<Observation>(&json).unwrap(), seen);
}
