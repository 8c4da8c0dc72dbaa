//! What conditions mean: AWS's documented semantics, a line each.

#![allow(clippy::unwrap_used, reason = "a test that is written wrong may panic")]

mod notation;

use notation::{Caller, KEY, facts, home};
use policy::{Document, Request, authorize};
use serde_json::json;

fn holds_in(version: &str, condition: &str, context: &str) -> bool {
    let [operator, key, values] = condition.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("`{condition}` is not an operator, a key and values");
    };
    let values: Vec<String> = values.split('|').map(|value| value.replace('_', " ")).collect();
    let policy = json!({ "Version": version, "Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", "Condition": { operator: { key: values } },
    }});
    let policy = Document::parse(&policy.to_string()).unwrap();
    let caller = Caller::named("root");
    let principal = caller.principal();
    let facts = facts(context.split_whitespace());
    let request = Request { principal: &principal, action: "kms:Decrypt", resource: KEY, context: &facts };
    authorize(&policy, home(), &[], &request).is_allowed()
}

/// `condition ? context -> yes|no`; `_` in a policy's value stands for a blank.
fn check(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (condition, rest) = line.split_once(" ? ").unwrap();
        let (context, expected) = rest.rsplit_once("->").unwrap();
        let found = if holds_in("2012-10-17", condition, context) { "yes" } else { "no" };
        assert_eq!(found, expected.trim(), "{line}");
    }
}

#[test]
fn strings() {
    check(
        "
        StringEquals k a|b ? k=a -> yes
        StringEquals k a|b ? k=b -> yes
        StringEquals k a|b ? k=c -> no
        StringEquals k a   ? k=A -> no
        StringEquals K a   ? k=a -> yes
        StringEquals k a   ?     -> no
        StringEquals k a*  ? k=ab -> no
        StringEquals k a*  ? k=a* -> yes
        StringNotEquals k a|b ? k=a -> no
        StringNotEquals k a|b ? k=b -> no
        StringNotEquals k a|b ? k=c -> yes
        StringNotEquals k a   ?     -> yes
        StringEqualsIgnoreCase k Ab    ? k=aB -> yes
        StringEqualsIgnoreCase k Ab    ? k=ac -> no
        StringNotEqualsIgnoreCase k Ab ? k=aB -> no
        StringNotEqualsIgnoreCase k Ab ?      -> yes
        StringLike k a*c|x? ? k=abbc -> yes
        StringLike k a*c|x? ? k=xy   -> yes
        StringLike k a*c|x? ? k=x    -> no
        StringLike k A*     ? k=ab   -> no
        StringLike k *      ? k=     -> yes
        StringLike k *      ?        -> no
        StringNotLike k a*  ? k=ab   -> no
        StringNotLike k a*  ? k=b    -> yes
        StringNotLike k a*  ?        -> yes
        stringlike k a*     ? k=ab   -> yes
        ",
    );
}

#[test]
fn numbers() {
    check(
        "
        NumericEquals k 7 ? k=7 -> yes
        NumericEquals k 7 ? k=7.0 -> yes
        NumericEquals k 7|8 ? k=8 -> yes
        NumericNotEquals k 7|8 ? k=8 -> no
        NumericNotEquals k 7 ? -> yes
        NumericLessThan k 7 ? k=7 -> no
        NumericLessThan k 7 ? k=6 -> yes
        NumericLessThan k 10 ? k=9 -> yes
        NumericLessThanEquals k 7 ? k=7 -> yes
        NumericGreaterThan k 7 ? k=7 -> no
        NumericGreaterThan k 7 ? k=7.5 -> yes
        NumericGreaterThanEquals k 7 ? k=7 -> yes
        NumericGreaterThanEquals k 7 ? -> no
        NumericGreaterThanEqualsIfExists k 7 ? -> yes
        NumericGreaterThanEqualsIfExists k 7 ? k=6 -> no
        NumericEquals k 7 ? k=seven -> no
        NumericNotEquals k 7 ? k=seven -> yes
        ",
    );
}

