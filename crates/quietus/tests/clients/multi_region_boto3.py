"""Lives a multi-Region family with boto3 against a running `quietus serve --dev --clock virtual`.

Usage: multi_region_boto3.py ENDPOINT. Prints one line for each story that holds; any failure ends with a traceback and exit code 1.
"""

import json
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1]
HOME, AWAY = "us-east-1", "eu-central-1"


def client(service, region):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


home, away = client("kms", HOME), client("kms", AWAY)


def refused(code, call, **kwargs):
    """The message of the error that `call` must raise with `code`."""
    try:
        call(**kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"expected {code}")


def advance(seconds):
    """Lets virtual time pass; returns when all that became due is done."""
    body = json.dumps({"advance_seconds": seconds}).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_quietus/clock", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def enabled(kms, key):
    """Polls as programs do, while virtual time goes by."""
    for _ in range(60):
        if state(kms, key) == "Enabled":
            return
        advance(1)
    raise AssertionError(f"{key} never became Enabled")


def days(number):
    return number * 86_400


def story(check):
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}")


KEY = home.create_key(MultiRegion=True, Description="a family")["KeyMetadata"]["KeyId"]


def a_replica_opens_what_its_primary_sealed():
    assert KEY.startswith("mrk-"), KEY
    sealed = home.encrypt(KeyId=KEY, Plaintext=b"ledger")["CiphertextBlob"]
    made = home.replicate_key(KeyId=KEY, ReplicaRegion=AWAY, Description="away")
    metadata = made["ReplicaKeyMetadata"]
    assert metadata["KeyState"] == "Creating" and metadata["KeyId"] == KEY, metadata
    assert metadata["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA", metadata
    assert made["ReplicaTags"] == [] and "kms:*" in made["ReplicaPolicy"], made
    assert refused("KMSInvalidStateException", away.decrypt, CiphertextBlob=sealed).endswith(" is creating.")
    enabled(away, KEY)
    assert away.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"ledger"
    back = away.encrypt(KeyId=KEY, Plaintext=b"back")["CiphertextBlob"]
    assert home.decrypt(CiphertextBlob=back)["Plaintext"] == b"back"
    refused("AlreadyExistsException", home.replicate_key, KeyId=KEY, ReplicaRegion=AWAY)
    message = refused("UnsupportedOperationException", away.replicate_key, KeyId=KEY, ReplicaRegion="sa-east-1")
    assert message.endswith(" is not a multi-region primary key."), message


def the_primary_moves():
    home.update_primary_region(KeyId=KEY, PrimaryRegion=AWAY)
    assert (state(home, KEY), state(away, KEY)) == ("Updating", "Updating")
    enabled(home, KEY)
    enabled(away, KEY)
    for kms, kind in [(home, "REPLICA"), (away, "PRIMARY")]:
        family = kms.describe_key(KeyId=KEY)["KeyMetadata"]["MultiRegionConfiguration"]
        assert family["MultiRegionKeyType"] == kind, family
        assert family["PrimaryKey"]["Region"] == AWAY and [key["Region"] for key in family["ReplicaKeys"]] == [HOME]
    names = {
        region: [event["EventName"] for event in client("cloudtrail", region).lookup_events()["Events"]]
        for region in (HOME, AWAY)
    }
    assert "ReplicateKey" in names[HOME] and "UpdatePrimaryRegion" in names[HOME], names
    assert {"CreateKey", "SynchronizeMultiRegionKey", "UpdatePrimaryRegion"} <= set(names[AWAY]), names


def the_primary_dies_after_its_replica():
    scheduled = away.schedule_key_deletion(KeyId=KEY, PendingWindowInDays=8)
    assert scheduled["KeyState"] == "PendingReplicaDeletion" and "DeletionDate" not in scheduled, scheduled
    advance(days(40))
    assert state(away, KEY) == "PendingReplicaDeletion"
    assert away.describe_key(KeyId=KEY)["KeyMetadata"]["PendingDeletionWindowInDays"] == 8
    home.schedule_key_deletion(KeyId=KEY, PendingWindowInDays=7)
    advance(days(7))
    refused("NotFoundException", home.describe_key, KeyId=KEY)
    assert state(away, KEY) == "PendingDeletion"
    advance(days(8) - 1)
    assert state(away, KEY) == "PendingDeletion"
    advance(1)
    refused("NotFoundException", away.describe_key, KeyId=KEY)


for check in [a_replica_opens_what_its_primary_sealed, the_primary_moves, the_primary_dies_after_its_replica]:
    story(check)
