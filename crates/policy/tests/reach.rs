//! Stories of who could use a key.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use notation::{document, key, statement};
use policy::{Class, Document, RESCUE, Reach, Row, default_key_policy, reach};

fn of(statements: &str) -> Reach {
    let lines = statements.lines().map(str::trim).filter(|line| !line.is_empty());
    reach(&document(&lines.map(statement).collect::<Vec<_>>()), &key())
}

/// `statement: who [if conditions] [unless statements]`, a line for each that could do `action`.
fn who_can(reach: &Reach, action: &str) -> Vec<String> {
    let told = |possible: policy::Possible<'_>| {
        let Row { statement, who, conditions, .. } = possible.row;
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" if {}", conditions.join(" and ")) };
        let unless: Vec<String> = possible.unless.iter().map(|deny| (deny.statement + 1).to_string()).collect();
        let unless = if unless.is_empty() { String::new() } else { format!(" unless {}", unless.join(",")) };
        format!("{}: {who}{conditions}{unless}", statement + 1)
    };
    reach.can(action).into_iter().map(told).collect()
}

fn idle(reach: &Reach) -> Vec<String> {
    reach.idle.iter().map(|idle| format!("{}: {}", idle.statement + 1, idle.why)).collect()
}

#[test]
fn the_default_policy_is_as_wide_as_the_accounts_iam() {
    let reach = reach(&Document::parse(&default_key_policy(notation::home(), "aws")).unwrap(), &key());
    let account = "1: any identity that the IAM policies of account 111122223333 allow";
    for action in ["kms:Decrypt", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:SomethingNew"] {
        assert_eq!(who_can(&reach, action), [account], "{action}");
    }
    assert_eq!(who_can(&reach, "s3:GetObject"), [""; 0]);
    let row = &reach.allows[0];
    assert_eq!((row.foreign, row.public, row.sid.as_deref()), (false, false, Some("Enable IAM User Permissions")));
    assert_eq!(row.classes().len(), 9, "every class");
    assert_eq!(reach.can_all(RESCUE).len(), 1);
    assert!(reach.can_all(RESCUE)[0].1, "without condition");
}

