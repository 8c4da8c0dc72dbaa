//! The evaluator against its definition: a naive twin that reads the policy as JSON, anew for each question, with no thought of
//! speed. Random policies must get the same answer from both.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use std::collections::BTreeMap;

use notation::{Caller, KEY, home, principal_text};
use policy::{
    Because, Decision, Document, Facts, Grant, Principal, Request, Value, Values, Who, Why, authorize, reach,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

/// What is known about a request: absent keys are not in it; a list is a multivalued key.
type Known = BTreeMap<&'static str, Vec<&'static str>>;

// --- the twin -----------------------------------------------------------------------------------------------------------

/// One character of a pattern, once variables are replaced.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Just(char),
    One,
    Many,
}

fn glob(pattern: &[Sign], text: &[char]) -> bool {
    match (pattern, text) {
        ([], rest) => rest.is_empty(),
        ([Sign::Many, after @ ..], _) => (0..=text.len()).any(|taken| glob(after, &text[taken..])),
        (_, []) => false,
        ([Sign::One, after @ ..], [_, rest @ ..]) => glob(after, rest),
        ([Sign::Just(wanted), after @ ..], [found, rest @ ..]) => wanted == found && glob(after, rest),
    }
}

/// `None` where a variable has no value.
fn signs(text: &str, wildcards: bool, known: &Known) -> Option<Vec<Sign>> {
    let mut signs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((inside, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            let (key, default) =
                inside.split_once(", '").map_or((inside, None), |(key, rest)| (key, rest.strip_suffix('\'')));
            let value = match key {
                "*" | "?" | "$" => key,
                _ => match known.get(key).map(Vec::as_slice) {
                    Some([one]) => one,
                    _ => default?,
                },
            };
            signs.extend(value.chars().map(Sign::Just));
            rest = after;
        } else {
            signs.push(match first {
                '*' if wildcards => Sign::Many,
                '?' if wildcards => Sign::One,
                other => Sign::Just(other),
            });
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(signs)
}

fn like(pattern: &str, text: &str, known: &Known) -> bool {
    signs(pattern, true, known).is_some_and(|signs| glob(&signs, &text.chars().collect::<Vec<_>>()))
}

fn arn_like(pattern: &str, arn: &str, known: &Known) -> bool {
    let Some(signs) = signs(pattern, true, known) else { return false };
    // No variable of these tests has a colon in its value.
    let mut wanted: Vec<&[Sign]> = signs.splitn(6, |sign| *sign == Sign::Just(':')).collect();
    let found: Vec<&str> = arn.splitn(6, ':').collect();
    wanted.resize(6, &[Sign::Many]);
    let segment = |(wanted, found): (&&[Sign], &&str)| glob(wanted, &found.chars().collect::<Vec<_>>());
    pattern == "*" || (found.len() == 6 && wanted.iter().zip(&found).all(segment))
}

fn condition(operator: &str, key: &str, values: &[String], known: &Known) -> bool {
    let found = known.get(key).cloned().unwrap_or_default();
    let (set, name) = operator.split_once(':').unwrap_or(("", operator));
    let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let negated = name.contains("Not");
    let same = |wanted: &String, found: &str| match name.replace("Not", "").as_str() {
        "StringEquals" => {
            signs(wanted, false, known).is_some_and(|signs| glob(&signs, &found.chars().collect::<Vec<_>>()))
        }
        "StringLike" => like(wanted, found, known),
        "ArnEquals" | "ArnLike" => arn_like(wanted, found, known),
        "NumericEquals" => wanted.parse::<f64>().ok() == found.parse::<f64>().ok(),
        "NumericLessThan" => {
            matches!((found.parse::<f64>(), wanted.parse::<f64>()), (Ok(found), Ok(wanted)) if found < wanted)
        }
        "Bool" => *wanted == found,
        other => panic!("no operator `{other}`"),
    };
    let fits = |found: &&str| values.iter().any(|wanted| same(wanted, found)) != negated;
    match (name, set) {
        ("Null", _) => values.contains(&found.is_empty().to_string()),
        (_, "ForAnyValue") => found.iter().any(fits),
        (_, "ForAllValues") => found.iter().all(fits),
        _ if found.is_empty() => negated || if_exists,
        _ if negated => found.iter().all(fits),
        _ => found.iter().any(fits),
    }
}

fn texts(json: &Json) -> Vec<String> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    json.as_array().map_or_else(|| vec![text(json)], |list| list.iter().map(text).collect())
}

/// An element or its opposite, given what fits.
fn element(statement: &Json, name: &str, fits: impl Fn(&str) -> bool) -> bool {
    let any = |json: &Json| texts(json).iter().any(|text| fits(text));
    match (statement.get(name), statement.get(format!("Not{name}"))) {
        (Some(listed), _) => any(listed),
        (_, Some(listed)) => !any(listed),
        (None, None) => false,
    }
}

/// The texts by which a policy can name a caller itself, and its account.
fn names(caller: &Principal<'_>) -> (Vec<String>, Vec<String>) {
    let account = |account: &dyn ToString| {
        let id = account.to_string();
        vec![format!("arn:aws:iam::{id}:root"), id]
    };
    match caller {
        Principal::Root { account: id } => (account(id), account(id)),
        Principal::User { account: id, arn } => (vec![(*arn).to_owned()], account(id)),
        Principal::Session { account: id, role_arn, session_arn } => {
            (vec![(*role_arn).to_owned(), (*session_arn).to_owned()], account(id))
        }
        Principal::Service(name) => (vec![(*name).to_owned()], Vec::new()),
    }
}

/// Whether a statement of a key policy applies: to nobody here, to the caller's account, to the caller itself.
fn applies(statement: &Json, caller: &Principal<'_>) -> &'static str {
    let deny = statement["Effect"] == "Deny";
    let listed = statement.get("Principal").or(statement.get("NotPrincipal")).unwrap();
    let listed = listed.as_object().map_or_else(|| texts(listed), |kinds| kinds.values().flat_map(texts).collect());
    let lists = |name: &String| listed.contains(name);
    let (itself, account) = names(caller);
    let everyone = listed.contains(&"*".to_owned());
    let by_itself = everyone || itself.iter().any(lists);
    let by_account = account.iter().any(lists);
    let spared = match caller {
        Principal::Root { .. } => everyone || by_account,
        Principal::Service(_) => by_itself,
        _ => everyone || (itself.iter().all(lists) && by_account),
    };
    match (statement.get("Principal").is_some(), deny) {
        (true, _) if by_itself => "itself",
        (true, true) if by_account => "itself",
        (true, false) if by_account => "account",
        (false, true) if !spared => "itself",
        (false, false) if !by_itself && !by_account => "itself",
        _ => "nobody",
    }
}

fn in_scope(statement: &Json, action: &str, known: &Known) -> bool {
    let action = |pattern: &str| like(&pattern.to_lowercase().replace("${", "$ {"), &action.to_lowercase(), known);
    let conditions = statement.get("Condition").and_then(Json::as_object).cloned().unwrap_or_default();
    let hold = |(operator, keys): (&String, &Json)| {
        keys.as_object().unwrap().iter().all(|(key, values)| condition(operator, key, &texts(values), known))
    };
    element(statement, "Action", action)
        && element(statement, "Resource", |pattern| arn_like(pattern, KEY, known))
        && conditions.iter().all(hold)
}

fn twin(key: &[Json], identity: &[Json], caller: &Principal<'_>, action: &str, known: &Known) -> &'static str {
    let speak = |list: &[Json], effect: &str, how: Option<&str>| {
        list.iter().any(|one| {
            let to_caller = how.is_none_or(|how| applies(one, caller) == how);
            one["Effect"] == effect && to_caller && in_scope(one, action, known)
        })
    };
    let home = caller.account().is_none_or(|account| account == home());
    let to_caller = speak(key, "Allow", Some("itself"));
    let to_account = speak(key, "Allow", Some("account"));
    let root = matches!(caller, Principal::Root { .. });
    if speak(key, "Deny", Some("itself")) {
        "key denies"
    } else if speak(identity, "Deny", None) {
        "identity denies"
    } else if !to_caller && !to_account {
        "key silent"
    } else if to_caller && home {
        "key"
    } else if root {
        "key and root"
    } else if speak(identity, "Allow", None) {
        "key and identity"
    } else {
        "identity silent"
    }
}

// --- the same words from the crate --------------------------------------------------------------------------------------

fn ours(key: &[Json], identity: &[Json], caller: &Principal<'_>, action: &str, known: &Known) -> &'static str {
    let document = |list: &[Json]| Document::parse(&notation::text(list)).unwrap();
    let identity: Vec<Document> = (!identity.is_empty()).then(|| document(identity)).into_iter().collect();
    let facts = known.iter().fold(Facts::new(), |facts, (key, values)| {
        let values: Vec<Value<'_>> = values.iter().map(|text| Value::Text((*text).into())).collect();
        let single = values.len() == 1;
        facts.with(*key, if single { Values::One(values[0].clone()) } else { Values::Many(values) })
    });
    let request = Request { principal: caller, action, resource: KEY, context: &facts };
    match authorize(&document(key), home(), &identity, &request) {
        Decision::Allowed(Because::KeyPolicy { .. }) => "key",
        Decision::Allowed(Because::KeyPolicyAndAccount { grant: Grant::Root, .. }) => "key and root",
        Decision::Allowed(Because::KeyPolicyAndAccount { grant: Grant::Policy { .. }, .. }) => "key and identity",
        Decision::Allowed(Because::Account(_)) => "account",
        Decision::Allowed(Because::Granted { .. }) => "grant",
        Decision::Denied(Why::KeyPolicyDenies { .. }) => "key denies",
        Decision::Denied(Why::IdentityPolicyDenies { .. }) => "identity denies",
        Decision::Denied(Why::KeyPolicySilent) => "key silent",
        Decision::Denied(Why::IdentityPoliciesSilent) => "identity silent",
    }
}

/// Whether a row of `reach` shows the caller, or those it is one of.
fn within_reach(key: &[Json], caller: &Principal<'_>, action: &str) -> bool {
    let (itself, account) = names(caller);
    let document = Document::parse(&notation::text(key)).unwrap();
    reach(&document, &notation::key()).can(action).iter().any(|possible| match &possible.row.who {
        Who::Everyone | Who::EveryoneBut(_) => true,
        Who::Account(id) => account.contains(&id.to_string()),
        Who::User(name) | Who::Role(name) | Who::Session(name) | Who::FederatedUser(name) | Who::Service(name) => {
            itself.contains(&name.to_string())
        }
    })
}

// --- random policies ----------------------------------------------------------------------------------------------------

const CALLERS: [&str; 8] = [
    "root",
    "user/ann",
    "user/bob",
    "session/app/i-1",
    "session/app/i-2",
    "other:root",
    "other:user/ann",
    "service/s3.amazonaws.com",
];
const NAMED: [&str; 11] = [
    "*",
    "root",
    "account",
    "user/ann",
    "user/bob",
    "role/app",
    "session/app/i-1",
    "other:root",
    "other:user/ann",
    "service/s3.amazonaws.com",
    "AIDACKCEVSQ6C2EXAMPLE",
];
const ACTIONS: [&str; 6] = ["kms:*", "*", "KMS:de*", "kms:Decrypt", "kms:Encr?pt", "s3:*"];
const RESOURCES: [&str; 7] = [
    "*",
    KEY,
    "arn:aws:kms:*:111122223333:key/*",
    "arn:aws:kms",
    "arn:aws:kms:*:key/*",
    "arn:aws:kms:eu-west-1:111122223333:${name}/*",
    "arn:aws:kms:eu-west-1:111122223333:key/0",
];
const TEXTS: [&str; 9] = ["a", "b", "a*", "?", "*", "${name}", "${name, 'a'}", "a${*}", "${none}"];
const ARNS: [&str; 4] = ["arn:aws:iam::1:role/*", "arn:aws:iam::*:role/${name}", "*", "arn:aws:iam"];
const NUMBERS: [&str; 3] = ["1", "2", "2.0"];
const TRUTHS: [&str; 2] = ["true", "false"];
const KNOWN: [&str; 9] = ["a", "b", "ab", "*", "a*", "1", "2", "true", "arn:aws:iam::1:role/key"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(of), 1..3)
}

fn conditions() -> impl Strategy<Value = Json> {
    let operator = |names: &'static [&'static str], values: &'static [&'static str]| {
        let set = select(["", "", "ForAnyValue:", "ForAllValues:"].as_slice());
        let suffix = select(["", "", "IfExists"].as_slice());
        (set, select(names), suffix, some(values))
            .prop_map(|(set, name, suffix, values)| (format!("{set}{name}{suffix}"), values))
    };
    let one = prop_oneof![
        operator(&["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"], &TEXTS),
        operator(&["ArnLike", "ArnNotEquals"], &ARNS),
        operator(&["NumericEquals", "NumericNotEquals", "NumericLessThan"], &NUMBERS),
        operator(&["Bool"], &TRUTHS),
        some(&TRUTHS).prop_map(|values| ("Null".to_owned(), values)),
    ];
    vec((one, select(["k", "l"].as_slice())), 0..3).prop_map(|list| {
        let mut block = Map::new();
        for ((operator, values), key) in list {
            block.entry(operator).or_insert_with(|| json!({}))[key] = values.into();
        }
        Json::Object(block)
    })
}

fn not(name: &str, not: bool) -> String {
    if not { format!("Not{name}") } else { name.to_owned() }
}

fn statement(has_principal: bool) -> impl Strategy<Value = Json> {
    let rarely = || prop::bool::weighted(0.2);
    let deny = prop::bool::weighted(0.25);
    ((deny, rarely(), rarely(), rarely()), some(&NAMED), some(&ACTIONS), some(&RESOURCES), conditions()).prop_map(
        move |((deny, not_who, not_action, not_resource), who, actions, resources, conditions)| {
            let mut statement = json!({ "Effect": if deny { "Deny" } else { "Allow" }, "Condition": conditions });
            if has_principal {
                let of = |service: bool| -> Vec<String> {
                    let kind = who.iter().filter(|name| name.starts_with("service/") == service);
                    kind.map(|name| principal_text(name)).collect()
                };
                statement[not("Principal", not_who)] = json!({ "AWS": of(false), "Service": of(true) });
            }
            statement[not("Action", not_action)] = actions.into();
            statement[not("Resource", not_resource)] = resources.into();
            statement
        },
    )
}

fn known() -> impl Strategy<Value = Known> {
    let values = || vec(select(KNOWN.as_slice()), 0..3);
    let name = select([None, Some("a"), Some("*"), Some("key")].as_slice());
    (values(), values(), name).prop_map(|(k, l, name)| {
        let mut known = Known::new();
        known.extend(Some(k).filter(|values| !values.is_empty()).map(|values| ("k", values)));
        known.extend(Some(l).filter(|values| !values.is_empty()).map(|values| ("l", values)));
        known.extend(name.map(|name| ("name", vec![name])));
        known
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_agrees_with_its_definition(
        key in vec(statement(true), 1..4),
        identity in vec(statement(false), 0..3),
        action in select(["kms:Decrypt", "kms:Encrypt"].as_slice()),
        known in known(),
    ) {
        for name in CALLERS {
            let caller = Caller::named(name);
            let principal = caller.principal();
            let expected = twin(&key, &identity, &principal, action, &known);
            prop_assert_eq!(ours(&key, &identity, &principal, action, &known), expected, "{}", name);
            if expected.starts_with("key and") || expected == "key" {
                prop_assert!(within_reach(&key, &principal, action), "{} is let in and not within reach", name);
            }
        }
    }
}

#[test]
fn random_policies_reach_every_answer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..600 {
        let mut draw = |has_principal| vec(statement(has_principal), 1..3).new_tree(&mut runner).unwrap().current();
        let (key, identity) = (draw(true), draw(false));
        let known = known().new_tree(&mut runner).unwrap().current();
        for name in CALLERS {
            let caller = Caller::named(name);
            *seen.entry(twin(&key, &identity, &caller.principal(), "kms:Decrypt", &known)).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 10), "{seen:?}");
}