#[test]
fn dates() {
    check(
        "
        DateLessThan aws:CurrentTime 2026-06-01T00:00:00Z ? aws:CurrentTime=2026-05-31T23:59:59Z -> yes
        DateLessThan aws:CurrentTime 2026-06-01T00:00:00Z ? aws:CurrentTime=2026-06-01T00:00:00Z -> no
        DateLessThanEquals aws:CurrentTime 2026-06-01 ? aws:CurrentTime=2026-06-01T00:00:00Z -> yes
        DateGreaterThan aws:CurrentTime 2026-06-01T00:00:00+02:00 ? aws:CurrentTime=2026-05-31T22:00:01Z -> yes
        DateGreaterThanEquals aws:EpochTime 1780272000 ? aws:EpochTime=1780272000 -> yes
        DateEquals aws:EpochTime 2026-06-01 ? aws:EpochTime=1780272000 -> yes
        DateNotEquals aws:EpochTime 2026-06-01 ? aws:EpochTime=1780272000 -> no
        DateNotEquals aws:EpochTime 2026-06-01 ? -> yes
        DateLessThan aws:CurrentTime 2026-06-01 ? -> no
        DateLessThan aws:CurrentTime 2026-06-01 ? aws:CurrentTime=yesterday -> no
        ",
    );
}

#[test]
fn truth_and_bytes() {
    check(
        "
        Bool aws:SecureTransport true  ? aws:SecureTransport=true  -> yes
        Bool aws:SecureTransport TRUE  ? aws:SecureTransport=true  -> yes
        Bool aws:SecureTransport true  ? aws:SecureTransport=false -> no
        Bool aws:SecureTransport false ? aws:SecureTransport=false -> yes
        Bool aws:SecureTransport false ? -> no
        BoolIfExists aws:SecureTransport false ? -> yes
        BinaryEquals k aGVsbG8= ? k=aGVsbG8= -> yes
        BinaryEquals k aGVsbG8= ? k=aGVsbG9v -> no
        BinaryEquals k aGVsbG8= ? -> no
        ",
    );
}

#[test]
fn addresses() {
    check(
        "
        IpAddress aws:SourceIp 203.0.113.0/24|2001:db8::/32 ? aws:SourceIp=203.0.113.9 -> yes
        IpAddress aws:SourceIp 203.0.113.0/24|2001:db8::/32 ? aws:SourceIp=2001:DB8::9 -> yes
        IpAddress aws:SourceIp 203.0.113.0/24 ? aws:SourceIp=203.0.114.9 -> no
        IpAddress aws:SourceIp 203.0.113.9 ? aws:SourceIp=203.0.113.9 -> yes
        IpAddress aws:SourceIp 203.0.113.0/24 ? -> no
        IpAddress aws:SourceIp 0.0.0.0/0 ? aws:SourceIp=rds.amazonaws.com -> no
        NotIpAddress aws:SourceIp 203.0.113.0/24 ? aws:SourceIp=203.0.113.9 -> no
        NotIpAddress aws:SourceIp 203.0.113.0/24 ? aws:SourceIp=198.51.100.1 -> yes
        NotIpAddress aws:SourceIp 203.0.113.0/24 ? -> yes
        ",
    );
}

