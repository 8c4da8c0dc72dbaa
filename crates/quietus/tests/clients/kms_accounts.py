"""Drives a running `quietus serve --dev` with boto3 as two accounts: grants, and the use of a key across accounts.

Usage: kms_accounts.py ENDPOINT. The key `test`/`test` is account 000000000000's root user, `AKIABOB`/`bob` account
444455556666's, `AKIAANN`/`ann` the user ann of the first. Prints one line for each story that holds; any failure ends with a
traceback and exit code 1.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
HOME = "000000000000"
OTHER = "444455556666"
ANN = f"arn:aws:iam::{HOME}:user/ann"


def client(service, key, secret):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


ours, theirs, ann = client("kms", "test", "test"), client("kms", "AKIABOB", "bob"), client("kms", "AKIAANN", "ann")


def refused(code, call, *args, **kwargs):
    """The message of the error that `call` must raise with `code`; every client error is HTTP 400."""
    try:
        call(*args, **kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"expected {code}")


def records(key, secret, name):
    found = client("cloudtrail", key, secret).lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}]
    )
    return [json.loads(event["CloudTrailEvent"]) for event in found["Events"]]


def story(check):
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}")


def a_grant_opens_a_key_under_its_constraint():
    key = ours.create_key()["KeyMetadata"]["Arn"]
    refused("AccessDeniedException", ann.encrypt, KeyId=key, Plaintext=b"x")
    asked = {
        "KeyId": key,
        "GranteePrincipal": ANN,
        "RetiringPrincipal": ANN,
        "Operations": ["Encrypt", "Decrypt", "DescribeKey"],
        "Constraints": {"EncryptionContextSubset": {"app": "ledger"}},
        "Name": "ledger",
    }
    refused("DryRunOperationException", ours.create_grant, **asked, DryRun=True)
    made, again = ours.create_grant(**asked), ours.create_grant(**asked)
    assert made["GrantId"] == again["GrantId"] and made["GrantToken"] != again["GrantToken"]
    context = {"app": "ledger", "row": "7"}
    blob = ann.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context, GrantTokens=[made["GrantToken"]])
    opened = ann.decrypt(CiphertextBlob=blob["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"x"
    refused("AccessDeniedException", ann.encrypt, KeyId=key, Plaintext=b"x", EncryptionContext={"app": "other"})
    refused("InvalidGrantTokenException", ann.describe_key, KeyId=key, GrantTokens=["nonsense"])
    (listed,) = ours.list_grants(KeyId=key)["Grants"]
    assert listed["Constraints"] == asked["Constraints"] and listed["GranteePrincipal"] == ANN, listed
    assert [grant["GrantId"] for grant in ours.list_retirable_grants(RetiringPrincipal=ANN)["Grants"]] == [made["GrantId"]]
    ann.retire_grant(GrantToken=again["GrantToken"])
    refused("AccessDeniedException", ann.describe_key, KeyId=key)


def grants_are_listed_in_pages_and_revoked():
    key = ours.create_key()["KeyMetadata"]["Arn"]
    made = {
        ours.create_grant(KeyId=key, GranteePrincipal=f"{ANN}{n}", Operations=["Decrypt"])["GrantId"] for n in range(12)
    }
    pages = ours.get_paginator("list_grants").paginate(KeyId=key, PaginationConfig={"PageSize": 5})
    assert {grant["GrantId"] for page in pages for grant in page["Grants"]} == made
    for grant in made:
        ours.revoke_grant(KeyId=key, GrantId=grant)
    assert ours.list_grants(KeyId=key)["Grants"] == []
    refused("NotFoundException", ours.revoke_grant, KeyId=key, GrantId=made.pop())


def a_key_is_shared_with_another_account_and_both_hear_of_it():
    key = ours.create_key()["KeyMetadata"]["Arn"]
    hidden = refused("AccessDeniedException", theirs.generate_data_key, KeyId=key, KeySpec="AES_256")
    assert "because the resource does not exist in this Region" in hidden, hidden
    policy = json.loads(ours.get_key_policy(KeyId=key)["Policy"])
    policy["Statement"].append({
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"},
        "Action": ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"],
        "Resource": "*",
    })
    ours.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    ours.create_alias(AliasName="alias/shared", TargetKeyId=key)
    alias = f"arn:aws:kms:eu-west-1:{HOME}:alias/shared"
    assert theirs.describe_key(KeyId=alias)["KeyMetadata"]["AWSAccountId"] == HOME
    data_key = theirs.generate_data_key(KeyId=alias, KeySpec="AES_256")
    opened = theirs.decrypt(CiphertextBlob=data_key["CiphertextBlob"], KeyId=key)
    assert opened["Plaintext"] == data_key["Plaintext"] and opened["KeyId"] == key
    refused("AccessDeniedException", theirs.disable_key, KeyId=key)

    (here,) = records("test", "test", "GenerateDataKey")
    there, denied = records("AKIABOB", "bob", "GenerateDataKey")
    if "errorCode" in there:
        there, denied = denied, there
    assert here["sharedEventID"] == there["sharedEventID"] and here["eventID"] != there["eventID"]
    assert (here["recipientAccountId"], there["recipientAccountId"]) == (HOME, OTHER)
    assert here["userIdentity"]["type"] == "AWSAccount" and here["userIdentity"]["accountId"] == OTHER
    assert denied["errorCode"] == "AccessDenied" and "sharedEventID" not in denied
    assert records("test", "test", "DisableKey") == []


for check in [
    a_grant_opens_a_key_under_its_constraint,
    grants_are_listed_in_pages_and_revoked,
    a_key_is_shared_with_another_account_and_both_hear_of_it,
]:
    story(check)
