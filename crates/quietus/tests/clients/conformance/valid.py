"""A valid request for each operation, the least and the most that it may say, and the keys that it needs.

An operation's entry prepares what must be there before (a ciphertext, a grant, an alias) with a key that is Enabled, so that a key can be
put into another state afterwards. What an operation takes only beside custom key stores or an attestation document is not in its most.
"""

import base64
import hashlib
import json
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from server import ACCOUNT, REGION, Server

# Kinds of keys: what CreateKey is asked.
KINDS = {
    "symmetric": {},
    "external": {"Origin": "EXTERNAL"},
    "family": {"MultiRegion": True},
    "signing": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
    "mac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    "agreement": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"},
    "encapsulating": {"KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE"},
}
KIND_OF = {
    "Decapsulate": "encapsulating",
    "DeleteImportedKeyMaterial": "external",
    "DeriveSharedSecret": "agreement",
    "Encapsulate": "encapsulating",
    "GenerateMac": "mac",
    "GetParametersForImport": "external",
    "GetPublicKey": "signing",
    "ImportKeyMaterial": "external",
    "ReplicateKey": "family",
    "Sign": "signing",
    "UpdatePrimaryRegion": "family",
    "Verify": "signing",
    "VerifyMac": "mac",
}
# Operations that no key has a part in, or that the model lets be asked without one.
KEYLESS = {
    "ConnectCustomKeyStore", "CreateCustomKeyStore", "CreateKey", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore", "GenerateRandom", "ListKeys", "ListRetirableGrants", "UpdateCustomKeyStore",
}  # fmt: skip
# Without a cluster or a proxy at hand the valid request of these is refused, and with what.
REFUSED = {
    "ConnectCustomKeyStore": "CustomKeyStoreNotFoundException",
    "CreateCustomKeyStore": "CloudHsmClusterNotFoundException",
    "DeleteCustomKeyStore": "CustomKeyStoreNotFoundException",
    "DisconnectCustomKeyStore": "CustomKeyStoreNotFoundException",
    "UpdateCustomKeyStore": "CustomKeyStoreNotFoundException",
}
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CONTEXT = {"app": "conformance"}
TAGS = [{"TagKey": "team", "TagValue": "a"}]
POLICY = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}],
})


def b64(data):
    return base64.b64encode(data).decode()