#[test]
fn arns() {
    check(
        "
        ArnEquals aws:PrincipalArn arn:aws:iam::111122223333:role/* ? aws:PrincipalArn=arn:aws:iam::111122223333:role/a/b -> yes
        ArnLike aws:PrincipalArn arn:aws:iam::*:role/app ? aws:PrincipalArn=arn:aws:iam::111122223333:role/app -> yes
        ArnLike aws:PrincipalArn arn:aws:iam::*:app ? aws:PrincipalArn=arn:aws:iam::111122223333:role:app -> no
        ArnLike aws:PrincipalArn arn:*:role/app ? aws:PrincipalArn=arn:aws:iam::111122223333:role/app -> no
        ArnLike aws:PrincipalArn arn:aws:iam::111122223333:Role/* ? aws:PrincipalArn=arn:aws:iam::111122223333:role/app -> no
        ArnNotEquals aws:PrincipalArn arn:aws:iam::*:role/* ? aws:PrincipalArn=arn:aws:iam::111122223333:role/app -> no
        ArnNotLike aws:PrincipalArn arn:aws:iam::*:role/* ? aws:PrincipalArn=arn:aws:iam::111122223333:user/ann -> yes
        ArnNotLike aws:PrincipalArn arn:aws:iam::*:role/* ? -> yes
        ArnLike aws:PrincipalArn arn:aws:iam::*:role/* ? -> no
        ArnLikeIfExists aws:PrincipalArn arn:aws:iam::*:role/* ? -> yes
        ",
    );
}

#[test]
fn presence() {
    check(
        "
        Null k true  ? -> yes
        Null k true  ? k=a -> no
        Null k false ? -> no
        Null k false ? k=a -> yes
        Null k false ? k=[] -> no
        Null k true  ? k=[] -> yes
        StringEqualsIfExists k a ? -> yes
        StringEqualsIfExists k a ? k=a -> yes
        StringEqualsIfExists k a ? k=b -> no
        StringNotEqualsIfExists k a ? -> yes
        StringNotEqualsIfExists k a ? k=a -> no
        ",
    );
}

#[test]
fn many_values() {
    check(
        "
        ForAnyValue:StringEquals k a|b ? k=[a,z] -> yes
        ForAnyValue:StringEquals k a|b ? k=[y,z] -> no
        ForAnyValue:StringEquals k a|b ? k=[] -> no
        ForAnyValue:StringEquals k a|b ? -> no
        ForAnyValue:StringEquals k a|b ? k=a -> yes
        ForAllValues:StringEquals k a|b ? k=[a,b] -> yes
        ForAllValues:StringEquals k a|b ? k=[a,z] -> no
        ForAllValues:StringEquals k a|b ? k=[] -> yes
        ForAllValues:StringEquals k a|b ? -> yes
        ForAnyValue:StringNotEquals k a|b ? k=[a,z] -> yes
        ForAnyValue:StringNotEquals k a|b ? k=[a,b] -> no
        ForAnyValue:StringNotEquals k a|b ? -> no
        ForAllValues:StringNotEquals k a|b ? k=[y,z] -> yes
        ForAllValues:StringNotEquals k a|b ? k=[a,z] -> no
        ForAllValues:StringNotEquals k a|b ? -> yes
        ForAnyValue:StringLike k quietus:* ? k=[quietus:case,x] -> yes
        ForAllValues:StringLikeIfExists k quietus:* ? -> yes
        ForAnyValue:StringEqualsIfExists k a ? -> no
        ForAnyValue:StringEqualsIfExists k a ? k=[a] -> yes
        ForAllValues:NumericLessThan k 5 ? k=[1,2] -> yes
        ForAllValues:NumericLessThan k 5 ? k=[1,5] -> no
        ForAnyValue:ArnLike k arn:aws:s3:::b* ? k=[arn:aws:s3:::a,arn:aws:s3:::b] -> yes
        StringEquals k a ? k=[a,b] -> yes
        StringNotEquals k a ? k=[a,b] -> no
        ",
    );
}

#[test]
fn variables() {
    check(
        "
        StringEquals k ${aws:username} ? k=ann aws:username=ann -> yes
        StringEquals k ${aws:username} ? k=bob aws:username=ann -> no
        StringEquals k ${aws:username} ? k=ann -> no
        StringEquals k x|${aws:username} ? k=x -> yes
        StringEquals k ${aws:username,'ann'} ? k=ann -> yes
        StringEquals k ${aws:username,_'ann'} ? k=ann -> yes
        StringEquals k ${aws:username,'ann'} ? k=ann aws:username=bob -> no
        StringEquals k ${*} ? k=* -> yes
        StringLike k a${*} ? k=ab -> no
        StringLike k a${?}* ? k=a?c -> yes
        StringEquals k ${$}{x} ? k=${x} -> yes
        StringLike k ${aws:username}/* ? k=ann/x aws:username=ann -> yes
        StringLike k ${aws:username} ? k=ann aws:username=* -> no
        StringLike k ${aws:username} ? k=* aws:username=* -> yes
        ArnLike k arn:aws:iam::1:user/${aws:username} ? k=arn:aws:iam::1:user/ann aws:username=* -> no
        StringNotEquals k ${aws:username} ? k=ann aws:username=ann -> no
        StringNotEquals k ${aws:username} ? k=ann -> yes
        ",
    );
    assert!(!holds_in("2008-10-17", "StringEquals k ${aws:username}", "k=ann aws:username=ann"));
    assert!(holds_in("2008-10-17", "StringEquals k ${aws:username}", "k=${aws:username} aws:username=ann"));
}

#[test]
fn all_conditions_must_hold() {
    let policy = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
        "Condition": { "StringEquals": { "a": "1", "b": "2" }, "Bool": { "c": true }, "NumericEquals": { "d": 4 } },
    }});
    let policy = Document::parse(&policy.to_string()).unwrap();
    let caller = Caller::named("root");
    let principal = caller.principal();
    let ask = |context: &str| {
        let facts = facts(context.split_whitespace());
        let request = Request { principal: &principal, action: "kms:Decrypt", resource: KEY, context: &facts };
        authorize(&policy, home(), &[], &request).is_allowed()
    };
    assert!(ask("a=1 b=2 c=true d=4"));
    for short in ["b=2 c=true d=4", "a=1 b=3 c=true d=4", "a=1 b=2 c=false d=4", "a=1 b=2 c=true d=5"] {
        assert!(!ask(short), "{short}");
    }
}
