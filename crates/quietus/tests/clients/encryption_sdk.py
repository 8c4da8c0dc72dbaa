"""The AWS Encryption SDK for Python with KMS keyrings, against a running `quietus serve`.

Usage: encryption_sdk.py ENDPOINT FOLDER seal|open. `seal` makes two keys in two Regions and leaves a message in the folder; `open` opens the
message that the one for JavaScript left there, while its keys are taken away and come back. Prints one line for each step that holds.
"""

import json
import pathlib
import sys

import aws_encryption_sdk
import boto3
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import CreateAwsKmsKeyringInput, CreateMultiKeyringInput
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from botocore.config import Config

ENDPOINT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
CONTEXT = {"app": "ledger"}
PLAINTEXT = "secret " * 1000

sdk = aws_encryption_sdk.EncryptionSDKClient()
mpl = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def client(region):
    return boto3.client(
        "kms",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


def region_of(key):
    return key.split(":")[3]


def keyring(*keys):
    """Keyrings of KMS keys: the first makes data keys, each opens them."""
    rings = [
        mpl.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=key, kms_client=client(region_of(key)))) for key in keys
    ]
    return mpl.create_multi_keyring(CreateMultiKeyringInput(generator=rings[0], child_keyrings=rings[1:]))


def seal():
    keys = [client(region).create_key()["KeyMetadata"]["Arn"] for region in ("eu-west-1", "us-east-1")]
    message, _ = sdk.encrypt(source=PLAINTEXT.encode(), keyring=keyring(*keys), encryption_context=CONTEXT)
    (FOLDER / "python.message").write_bytes(message)
    (FOLDER / "told.json").write_text(json.dumps({"keys": keys, "context": CONTEXT, "plaintext": PLAINTEXT}))
    print("ok  Python seals")


def opened(*keys):
    message = (FOLDER / "javascript.message").read_bytes()
    plaintext, header = sdk.decrypt(source=message, keyring=keyring(*keys), encryption_context=CONTEXT)
    assert plaintext.decode() == PLAINTEXT
    assert CONTEXT.items() <= header.encryption_context.items(), header.encryption_context


def open_():
    first, second = json.loads((FOLDER / "told.json").read_text())["keys"]
    opened(first, second)
    print("ok  Python opens what JavaScript sealed")
    client(region_of(first)).schedule_key_deletion(KeyId=first)
    opened(first, second)
    print("ok  the second key opens it while the first is pending deletion")
    client(region_of(second)).disable_key(KeyId=second)
    try:
        opened(first, second)
    except AWSEncryptionSDKClientError as error:
        # What each keyring was told is in the list that it gives.
        assert f"{first} is pending deletion." in repr(error) and f"{second} is disabled." in repr(error), repr(error)
        print("ok  without a key that is Enabled it stays closed")
    else:
        raise AssertionError("it opened without a key")
    client(region_of(first)).cancel_key_deletion(KeyId=first)
    client(region_of(first)).enable_key(KeyId=first)
    opened(first)
    print("ok  a key that is back opens it again")


{"seal": seal, "open": open_}[sys.argv[3]]()