class World:
    """Makes keys and requests on one server."""

    def __init__(self, server: Server):
        self.server = server

    def key(self, kind):
        """The ARN of a new Enabled key."""
        arn = self.server.ask("CreateKey", **KINDS[kind])["KeyMetadata"]["Arn"]
        if kind == "external":
            self.server.ask("ImportKeyMaterial", **self._import(arn), ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
        return arn

    def requests(self, operation, key):
        """(the least, the most) that a request of `operation` about `key` may say; both valid, one after the other."""
        if "CustomKeyStore" in operation:
            return getattr(self, operation)()
        return getattr(self, operation)() if operation in KEYLESS else getattr(self, operation)(key)

    @staticmethod
    def _name():
        return f"alias/conformance-{uuid.uuid4()}"

    def _alias(self, key):
        name = self._name()
        self.server.ask("CreateAlias", AliasName=name, TargetKeyId=key)
        return name

    def _grant(self, key, **members):
        operations = ["DescribeKey", "CreateGrant", "RetireGrant"]
        return self.server.ask("CreateGrant", KeyId=key, GranteePrincipal=ROOT, Operations=operations, **members)

    def _tokens(self, key):
        return {"GrantTokens": [self._grant(key)["GrantToken"]]}

    def _sealed(self, key):
        return self.server.ask("Encrypt", KeyId=key, Plaintext=b64(b"secret"), EncryptionContext=CONTEXT)["CiphertextBlob"]

    def _import(self, key):
        wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
        parameters = self.server.ask("GetParametersForImport", KeyId=key, **wrapping)
        public = serialization.load_der_public_key(base64.b64decode(parameters["PublicKey"]))
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        # Of one key the same material each time: a second import of it is allowed.
        material = hashlib.sha256(key.encode()).digest()
        wrapped = b64(public.encrypt(material, oaep))
        return {"KeyId": key, "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": wrapped}

    @staticmethod
    def _of(key, **most):
        return {"KeyId": key}, {"KeyId": key, **most}

    @staticmethod
    def _beside(least, **most):
        return least, {**least, **most}

    def CancelKeyDeletion(self, key):
        self.server.ask("ScheduleKeyDeletion", KeyId=key)
        return self._of(key)

    def ConnectCustomKeyStore(self):
        return self._beside({"CustomKeyStoreId": "cks-0123456789abcdef0"})

    DeleteCustomKeyStore = DisconnectCustomKeyStore = ConnectCustomKeyStore

    def CreateAlias(self, key):
        return {"AliasName": self._name(), "TargetKeyId": key}, {"AliasName": self._name(), "TargetKeyId": key}

    def CreateCustomKeyStore(self):
        cluster = {"CloudHsmClusterId": "cluster-2222aaaaBBB", "KeyStorePassword": "password", "TrustAnchorCertificate": "-"}
        return self._beside({"CustomKeyStoreName": "conformance", **cluster}, CustomKeyStoreType="AWS_CLOUDHSM")

    def CreateGrant(self, key):
        return self._beside(
            {"KeyId": key, "GranteePrincipal": ROOT, "Operations": ["Decrypt"]},
            RetiringPrincipal=ROOT, Constraints={"EncryptionContextEquals": CONTEXT}, Name="conformance", DryRun=False,
            **self._tokens(key),
        )  # fmt: skip

    def CreateKey(self):
        return {}, {
            "Policy": POLICY, "Description": "conformance", "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
            "Origin": "AWS_KMS", "BypassPolicyLockoutSafetyCheck": False, "Tags": TAGS, "MultiRegion": True,
        }  # fmt: skip

    def Decapsulate(self, key):
        algorithm = {"EncapsulationAlgorithm": "ML_KEM"}
        sealed = self.server.ask("Encapsulate", KeyId=key, **algorithm)["SharedSecretCiphertextBlob"]
        least = {"KeyId": key, "SharedSecretCiphertextBlob": sealed, **algorithm}
        return self._beside(least, DryRun=False, **self._tokens(key))

    def Decrypt(self, key):
        most = {"KeyId": key, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DryRun": False, **self._tokens(key)}
        return self._beside({"CiphertextBlob": self._sealed(key), "EncryptionContext": CONTEXT}, **most)

    def DeleteAlias(self, key):
        return {"AliasName": self._alias(key)}, {"AliasName": self._alias(key)}

    def DeleteImportedKeyMaterial(self, key):
        material = self.server.ask("DescribeKey", KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
        return self._of(key, KeyMaterialId=material)

    def DeriveSharedSecret(self, key):
        peer = ec.generate_private_key(ec.SECP256R1()).public_key()
        spki = peer.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        least = {"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": b64(spki)}
        return self._beside(least, DryRun=False, **self._tokens(key))

    def DescribeCustomKeyStores(self):
        return {}, {"Limit": 10}

    def DescribeKey(self, key):
        return self._of(key, **self._tokens(key))

    def DisableKey(self, key):
        return self._of(key)

    EnableKey = DisableKeyRotation = GetKeyLastUsage = RotateKeyOnDemand = DisableKey

    def GetKeyRotationStatus(self, key):
        # A key with imported material has none.
        self.server.send("EnableKeyRotation", {"KeyId": key})
        return self._of(key)

    def EnableKeyRotation(self, key):
        return self._of(key, RotationPeriodInDays=365)

    def Encapsulate(self, key):
        return self._beside({"KeyId": key, "EncapsulationAlgorithm": "ML_KEM"}, DryRun=False, **self._tokens(key))

    def Encrypt(self, key):
        most = {"EncryptionContext": CONTEXT, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DryRun": False}
        return self._beside({"KeyId": key, "Plaintext": b64(b"secret")}, **most, **self._tokens(key))

    def GenerateDataKey(self, key):
        most = {"EncryptionContext": CONTEXT, "DryRun": False, **self._tokens(key)}
        return self._beside({"KeyId": key, "KeySpec": "AES_256"}, **most)

    GenerateDataKeyWithoutPlaintext = GenerateDataKey

    def GenerateDataKeyPair(self, key):
        most = {"EncryptionContext": CONTEXT, "DryRun": False, **self._tokens(key)}
        return self._beside({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}, **most)

    GenerateDataKeyPairWithoutPlaintext = GenerateDataKeyPair

    def GenerateMac(self, key):
        least = {"KeyId": key, "Message": b64(b"message"), "MacAlgorithm": "HMAC_SHA_256"}
        return self._beside(least, DryRun=False, **self._tokens(key))

    def GenerateRandom(self):
        return {"NumberOfBytes": 1}, {"NumberOfBytes": 1024}

    def GetKeyPolicy(self, key):
        return self._of(key, PolicyName="default")

    def GetParametersForImport(self, key):
        return self._beside({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"})

    def GetPublicKey(self, key):
        return self._of(key, **self._tokens(key))

    def ImportKeyMaterial(self, key):
        material = self.server.ask("DescribeKey", KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
        least = {**self._import(key), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
        return self._beside(least, ImportType="EXISTING_KEY_MATERIAL", KeyMaterialDescription="a b", KeyMaterialId=material)

    def ListAliases(self, key):
        for _ in range(3):
            self._alias(key)
        first = self.server.ask("ListAliases", KeyId=key, Limit=1)
        return {}, {"KeyId": key, "Limit": 1, "Marker": first["NextMarker"]}

    def ListGrants(self, key):
        grants = [self._grant(key)["GrantId"] for _ in range(3)]
        marker = self.server.ask("ListGrants", KeyId=key, Limit=1, GranteePrincipal=ROOT)["NextMarker"]
        assert len(set(grants)) == 3
        return self._of(key, Limit=1, GranteePrincipal=ROOT, Marker=marker)

    def ListKeyPolicies(self, key):
        return self._of(key, Limit=1)

    def ListKeyRotations(self, key):
        for _ in range(3):
            self.server.ask("RotateKeyOnDemand", KeyId=key)
        named = {"IncludeKeyMaterial": "ALL_KEY_MATERIAL", "Limit": 1}
        marker = self.server.ask("ListKeyRotations", KeyId=key, **named)["NextMarker"]
        return self._of(key, **named, Marker=marker)

    def ListKeys(self):
        for _ in range(3):
            self.key("symmetric")
        most = {"Limit": 1, "ResourceOwners": ["SELF"]}
        return {}, {**most, "Marker": self.server.ask("ListKeys", **most)["NextMarker"]}

    def ListResourceTags(self, key):
        self.server.ask("TagResource", KeyId=key, Tags=[{"TagKey": name, "TagValue": ""} for name in "abc"])
        return self._of(key, Limit=1, Marker=self.server.ask("ListResourceTags", KeyId=key, Limit=1)["NextMarker"])

    def ListRetirableGrants(self):
        key = self.key("symmetric")
        for _ in range(3):
            self._grant(key, RetiringPrincipal=ROOT)
        named = {"RetiringPrincipal": ROOT}
        marker = self.server.ask("ListRetirableGrants", **named, Limit=1)["NextMarker"]
        return self._beside(named, Limit=1, Marker=marker)

    def PutKeyPolicy(self, key):
        return self._beside({"KeyId": key, "Policy": POLICY}, PolicyName="default", BypassPolicyLockoutSafetyCheck=False)

    def ReEncrypt(self, key):
        algorithms = {"SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
        least = {"CiphertextBlob": self._sealed(key), "SourceEncryptionContext": CONTEXT, "DestinationKeyId": key}
        most = {"SourceKeyId": key, "DestinationEncryptionContext": CONTEXT, "DryRun": False, **self._tokens(key)}
        return self._beside(least, **algorithms, **most)

    def ReplicateKey(self, key):
        most = {"Policy": POLICY, "BypassPolicyLockoutSafetyCheck": False, "Description": "conformance", "Tags": TAGS}
        return {"KeyId": key, "ReplicaRegion": "us-west-2"}, {"KeyId": key, "ReplicaRegion": "us-east-2", **most}

    def RetireGrant(self, key):
        grant = self._grant(key, RetiringPrincipal=ROOT)["GrantId"]
        token = self._grant(key, RetiringPrincipal=ROOT)["GrantToken"]
        return {"GrantToken": token}, {"KeyId": key, "GrantId": grant, "DryRun": False}

    def RevokeGrant(self, key):
        first, second = self._grant(key)["GrantId"], self._grant(key)["GrantId"]
        return {"KeyId": key, "GrantId": first}, {"KeyId": key, "GrantId": second, "DryRun": False}

    def ScheduleKeyDeletion(self, key):
        return self._of(key, PendingWindowInDays=7)

    def Sign(self, key):
        least = {"KeyId": key, "Message": b64(b"message"), "SigningAlgorithm": "ECDSA_SHA_256"}
        return self._beside(least, MessageType="RAW", DryRun=False, **self._tokens(key))

    def TagResource(self, key):
        return self._beside({"KeyId": key, "Tags": TAGS})

    def UntagResource(self, key):
        self.server.ask("TagResource", KeyId=key, Tags=TAGS)
        return self._beside({"KeyId": key, "TagKeys": ["team"]})

    def UpdateAlias(self, key):
        return self._beside({"AliasName": self._alias(self.key("symmetric")), "TargetKeyId": key})

    def UpdateCustomKeyStore(self):
        return self._beside({"CustomKeyStoreId": "cks-0123456789abcdef0"}, NewCustomKeyStoreName="conformance")

    def UpdateKeyDescription(self, key):
        return self._beside({"KeyId": key, "Description": ""})

    def UpdatePrimaryRegion(self, key):
        self.server.ask("ReplicateKey", KeyId=key, ReplicaRegion="us-west-2")
        self.server.advance(seconds=60)
        return self._beside({"KeyId": key, "PrimaryRegion": "us-west-2"})

    def Verify(self, key):
        signed = {"KeyId": key, "Message": b64(b"message"), "SigningAlgorithm": "ECDSA_SHA_256"}
        least = {**signed, "Signature": self.server.ask("Sign", **signed)["Signature"]}
        return self._beside(least, MessageType="RAW", DryRun=False, **self._tokens(key))

    def VerifyMac(self, key):
        coded = {"KeyId": key, "Message": b64(b"message"), "MacAlgorithm": "HMAC_SHA_256"}
        least = {**coded, "Mac": self.server.ask("GenerateMac", **coded)["Mac"]}
        return self._beside(least, DryRun=False, **self._tokens(key))
