"""Drives a running `quietus serve --dev` with boto3 through every key spec and algorithm, and checks each answer with Python's
`cryptography`, an implementation that has nothing in common with the server's.

Usage: kms_algorithms.py ENDPOINT. Prints one line for each story that holds; any failure ends with a traceback and exit code 1.
"""

import concurrent.futures
import hashlib
import hmac
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, utils

ENDPOINT = sys.argv[1]
MESSAGE = b"a message that is signed in many ways"
CURVES = {"ECC_NIST_P256": ec.SECP256R1, "ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1, "ECC_SECG_P256K1": ec.SECP256K1}
RSA_BITS = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512, "1": hashes.SHA1}
LATTICE = {"ML_DSA_44": mldsa.MLDSA44PublicKey, "ML_DSA_65": mldsa.MLDSA65PublicKey, "ML_DSA_87": mldsa.MLDSA87PublicKey}

kms = boto3.client(
    "kms",
    endpoint_url=ENDPOINT,
    region_name="eu-west-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(retries={"total_max_attempts": 1}, read_timeout=300, max_pool_connections=32),
)


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"expected {code}")


def story(check):
    check()
    print(f"ok  {check.__name__.replace('_', ' ')}", flush=True)


def make(spec, usage):
    key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    assert key["KeySpec"] == spec and key["KeyUsage"] == usage and key["KeyState"] == "Enabled", key
    return key


def public_key(key):
    """What GetPublicKey hands out, read by `cryptography`."""
    answer = kms.get_public_key(KeyId=key["Arn"])
    assert answer["KeyId"] == key["Arn"] and answer["KeySpec"] == key["KeySpec"], answer
    for member in ("EncryptionAlgorithms", "SigningAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms"):
        assert answer.get(member) == key.get(member), (member, answer)
    return serialization.load_der_public_key(answer["PublicKey"])


def hash_of(algorithm):
    return HASHES[algorithm.rsplit("_", 1)[1]]()


def digest(algorithm, message):
    hasher = hashes.Hash(hash_of(algorithm))
    hasher.update(message)
    return hasher.finalize()


def sign(key, algorithm, message, kind="RAW"):
    answer = kms.sign(KeyId=key["Arn"], Message=message, MessageType=kind, SigningAlgorithm=algorithm)
    assert answer["KeyId"] == key["Arn"] and answer["SigningAlgorithm"] == algorithm, answer
    return answer["Signature"]


