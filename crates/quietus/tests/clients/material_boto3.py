"""Imports and rotates key material with boto3 and `cryptography` against a running `quietus serve --dev --clock virtual`.

Usage: material_boto3.py ENDPOINT. Prints one line for each story that holds; any failure ends with a traceback and exit code 1.
"""

import datetime
import json
import os
import sys
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding

ENDPOINT = sys.argv[1]


def client(service):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


kms, cloudtrail = client("kms"), client("cloudtrail")


def refused(code, call, **kwargs):
    """The message of the error that `call` must raise with `code`."""
    try:
        call(**kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"expected {code}")


def advance(seconds=0):
    """Lets virtual time pass; returns when all that became due is done. What the clock shows then."""
    body = json.dumps({"advance_seconds": seconds}).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_quietus/clock", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return datetime.datetime.fromisoformat(json.load(answer)["now"].replace("Z", "+00:00"))


def days(number):
    return number * 86_400


def external(**members):
    return kms.create_key(Origin="EXTERNAL", **members)["KeyMetadata"]["Arn"]


def wrapped(parameters, algorithm, material):
    """`material` as the documentation says it is to be wrapped."""
    public = serialization.load_der_public_key(parameters["PublicKey"])
    digest = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()
    oaep = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
    if not algorithm.startswith("RSA_AES"):
        return public.encrypt(material, oaep)
    wrapping = os.urandom(32)
    return public.encrypt(wrapping, oaep) + keywrap.aes_key_wrap_with_padding(wrapping, material)


def imported(key, material, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048", **members):
    parameters = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)
    members.setdefault("ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    answer = kms.import_key_material(
        KeyId=key,
        ImportToken=parameters["ImportToken"],
        EncryptedKeyMaterial=wrapped(parameters, algorithm, material),
        **members,
    )
    assert answer["KeyId"] == key
    return answer.get("KeyMaterialId")


def metadata(key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]


def events(name, key):
    """When CloudTrail says that it happened to `key`, the earliest first."""
    found = cloudtrail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}])["Events"]
    told = [json.loads(event["CloudTrailEvent"]) for event in found]
    return sorted(event["eventTime"] for event in told if event["resources"][0]["ARN"] == key)


def spelt(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def material_comes_in_every_wrapping_under_every_wrapping_key():
    key, material = external(), os.urandom(32)
    ids, blob = set(), None
    for spec in ["RSA_2048", "RSA_3072", "RSA_4096"]:
        for algorithm in ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"]:
            ids.add(imported(key, material, algorithm, spec))
            blob = blob or kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
            assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
            assert kms.delete_imported_key_material(KeyId=key)["KeyMaterialId"] in ids
            assert metadata(key)["KeyState"] == "PendingImport"
            refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=blob)
    assert len(ids) == 1, "the same material has the same ID"
    assert ids == {metadata(key)["CurrentKeyMaterialId"]}
    try:
        imported(key, os.urandom(32))
    except kms.exceptions.IncorrectKeyMaterialException:
        return
    raise AssertionError("other material was taken")


def material_expires_at_its_time():
    key, material = external(), os.urandom(32)
    end = (advance() + datetime.timedelta(days=2)).replace(microsecond=0)
    imported(key, material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=end)
    assert metadata(key)["ValidTo"] == end and metadata(key)["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    advance(days(10))
    assert metadata(key)["KeyState"] == "PendingImport"
    assert events("DeleteExpiredKeyMaterial", key) == [spelt(end)]
    imported(key, material)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def a_token_is_good_for_a_day():
    key = external()
    parameters = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    request = {
        "KeyId": key,
        "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": wrapped(parameters, "RSAES_OAEP_SHA_256", os.urandom(32)),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
    refused("InvalidImportTokenException", kms.import_key_material, **{**request, "KeyId": external()})
    refused("InvalidCiphertextException", kms.import_key_material, **{**request, "EncryptedKeyMaterial": b"x" * 256})
    advance(days(1) + 1)
    refused("ExpiredImportTokenException", kms.import_key_material, **request)


def imported_material_is_rotated_on_demand():
    key = external()
    first = imported(key, os.urandom(32))
    old = kms.encrypt(KeyId=key, Plaintext=b"old")
    second = imported(key, os.urandom(32), ImportType="NEW_KEY_MATERIAL", KeyMaterialDescription="second")
    assert kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
    assert metadata(key)["CurrentKeyMaterialId"] == second
    assert kms.decrypt(CiphertextBlob=old["CiphertextBlob"])["KeyMaterialId"] == first
    pages = kms.get_paginator("list_key_rotations").paginate(
        KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL", PaginationConfig={"PageSize": 1}
    )
    listed = [entry for page in pages for entry in page["Rotations"]]
    assert [entry["KeyMaterialId"] for entry in listed] == [first, second]
    assert [entry["KeyMaterialState"] for entry in listed] == ["NON_CURRENT", "CURRENT"]
    assert listed[1]["RotationType"] == "ON_DEMAND" and listed[1]["KeyMaterialDescription"] == "second"
    refused("UnsupportedOperationException", kms.enable_key_rotation, KeyId=key)


def a_key_rotates_each_time_at_its_own_time():
    key = kms.create_key()["KeyMetadata"]["Arn"]
    blobs = [kms.encrypt(KeyId=key, Plaintext=b"0")]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    start = advance()
    status = kms.get_key_rotation_status(KeyId=key)
    assert status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 90
    assert abs(status["NextRotationDate"] - start - datetime.timedelta(days=90)) < datetime.timedelta(seconds=1)
    advance(days(80))
    kms.rotate_key_on_demand(KeyId=key)
    blobs.append(kms.encrypt(KeyId=key, Plaintext=b"1"))
    # LookupEvents looks back 90 days.
    for number, due in [(2, 90), (3, 180)]:
        advance(days(15 if due == 90 else 90))
        blobs.append(kms.encrypt(KeyId=key, Plaintext=str(number).encode()))
        assert events("RotateKey", key)[-1] == spelt(start + datetime.timedelta(days=due))
    rotations = kms.list_key_rotations(KeyId=key)["Rotations"]
    assert [entry["RotationType"] for entry in rotations] == ["ON_DEMAND", "AUTOMATIC", "AUTOMATIC"]
    for number, blob in enumerate(blobs):
        opened = kms.decrypt(CiphertextBlob=blob["CiphertextBlob"])
        assert opened["Plaintext"] == str(number).encode()
    kms.disable_key_rotation(KeyId=key)
    assert not kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]


def story(check):
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}")


story(material_comes_in_every_wrapping_under_every_wrapping_key)
story(material_expires_at_its_time)
story(a_token_is_good_for_a_day)
story(imported_material_is_rotated_on_demand)
story(a_key_rotates_each_time_at_its_own_time)