#[test]
fn principals_are_told_by_their_form() {
    let reach = of("
        allow user/ann,role/app,session/app/i-1 kms:Decrypt
        allow service/logs.eu-west-1.amazonaws.com kms:Decrypt
        allow other:root kms:Decrypt
        allow everyone kms:Decrypt
        allow not user/ann kms:Decrypt
    ");
    assert_eq!(
        who_can(&reach, "kms:Decrypt"),
        [
            "1: user arn:aws:iam::111122223333:user/ann",
            "1: role arn:aws:iam::111122223333:role/app",
            "1: session arn:aws:sts::111122223333:assumed-role/app/i-1",
            "2: service logs.eu-west-1.amazonaws.com",
            "3: any identity that the IAM policies of account 444455556666 allow",
            "4: everyone",
            "5: everyone but arn:aws:iam::111122223333:user/ann",
        ]
    );
    let exposure: Vec<(bool, bool)> = reach.allows.iter().map(|row| (row.foreign, row.public)).collect();
    let (inside, foreign, public) = ((false, false), (true, false), (true, true));
    assert_eq!(exposure, [inside, inside, inside, inside, foreign, public, public]);
}

#[test]
fn actions_are_read_as_they_are_evaluated() {
    let reach = of("
        allow user/reader kms:De*
        allow user/rest not kms:Decrypt,kms:ReEncrypt*
        allow user/upper KMS:DECRYPT
    ");
    let decrypt = ["1: user arn:aws:iam::111122223333:user/reader", "3: user arn:aws:iam::111122223333:user/upper"];
    assert_eq!(who_can(&reach, "kms:Decrypt"), decrypt);
    assert_eq!(who_can(&reach, "kms:Sign"), ["2: user arn:aws:iam::111122223333:user/rest"]);
    let classes: Vec<Class> = reach.allows[0].classes().into_iter().collect();
    assert_eq!(classes, [Class::ReadData, Class::Manage, Class::Look]);
}

#[test]
fn conditions_stay_as_text() {
    let reach = of("allow everyone kms:Decrypt if StringEquals kms:ViaService rds.amazonaws.com|s3.amazonaws.com");
    assert_eq!(
        who_can(&reach, "kms:Decrypt"),
        ["1: everyone if StringEquals kms:ViaService `rds.amazonaws.com` or `s3.amazonaws.com`"]
    );
    assert!(!reach.can("kms:Decrypt")[0].is_unconditional());
    assert!(reach.allows[0].public, "a service path confines nobody's account");
}

#[test]
fn conditions_on_the_caller_narrow_everyone() {
    let one = |condition: &str| {
        let reach = of(&format!("allow everyone kms:Decrypt if {condition}"));
        let row = &reach.allows[0];
        let accounts =
            row.accounts.as_ref().map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        (accounts.unwrap_or_default(), row.foreign, row.public)
    };
    let told = |accounts: &str, foreign, public| (accounts.to_owned(), foreign, public);
    assert_eq!(one("StringEquals kms:CallerAccount 111122223333"), told("111122223333", false, false));
    assert_eq!(
        one("StringEquals aws:PrincipalAccount 111122223333|444455556666"),
        told("111122223333,444455556666", true, false)
    );
    assert_eq!(one("ArnLike aws:PrincipalArn arn:aws:iam::111122223333:role/*"), told("111122223333", false, false));
    assert_eq!(one("ArnLike aws:PrincipalArn arn:aws:iam::*:role/app"), told("", true, true));
    assert_eq!(one("StringEquals aws:PrincipalOrgID o-a1b2c3"), told("", true, false));
    assert_eq!(one("StringLike aws:PrincipalOrgID *"), told("", true, true));
    assert_eq!(one("StringNotEquals kms:CallerAccount 444455556666"), told("", true, true));
    assert_eq!(one("StringEqualsIfExists kms:CallerAccount 111122223333"), told("", true, true));
    assert_eq!(one("ForAnyValue:StringEqualsIfExists kms:CallerAccount 111122223333"), told("", true, true));
    assert_eq!(one("ForAllValues:StringEquals kms:CallerAccount 111122223333"), told("", true, true));
}

#[test]
fn what_does_nothing_is_named() {
    let reach = of("
        allow AIDACKCEVSQ6C2EXAMPLE,user/ann,arn:aws:iam::111122223333:role/* kms:Decrypt
        allow root s3:*
        allow root kms:* on arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000
    ");
    assert_eq!(
        idle(&reach),
        [
            "1: names `AIDACKCEVSQ6C2EXAMPLE`, a user or role that was deleted",
            "1: names `arn:aws:iam::111122223333:role/*`, which is no principal that KMS knows",
            "2: names no action on a KMS key",
            "3: is about other resources than this key",
        ]
    );
    assert_eq!(who_can(&reach, "kms:Decrypt"), ["1: user arn:aws:iam::111122223333:user/ann"]);

    let text = r#"{"Statement":[
        {"Effect":"Allow","Principal":"*","Action":"kms:*"},
        {"Effect":"Allow","Principal":"*","Resource":"*"},
        {"Effect":"Allow","Principal":{"AWS":[]},"Action":"kms:*","Resource":"*"},
        {"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;
    let reach = policy::reach(&Document::parse(text).unwrap(), &key());
    let reasons =
        ["1: has no resource", "2: names no action on a KMS key", "3: names no principal", "4: names no principal"];
    assert_eq!(idle(&reach), reasons);
    assert!(reach.allows.is_empty());
}

#[test]
fn a_resource_with_a_variable_may_be_the_key() {
    let reach = of("allow root kms:Decrypt on arn:aws:kms:eu-west-1:111122223333:key/${aws:PrincipalTag/key}");
    assert_eq!(
        who_can(&reach, "kms:Decrypt"),
        ["1: any identity that the IAM policies of account 111122223333 allow \
          if Resource `arn:aws:kms:eu-west-1:111122223333:key/${aws:PrincipalTag/key}`"]
    );
}

#[test]
fn a_deny_that_surely_stops_leaves_nobody() {
    let reach = of("
        allow root,user/ann,other:root kms:*
        deny everyone kms:PutKeyPolicy
        deny other:root kms:Decrypt
    ");
    assert_eq!(who_can(&reach, "kms:PutKeyPolicy"), [""; 0]);
    assert_eq!(
        who_can(&reach, "kms:Decrypt"),
        [
            "1: any identity that the IAM policies of account 111122223333 allow",
            "1: user arn:aws:iam::111122223333:user/ann",
        ]
    );
    assert_eq!(reach.denies.len(), 2);
}

#[test]
fn a_deny_that_may_stop_is_shown_beside() {
    let reach = of("
        allow root kms:*
        allow role/app kms:Decrypt
        deny user/ann kms:Decrypt
        deny everyone kms:ScheduleKeyDeletion if NumericLessThanEquals kms:TrailingDaysWithoutKeyUsage 90
        deny not root,role/app kms:Encrypt
        deny other:root kms:Decrypt
        deny service/s3.amazonaws.com kms:Decrypt
    ");
    let account = "any identity that the IAM policies of account 111122223333 allow";
    assert_eq!(who_can(&reach, "kms:ScheduleKeyDeletion"), [format!("1: {account} unless 4")]);
    assert_eq!(who_can(&reach, "kms:Encrypt"), [format!("1: {account} unless 5")]);
    assert_eq!(
        who_can(&reach, "kms:Decrypt"),
        [format!("1: {account} unless 3"), "2: role arn:aws:iam::111122223333:role/app".to_owned()]
    );
}

#[test]
fn the_rescue_path_may_lead_through_two_statements() {
    let who = |reach: &Reach| {
        reach.can_all(RESCUE).into_iter().map(|(who, surely)| (who.to_string(), surely)).collect::<Vec<_>>()
    };
    let rescue = "role arn:aws:iam::111122223333:role/QuietusRescue".to_owned();
    let reach = of("
        allow role/QuietusRescue,user/ann kms:CancelKeyDeletion
        allow role/QuietusRescue kms:EnableKey
    ");
    assert_eq!(who(&reach), [(rescue.clone(), true)]);
    let reach = of("
        allow role/QuietusRescue kms:CancelKeyDeletion,kms:EnableKey
        deny everyone kms:EnableKey if Bool aws:SecureTransport false
    ");
    assert_eq!(who(&reach), [(rescue, false)]);
    let reach = of("
        allow role/QuietusRescue kms:*
        deny everyone kms:CancelKeyDeletion
    ");
    assert_eq!(who(&reach), []);
}
