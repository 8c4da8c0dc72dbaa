"""Drives a running `quietus serve --dev` with boto3 through SM2 in a China Region, with `openssl` on the other side.

Usage: sm2_openssl.py ENDPOINT OPENSSL FOLDER. Prints one line for each story that holds; any failure ends with a traceback and
exit code 1.
"""

import pathlib
import subprocess
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, OPENSSL, FOLDER = sys.argv[1:]
MESSAGE = b"a message between two implementations"
# The name that is hashed with every message; openssl has none of its own.
IDENTIFIED = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678"]

kms = boto3.client(
    "kms",
    endpoint_url=ENDPOINT,
    region_name="cn-north-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(retries={"total_max_attempts": 1}, read_timeout=300),
)


def file(name, content):
    path = pathlib.Path(FOLDER, name)
    path.write_bytes(content)
    return str(path)


def openssl(*arguments):
    return subprocess.run([OPENSSL, *arguments], check=True, capture_output=True, timeout=60).stdout


def own_key():
    """A key pair of openssl's, PKCS #8 DER, and the file that it is in."""
    pem = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2")
    der = openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", file("own.pem", pem))
    return der, file("own.der", der)


def encrypt(public, plaintext):
    """Encrypts as openssl does under a SubjectPublicKeyInfo."""
    key = ["-pubin", "-keyform", "DER", "-inkey", file("public.der", public)]
    return openssl("pkeyutl", "-encrypt", *key, "-in", file("plaintext", plaintext))


def imported(private, usage):
    """A KMS key whose material openssl made, and wrapped under SM2."""
    key = kms.create_key(KeySpec="SM2", KeyUsage=usage, Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    wrapping = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm="SM2PKE", WrappingKeySpec="SM2")
    kms.import_key_material(
        KeyId=key,
        ImportToken=wrapping["ImportToken"],
        EncryptedKeyMaterial=encrypt(wrapping["PublicKey"], private),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    return key


def signatures_verify_on_either_side():
    private, path = own_key()
    key = imported(private, "SIGN_VERIFY")
    request = dict(KeyId=key, Message=MESSAGE, SigningAlgorithm="SM2DSA")
    message = file("message", MESSAGE)
    theirs = openssl("pkeyutl", "-sign", "-keyform", "DER", "-inkey", path, *IDENTIFIED, "-in", message)
    assert kms.verify(Signature=theirs, **request)["SignatureValid"]
    ours = file("signature", kms.sign(**request)["Signature"])
    public = file("public.der", kms.get_public_key(KeyId=key)["PublicKey"])
    verify = ["-verify", "-pubin", "-keyform", "DER", "-inkey", public, "-sigfile", ours]
    openssl("pkeyutl", *verify, *IDENTIFIED, "-in", message)
    try:
        kms.verify(Signature=theirs, **{**request, "Message": MESSAGE + b"."})
    except ClientError as error:
        assert error.response["Error"]["Code"] == "KMSInvalidSignatureException", error
    else:
        raise AssertionError("a signature of another message")


def what_one_side_encrypts_the_other_opens():
    private, path = own_key()
    key = imported(private, "ENCRYPT_DECRYPT")
    request = dict(KeyId=key, EncryptionAlgorithm="SM2PKE")
    theirs = encrypt(kms.get_public_key(KeyId=key)["PublicKey"], MESSAGE)
    assert kms.decrypt(CiphertextBlob=theirs, **request)["Plaintext"] == MESSAGE
    ours = file("ciphertext", kms.encrypt(Plaintext=MESSAGE, **request)["CiphertextBlob"])
    assert openssl("pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", path, "-in", ours) == MESSAGE


def both_agree_on_a_secret():
    private, path = own_key()
    key = kms.create_key(KeySpec="SM2", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["Arn"]
    own = openssl("pkey", "-inform", "DER", "-in", path, "-pubout", "-outform", "DER")
    answer = kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=own)
    peer = imported(private, "KEY_AGREEMENT")
    other = kms.get_public_key(KeyId=key)["PublicKey"]
    again = kms.derive_shared_secret(KeyId=peer, KeyAgreementAlgorithm="ECDH", PublicKey=other)
    assert answer["SharedSecret"] == again["SharedSecret"] and len(again["SharedSecret"]) == 32


for check in [signatures_verify_on_either_side, what_one_side_encrypts_the_other_opens, both_agree_on_a_secret]:
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}", flush=True)
