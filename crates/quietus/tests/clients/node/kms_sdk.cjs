// Drives a running `quietus serve --dev --clock virtual` with the AWS SDK for JavaScript v3, as any program of AWS's users would.
//
// Usage: node kms_sdk.cjs ENDPOINT. Prints one line for each story that holds; any failure ends with a stack and exit code 1.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const kms = require("@aws-sdk/client-kms");

const endpoint = process.argv[2];
const credentials = { accessKeyId: "test", secretAccessKey: "test" };

function clientIn(region) {
  return new kms.KMS({ endpoint, region, credentials, maxAttempts: 1 });
}

const client = clientIn("eu-west-1");
const secret = Buffer.from("\u0000secret\u00ff", "latin1");
const message = Buffer.from("message");

async function created(input = {}) {
  return (await client.createKey(input)).KeyMetadata.Arn;
}

// The error that `call` must end with: the SDK's own class of it.
async function refused(call, errorClass) {
  const error = await call.then(() => assert.fail(`${errorClass.name} expected`), (error) => error);
  assert.ok(error instanceof errorClass, `${errorClass.name} expected: ${error}`);
  assert.equal(error.$metadata.httpStatusCode, 400);
  return error.message;
}

// Lets virtual time pass; returns when all that became due is done.
async function advance(days) {
  const body = JSON.stringify({ advance_seconds: days * 86400 });
  const answer = await fetch(`${endpoint}/_quietus/clock`, { method: "POST", body });
  assert.equal(answer.status, 200);
}

const stories = {
  async "what is encrypted opens"() {
    const key = await created({ Description: "JavaScript" });
    const context = { app: "ledger" };
    const sealed = await client.encrypt({ KeyId: key, Plaintext: secret, EncryptionContext: context });
    const opened = await client.decrypt({ CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: context });
    assert.deepEqual(Buffer.from(opened.Plaintext), secret);
    assert.equal(opened.KeyId, key);
    await refused(client.decrypt({ CiphertextBlob: sealed.CiphertextBlob }), kms.InvalidCiphertextException);
    const dataKey = await client.generateDataKey({ KeyId: key, KeySpec: "AES_256" });
    assert.equal(dataKey.Plaintext.length, 32);
    const reopened = await client.decrypt({ CiphertextBlob: dataKey.CiphertextBlob });
    assert.deepEqual(reopened.Plaintext, dataKey.Plaintext);
    await refused(client.encrypt({ KeyId: key, Plaintext: secret, DryRun: true }), kms.DryRunOperationException);
  },

  async "what is signed is verified here and there"() {
    const key = await created({ KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" });
    const signing = { KeyId: key, Message: message, SigningAlgorithm: "ECDSA_SHA_256" };
    const { Signature } = await client.sign(signing);
    assert.equal((await client.verify({ ...signing, Signature })).SignatureValid, true);
    const { PublicKey } = await client.getPublicKey({ KeyId: key });
    const publicKey = crypto.createPublicKey({ key: Buffer.from(PublicKey), format: "der", type: "spki" });
    assert.ok(crypto.verify("sha256", message, publicKey, Signature));
    const other = { ...signing, Message: Buffer.from("another"), Signature };
    await refused(client.verify(other), kms.KMSInvalidSignatureException);
    await refused(client.encrypt({ KeyId: key, Plaintext: secret }), kms.InvalidKeyUsageException);
  },

  async "a data key pair and a code are what they say"() {
    const key = await created();
    const pair = await client.generateDataKeyPair({ KeyId: key, KeyPairSpec: "ECC_NIST_P384" });
    const opened = await client.decrypt({ CiphertextBlob: pair.PrivateKeyCiphertextBlob });
    const privateKey = crypto.createPrivateKey({ key: Buffer.from(opened.Plaintext), format: "der", type: "pkcs8" });
    const derived = crypto.createPublicKey(privateKey).export({ format: "der", type: "spki" });
    assert.deepEqual(derived, Buffer.from(pair.PublicKey));
    const mac = { KeyId: await created({ KeySpec: "HMAC_512", KeyUsage: "GENERATE_VERIFY_MAC" }), MacAlgorithm: "HMAC_SHA_512" };
    const { Mac } = await client.generateMac({ ...mac, Message: message });
    assert.equal((await client.verifyMac({ ...mac, Message: message, Mac })).MacValid, true);
    await refused(client.verifyMac({ ...mac, Message: secret, Mac }), kms.KMSInvalidMacException);
  },

  async "keys and aliases are listed in pages"() {
    const region = clientIn("ap-southeast-2");
    const made = [];
    for (let n = 0; n < 7; n++) {
      made.push((await region.createKey({})).KeyMetadata.KeyId);
      await region.createAlias({ AliasName: `alias/n${n}`, TargetKeyId: made[n] });
    }
    const keys = [];
    for await (const page of kms.paginateListKeys({ client: region, pageSize: 3 }, {})) {
      keys.push(...page.Keys.map((key) => key.KeyId));
    }
    assert.deepEqual(keys, made.toSorted());
    const targets = [];
    for await (const page of kms.paginateListAliases({ client: region, pageSize: 3 }, {})) {
      targets.push(...page.Aliases.map((alias) => alias.TargetKeyId));
    }
    assert.deepEqual(targets, made);
  },

  async "a grant is made, listed and revoked"() {
    const KeyId = await created();
    const grant = { KeyId, GranteePrincipal: "arn:aws:iam::000000000000:user/ann", Operations: ["Decrypt", "Encrypt"] };
    const { GrantId, GrantToken } = await client.createGrant({ ...grant, Name: "one" });
    assert.equal((await client.createGrant({ ...grant, Name: "one" })).GrantId, GrantId);
    const { Grants } = await client.listGrants({ KeyId });
    assert.deepEqual(Grants.map((listed) => listed.Operations.toSorted()), [["Decrypt", "Encrypt"]]);
    assert.ok(Grants[0].CreationDate instanceof Date);
    await client.describeKey({ KeyId, GrantTokens: [GrantToken] });
    await client.revokeGrant({ KeyId, GrantId });
    assert.deepEqual((await client.listGrants({ KeyId })).Grants, []);
  },

  async "a key is disabled, scheduled, cancelled and deleted"() {
    const KeyId = await created();
    const { CiphertextBlob } = await client.encrypt({ KeyId, Plaintext: secret });
    await client.disableKey({ KeyId });
    assert.equal(await refused(client.decrypt({ CiphertextBlob }), kms.DisabledException), `${KeyId} is disabled.`);
    await client.enableKey({ KeyId });
    const scheduled = await client.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 });
    assert.equal(scheduled.KeyState, "PendingDeletion");
    assert.ok(scheduled.DeletionDate instanceof Date);
    const told = await refused(client.decrypt({ CiphertextBlob }), kms.KMSInvalidStateException);
    assert.equal(told, `${KeyId} is pending deletion.`);
    await client.cancelKeyDeletion({ KeyId });
    assert.equal((await client.describeKey({ KeyId })).KeyMetadata.KeyState, "Disabled");
    await client.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 });
    await advance(7);
    await refused(client.describeKey({ KeyId }), kms.NotFoundException);
  },
};

async function main() {
  for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok  ${name}`);
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