def verifies(key, algorithm, message, signature, kind="RAW"):
    """Whether the server agrees; it says no by an error."""
    request = dict(KeyId=key["Arn"], Message=message, MessageType=kind, SigningAlgorithm=algorithm)
    assert kms.verify(Signature=signature, **request)["SignatureValid"] is True
    broken = bytearray(signature)
    broken[len(broken) // 2] ^= 1
    refused("KMSInvalidSignatureException", kms.verify, Signature=bytes(broken), **request)


def rsa_signatures_verify_outside():
    for spec, bits in RSA_BITS.items():
        key = make(spec, "SIGN_VERIFY")
        public = public_key(key)
        assert public.key_size == bits and public.public_numbers().e == 65537
        for algorithm in key["SigningAlgorithms"]:
            used = hash_of(algorithm)
            if "_PSS_" in algorithm:
                scheme = padding.PSS(padding.MGF1(used), used.digest_size)
            else:
                scheme = padding.PKCS1v15()
            for kind, message in [("RAW", MESSAGE), ("DIGEST", digest(algorithm, MESSAGE))]:
                signature = sign(key, algorithm, message, kind)
                assert len(signature) == bits // 8
                public.verify(signature, MESSAGE, scheme, used)
                verifies(key, algorithm, message, signature, kind)
        assert len(key["SigningAlgorithms"]) == 6


def elliptic_signatures_verify_outside():
    for spec, curve in CURVES.items():
        key = make(spec, "SIGN_VERIFY")
        public = public_key(key)
        assert isinstance(public.curve, curve)
        [algorithm] = key["SigningAlgorithms"]
        for kind, message in [("RAW", MESSAGE), ("DIGEST", digest(algorithm, MESSAGE))]:
            signature = sign(key, algorithm, message, kind)
            public.verify(signature, MESSAGE, ec.ECDSA(hash_of(algorithm)))
            verifies(key, algorithm, message, signature, kind)
        try:
            public.verify(signature, b"another message", ec.ECDSA(hash_of(algorithm)))
            raise AssertionError("a signature of one message verified for another")
        except InvalidSignature:
            pass


def edwards_signatures_verify_outside():
    key = make("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
    public = public_key(key)
    assert isinstance(public, ed25519.Ed25519PublicKey)
    signature = sign(key, "ED25519_SHA_512", MESSAGE)
    public.verify(signature, MESSAGE)
    verifies(key, "ED25519_SHA_512", MESSAGE, signature)
    given = hashlib.sha512(MESSAGE).digest()
    signature = sign(key, "ED25519_PH_SHA_512", given, "DIGEST")
    assert ed25519ph_verifies(public.public_bytes_raw(), given, signature)
    assert not ed25519ph_verifies(public.public_bytes_raw(), MESSAGE, signature)
    verifies(key, "ED25519_PH_SHA_512", given, signature, "DIGEST")


def ed25519ph_verifies(public, message, signature):
    """Ed25519ph with an empty context (RFC 8032, 5.1.7), in whole numbers: `cryptography` does not have it."""
    p, order = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    d, root = -121665 * pow(121666, -1, p) % p, pow(2, (p - 1) // 4, p)

    def point(encoded):
        number = int.from_bytes(encoded, "little")
        y, sign = number % 2**255, number >> 255
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        if (x * x - square) % p:
            x = x * root % p
        assert (x * x - square) % p == 0, "no point of the curve"
        return (p - x if x % 2 != sign else x), y

    def add(one, other):
        (a, b), (e, f) = one, other
        product = d * a * e * b * f % p
        x = (a * f + e * b) * pow(1 + product, -1, p)
        return x % p, (b * f + a * e) * pow(1 - product, -1, p) % p

    def times(number, base):
        result = (0, 1)
        while number:
            if number & 1:
                result = add(result, base)
            base, number = add(base, base), number >> 1
        return result

    y = 4 * pow(5, -1, p) % p
    base = point(y.to_bytes(32, "little"))
    prefix = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
    challenge = hashlib.sha512(prefix + signature[:32] + public + hashlib.sha512(message).digest()).digest()
    left = times(int.from_bytes(signature[32:], "little"), base)
    right = add(point(signature[:32]), times(int.from_bytes(challenge, "little") % order, point(public)))
    return left == right


def lattice_signatures_verify_outside():
    for spec, kind_of_key in LATTICE.items():
        key = make(spec, "SIGN_VERIFY")
        public = public_key(key)
        assert isinstance(public, kind_of_key), public
        signature = sign(key, "ML_DSA_SHAKE_256", MESSAGE)
        public.verify(signature, MESSAGE)
        verifies(key, "ML_DSA_SHAKE_256", MESSAGE, signature)
        # The representative of a message with an empty context (FIPS 204, algorithm 7): made outside, signed inside.
        tr = hashlib.shake_256(public.public_bytes_raw()).digest(64)
        mu = hashlib.shake_256(tr + b"\x00\x00" + MESSAGE).digest(64)
        signature = sign(key, "ML_DSA_SHAKE_256", mu, "EXTERNAL_MU")
        public.verify(signature, MESSAGE)
        verifies(key, "ML_DSA_SHAKE_256", mu, signature, "EXTERNAL_MU")
        verifies(key, "ML_DSA_SHAKE_256", MESSAGE, signature)


def codes_are_those_of_anybody_who_has_the_key():
    # Nobody has the key: what can be seen is their length, and that they check.
    for bits in ("224", "256", "384", "512"):
        key = make(f"HMAC_{bits}", "GENERATE_VERIFY_MAC")
        assert key["MacAlgorithms"] == [f"HMAC_SHA_{bits}"]
        request = dict(KeyId=key["Arn"], Message=MESSAGE, MacAlgorithm=f"HMAC_SHA_{bits}")
        code = kms.generate_mac(**request)["Mac"]
        assert len(code) == int(bits) // 8 and code == kms.generate_mac(**request)["Mac"]
        assert kms.verify_mac(Mac=code, **request)["MacValid"] is True
        assert code != hmac.new(b"", MESSAGE, f"sha{bits}").digest()
        refused("KMSInvalidMacException", kms.verify_mac, Mac=code[:-1] + bytes([code[-1] ^ 1]), **request)


def what_is_encrypted_outside_opens_inside():
    for spec in RSA_BITS:
        key = make(spec, "ENCRYPT_DECRYPT")
        public = public_key(key)
        for algorithm in key["EncryptionAlgorithms"]:
            used = hash_of(algorithm)
            scheme = padding.OAEP(padding.MGF1(used), used, None)
            most = public.key_size // 8 - 2 * used.digest_size - 2
            for plaintext in (b"x", os.urandom(most)):
                request = dict(KeyId=key["Arn"], EncryptionAlgorithm=algorithm)
                opened = kms.decrypt(CiphertextBlob=public.encrypt(plaintext, scheme), **request)
                assert opened["Plaintext"] == plaintext and "KeyMaterialId" not in opened
                sealed = kms.encrypt(Plaintext=plaintext, **request)["CiphertextBlob"]
                assert len(sealed) == public.key_size // 8
                assert kms.decrypt(CiphertextBlob=sealed, **request)["Plaintext"] == plaintext
            refused("ValidationException", kms.encrypt, Plaintext=bytes(most + 1), **request)
            refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=os.urandom(len(sealed)), **request)


def secrets_are_agreed_with_keys_outside():
    for spec in ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"):
        key = make(spec, "KEY_AGREEMENT")
        public = public_key(key)
        outside = ec.generate_private_key(CURVES[spec]())
        encoded = outside.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        answer = kms.derive_shared_secret(KeyId=key["Arn"], KeyAgreementAlgorithm="ECDH", PublicKey=encoded)
        assert answer["SharedSecret"] == outside.exchange(ec.ECDH(), public)
        assert answer["KeyOrigin"] == "AWS_KMS"
        other = ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        request = dict(KeyId=key["Arn"], KeyAgreementAlgorithm="ECDH")
        refused("ValidationException", kms.derive_shared_secret, PublicKey=other, **request)


def secrets_are_encapsulated_on_either_side():
    for spec, kind_of_key, length in [
        ("ML_KEM_512", None, 768),
        ("ML_KEM_768", mlkem.MLKEM768PublicKey, 1088),
        ("ML_KEM_1024", mlkem.MLKEM1024PublicKey, 1568),
    ]:
        key = make(spec, "ENCAPSULATE_DECAPSULATE")
        request = dict(KeyId=key["Arn"], EncapsulationAlgorithm="ML_KEM")
        made = kms.encapsulate(**request)
        ciphertext = made["SharedSecretCiphertextBlob"]
        assert len(made["SharedSecret"]) == 32 and len(ciphertext) == length
        opened = kms.decapsulate(SharedSecretCiphertextBlob=ciphertext, **request)
        assert opened["SharedSecret"] == made["SharedSecret"]
        refused("InvalidCiphertextException", kms.decapsulate, SharedSecretCiphertextBlob=ciphertext[1:], **request)
        # `cryptography` has no ML-KEM-512.
        if kind_of_key:
            public = public_key(key)
            assert isinstance(public, kind_of_key), public
            secret, ciphertext = public.encapsulate()
            opened = kms.decapsulate(SharedSecretCiphertextBlob=ciphertext, **request)
            assert opened["SharedSecret"] == secret


def data_key_pairs_are_what_they_say():
    key = make("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    context = {"purpose": "test"}
    lattices = ["ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"]
    for spec in [*RSA_BITS, *CURVES, "ECC_NIST_EDWARDS25519", *lattices]:
        request = dict(KeyId=key["Arn"], KeyPairSpec=spec, EncryptionContext=context)
        pair = kms.generate_data_key_pair(**request)
        sealed = dict(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=context)
        assert kms.decrypt(**sealed)["Plaintext"] == pair["PrivateKeyPlaintext"]
        silent = kms.generate_data_key_pair_without_plaintext(**request)
        assert "PrivateKeyPlaintext" not in silent and silent["KeyPairSpec"] == spec
        if spec == "ML_KEM_512":
            continue
        private = serialization.load_der_private_key(pair["PrivateKeyPlaintext"], None)
        assert private.public_key() == serialization.load_der_public_key(pair["PublicKey"]), spec
        if spec in RSA_BITS:
            assert isinstance(private, rsa.RSAPrivateKey) and private.key_size == RSA_BITS[spec]
        elif spec in CURVES:
            assert isinstance(private.curve, CURVES[spec])
            algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            signature = private.sign(bytes(32), algorithm)
            serialization.load_der_public_key(pair["PublicKey"]).verify(signature, bytes(32), algorithm)
        elif spec == "ECC_NIST_EDWARDS25519":
            assert isinstance(private, ed25519.Ed25519PrivateKey)
        else:
            secret, ciphertext = serialization.load_der_public_key(pair["PublicKey"]).encapsulate()
            assert private.decapsulate(ciphertext) == secret


def others_go_on_while_key_pairs_are_made():
    key = make("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")["Arn"]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        slow = [pool.submit(kms.generate_data_key_pair, KeyId=key, KeyPairSpec="RSA_2048") for _ in range(8)]
        fast = [pool.submit(kms.generate_data_key, KeyId=key, KeySpec="AES_256") for _ in range(100)]
        publics = {answer.result()["PublicKey"] for answer in slow}
        plaintexts = {answer.result()["Plaintext"] for answer in fast}
    assert len(publics) == 8 and len(plaintexts) == 100


for check in [
    rsa_signatures_verify_outside,
    elliptic_signatures_verify_outside,
    edwards_signatures_verify_outside,
    lattice_signatures_verify_outside,
    codes_are_those_of_anybody_who_has_the_key,
    what_is_encrypted_outside_opens_inside,
    secrets_are_agreed_with_keys_outside,
    secrets_are_encapsulated_on_either_side,
    data_key_pairs_are_what_they_say,
    others_go_on_while_key_pairs_are_made,
]:
    story(check)
