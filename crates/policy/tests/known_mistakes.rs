//! Cases in which policy evaluators were found wrong, some of them open to whoever comes. One test each.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use notation::{Caller, KEY, facts, home, identity_statement};
use policy::{Document, Request, authorize, default_key_policy};

fn allows_with(policy: &str, identity: &[Document], caller: &str, context: &str) -> bool {
    let policy = Document::parse(policy).unwrap();
    let caller = Caller::named(caller);
    let principal = caller.principal();
    let facts = facts(context.split_whitespace());
    let request = Request { principal: &principal, action: "kms:Decrypt", resource: KEY, context: &facts };
    authorize(&policy, home(), identity, &request).is_allowed()
}

/// Whether a statement for everyone with this condition block lets the account's root user decrypt.
fn holds(condition: &str, context: &str) -> bool {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{condition}}}]}}"#
    );
    allows_with(&policy, &[], "root", context)
}

/// Whether a statement with this `Principal` lets a caller decrypt, without identity policies.
fn named(principal: &str, caller: &str) -> bool {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"kms:*","Resource":"*"}}]}}"#
    );
    allows_with(&policy, &[], caller, "")
}

#[test]
fn string_not_equals_with_several_values_is_none_of_them() {
    assert!(!holds(r#"{"StringNotEquals":{"k":["a","b"]}}"#, "k=a"));
    assert!(!holds(r#"{"StringNotEquals":{"k":["a","b"]}}"#, "k=b"));
    assert!(holds(r#"{"StringNotEquals":{"k":["a","b"]}}"#, "k=c"));
}

#[test]
fn string_not_equals_holds_without_the_key() {
    assert!(holds(r#"{"StringNotEquals":{"k":"a"}}"#, ""));
}

#[test]
fn set_operators_work_with_every_type_and_with_if_exists() {
    assert!(holds(r#"{"ForAnyValue:StringLike":{"k":["a*"]}}"#, "k=[x,ab]"));
    assert!(holds(r#"{"ForAllValues:NumericLessThan":{"k":["3"]}}"#, "k=[1,2]"));
    assert!(!holds(r#"{"ForAllValues:NumericLessThan":{"k":["3"]}}"#, "k=[1,3]"));
    assert!(holds(r#"{"ForAnyValue:ArnLike":{"k":"arn:aws:s3:::a*"}}"#, "k=[arn:aws:s3:::ab]"));
    assert!(holds(r#"{"ForAnyValue:IpAddress":{"k":"10.0.0.0/8"}}"#, "k=[192.0.2.1,10.1.2.3]"));
    assert!(holds(r#"{"ForAllValues:StringEqualsIfExists":{"k":"a"}}"#, ""));
    assert!(holds(r#"{"ForAnyValue:StringEqualsIfExists":{"k":"a"}}"#, "k=[a,b]"));
}

#[test]
fn a_variable_may_have_a_default() {
    assert!(holds(r#"{"StringEquals":{"k":"${aws:PrincipalTag/team, 'none'}"}}"#, "k=none"));
    assert!(!holds(r#"{"StringEquals":{"k":"${aws:PrincipalTag/team, 'none'}"}}"#, "k=none aws:PrincipalTag/team=ops"));
}

#[test]
fn the_value_of_a_variable_is_no_wildcard() {
    assert!(!holds(r#"{"StringLike":{"k":"home/${aws:username}"}}"#, "k=home/ann aws:username=*"));
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*",
        "Resource":"arn:aws:kms:eu-west-1:111122223333:key/${aws:username}"}}"#;
    assert!(!allows_with(policy, &[], "root", "aws:username=*"));
    assert!(allows_with(policy, &[], "root", "aws:username=1234abcd-12ab-34cd-56ef-1234567890ab"));
}

#[test]
fn an_escaped_wildcard_is_the_character() {
    assert!(holds(r#"{"StringLike":{"k":"a${*}"}}"#, "k=a*"));
    assert!(!holds(r#"{"StringLike":{"k":"a${*}"}}"#, "k=ab"));
}

#[test]
fn the_root_principal_leaves_a_user_of_the_account_to_iam() {
    let policy = default_key_policy(home(), "aws");
    let identity = [notation::document(&[identity_statement("allow kms:Decrypt")])];
    assert!(allows_with(&policy, &[], "root", ""), "the root user itself");
    assert!(!allows_with(&policy, &[], "user/ann", ""), "not outright");
    assert!(allows_with(&policy, &identity, "user/ann", ""), "but with an identity policy");
    assert!(allows_with(&policy, &identity, "session/app/i-1", ""));
    assert!(!allows_with(&policy, &identity, "other:user/ann", ""));
}

#[test]
fn a_principal_may_list_kinds_side_by_side() {
    let both = r#"{"AWS":["arn:aws:iam::111122223333:user/ann"],"Service":"logs.eu-west-1.amazonaws.com"}"#;
    assert!(named(both, "user/ann"));
    assert!(named(both, "service/logs.eu-west-1.amazonaws.com"));
    assert!(!named(both, "user/bob"));
}

#[test]
fn arn_equals_takes_wildcards() {
    let role = "k=arn:aws:iam::111122223333:role/app";
    assert!(holds(r#"{"ArnEquals":{"k":"arn:aws:iam::*:role/*"}}"#, role));
    assert!(!holds(r#"{"ArnNotEquals":{"k":"arn:aws:iam::*:role/*"}}"#, role));
}

#[test]
fn bool_takes_a_quoted_value_and_a_bare_one() {
    assert!(holds(r#"{"Bool":{"k":"true"}}"#, "k=true"));
    assert!(holds(r#"{"Bool":{"k":true}}"#, "k=true"));
    assert!(!holds(r#"{"Bool":{"k":"true"}}"#, "k=false"));
}

#[test]
fn a_federated_principal_is_nobody_here_and_no_prefix() {
    for caller in ["user/ann", "session/app/i-1", "root", "service/cognito-identity.amazonaws.com"] {
        assert!(!named(r#"{"Federated":"cognito-identity.amazonaws.com"}"#, caller));
        assert!(!named(r#"{"Federated":"*"}"#, caller));
        assert!(!named(r#"{"Federated":"arn:aws:iam::111122223333:user/an"}"#, caller));
    }
}

#[test]
fn principals_take_no_wildcards() {
    assert!(!named(r#"{"AWS":"arn:aws:iam::111122223333:*"}"#, "user/ann"));
    assert!(!named(r#"{"AWS":"arn:aws:iam::111122223333:user/*"}"#, "user/ann"));
    assert!(!named(r#"{"AWS":"arn:aws:iam::111122223333:user/an"}"#, "user/ann"));
    assert!(named(r#"{"AWS":"*"}"#, "user/ann"));
}

#[test]
fn a_condition_given_twice_is_not_dropped() {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",
        "Condition":{"Bool":{"k":"true"}},"Condition":{}}}"#;
    assert_eq!(
        Document::parse(policy).unwrap_err().to_string(),
        "policy is not valid JSON: `Condition` is given twice at line 2 column 57"
    );
}
