"""Drives a running `quietus serve --dev --clock virtual` with boto3, as any program of AWS's users would.

Usage: kms_boto3.py ENDPOINT. Prints one line for each story that holds; any failure ends with a traceback and exit code 1.
"""

import datetime
import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
ACCOUNT = "000000000000"
REGION = "eu-west-1"


def client(service, region=REGION, key="test", secret="test"):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


kms = client("kms")


def refused(code, call, *args, **kwargs):
    """The message of the error that `call` must raise with `code`; every client error is HTTP 400."""
    try:
        call(*args, **kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"expected {code}")


def advance(days):
    """Lets virtual time pass; returns when all that became due is done."""
    body = json.dumps({"advance_seconds": int(days * 86400)}).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_quietus/clock", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def story(check):
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}")


def who_i_am():
    identity = client("sts").get_caller_identity()
    assert identity["Account"] == ACCOUNT and identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:root", identity


def a_wrong_secret_is_refused():
    message = refused("InvalidSignatureException", client("kms", secret="wrong").list_keys)
    assert message.startswith("The request signature we calculated does not match"), message
    refused("UnrecognizedClientException", client("kms", key="AKIAUNKNOWN").list_keys)


def what_is_encrypted_opens():
    key = kms.create_key(Description="boto3", Tags=[{"TagKey": "team", "TagValue": "a"}])["KeyMetadata"]
    assert isinstance(key["CreationDate"], datetime.datetime)
    context = {"app": "ledger"}
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"\x00secret\xff", EncryptionContext=context)
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"\x00secret\xff" and opened["KeyId"] == key["Arn"]
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"])
    data_key = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    assert len(data_key["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
    silent = kms.generate_data_key_without_plaintext(KeyId=key["Arn"], NumberOfBytes=7)
    assert "Plaintext" not in silent
    moved = kms.re_encrypt(CiphertextBlob=silent["CiphertextBlob"], DestinationKeyId=key["Arn"])
    assert len(kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"]) == 7
    assert len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024
    usage = kms.get_key_last_usage(KeyId=key["Arn"])
    assert usage["KeyLastUsage"]["Operation"] == "Decrypt", usage


def keys_aliases_and_tags_are_listed_in_pages():
    region = client("kms", "ap-southeast-2")
    made = sorted(region.create_key()["KeyMetadata"]["KeyId"] for _ in range(12))
    pages = region.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 5})
    assert [key["KeyId"] for page in pages for key in page["Keys"]] == made
    for n, key in enumerate(made):
        region.create_alias(AliasName=f"alias/n{n:02}", TargetKeyId=key)
    pages = region.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 5})
    assert [(alias["AliasName"], alias["TargetKeyId"]) for page in pages for alias in page["Aliases"]] == [
        (f"alias/n{n:02}", key) for n, key in enumerate(made)
    ]
    region.tag_resource(KeyId=made[0], Tags=[{"TagKey": f"k{n:02}", "TagValue": str(n)} for n in range(9)])
    pages = region.get_paginator("list_resource_tags").paginate(KeyId=made[0], PaginationConfig={"PageSize": 4})
    assert [tag["TagValue"] for page in pages for tag in page["Tags"]] == [str(n) for n in range(9)]
    region.untag_resource(KeyId=made[0], TagKeys=["k00"])
    region.update_alias(AliasName="alias/n00", TargetKeyId=made[1])
    assert region.describe_key(KeyId="alias/n00")["KeyMetadata"]["KeyId"] == made[1]
    region.delete_alias(AliasName="alias/n00")
    refused("NotFoundException", region.describe_key, KeyId="alias/n00")
    assert region.list_grants(KeyId=made[0])["Grants"] == []


def a_policy_is_kept_and_enforced():
    key = kms.create_key()["KeyMetadata"]["Arn"]
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    policy["Statement"].append({
        "Sid": "long windows only",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:ScheduleKeyDeletion",
        "Resource": "*",
        "Condition": {"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "21"}},
    })
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"]) == policy
    message = refused("AccessDeniedException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=20)
    assert message.endswith("with an explicit deny in a resource-based policy"), message
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=21)
    refused("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key, Policy="{}")


def a_key_is_disabled_scheduled_cancelled_and_deleted():
    key = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    assert refused("DisabledException", kms.decrypt, CiphertextBlob=blob) == f"{key} is disabled."
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    before = kms.describe_key(KeyId=key)["KeyMetadata"]["CreationDate"]
    scheduled = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert scheduled["KeyId"] == key and scheduled["KeyState"] == "PendingDeletion"
    assert scheduled["DeletionDate"] - before >= datetime.timedelta(days=7)
    assert refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=blob) == f"{key} is pending deletion."
    refused("KMSInvalidStateException", kms.schedule_key_deletion, KeyId=key)
    advance(6)
    assert kms.cancel_key_deletion(KeyId=key)["KeyId"] == key
    advance(30)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.schedule_key_deletion(KeyId=key)
    advance(30)
    refused("NotFoundException", kms.describe_key, KeyId=key)
    refused("AccessDeniedException", kms.decrypt, CiphertextBlob=blob)
    events = client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": key}], MaxResults=50
    )["Events"]
    names = [event["EventName"] for event in events]
    assert names.count("DeleteKey") == 1 and names.count("ScheduleKeyDeletion") == 3, names
    failed = [json.loads(event["CloudTrailEvent"]) for event in events if event["EventName"] == "Decrypt"]
    assert any(event.get("errorMessage") == f"{key} is pending deletion." for event in failed), failed


def events_come_newest_first_in_pages():
    trail = client("cloudtrail", "sa-east-1")
    quiet = client("kms", "sa-east-1")
    for _ in range(60):
        quiet.generate_random(NumberOfBytes=1)
    query = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "GenerateRandom"}]}
    pages = list(trail.get_paginator("lookup_events").paginate(**query))
    events = [event for page in pages for event in page["Events"]]
    assert len(events) == 60 and len({event["EventId"] for event in events}) == 60, len(events)
    assert len(pages[0]["Events"]) == 50
    times = [event["EventTime"] for event in events]
    assert times == sorted(times, reverse=True)
    refused("InvalidLookupAttributesException", trail.lookup_events, LookupAttributes=query["LookupAttributes"] * 2)


def wrong_input_is_named():
    message = refused("ValidationException", kms.encrypt, KeyId="", Plaintext=b"")
    assert message.startswith("2 validation errors detected: "), message
    assert "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1" in message
    assert refused("NotFoundException", kms.describe_key, KeyId="fake-key-id") == "Invalid keyId 'fake-key-id'"
    missing = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert refused("NotFoundException", kms.describe_key, KeyId=missing.split("/")[1]) == f"Key '{missing}' does not exist"
    refused("UnknownOperationException", client("cloudtrail").list_public_keys)


for check in [
    who_i_am,
    a_wrong_secret_is_refused,
    what_is_encrypted_opens,
    keys_aliases_and_tags_are_listed_in_pages,
    a_policy_is_kept_and_enforced,
    a_key_is_disabled_scheduled_cancelled_and_deleted,
    events_come_newest_first_in_pages,
    wrong_input_is_named,
]:
    story(check)
