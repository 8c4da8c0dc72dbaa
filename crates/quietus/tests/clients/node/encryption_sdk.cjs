// The AWS Encryption SDK for JavaScript with KMS keyrings, against a running `quietus serve`: opens the message that the one for Python left
// in a folder, and leaves one of its own.
//
// Usage: node encryption_sdk.cjs ENDPOINT FOLDER. Prints one line for each message; any failure ends with a stack and exit code 1.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const sdk = require("@aws-crypto/client-node");

const [endpoint, folder] = process.argv.slice(2);
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const clientProvider = sdk.getClient(sdk.KMS, { endpoint, credentials });
const { encrypt, decrypt } = sdk.buildClient(sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const file = (name) => path.join(folder, name);

async function main() {
  const { keys, context, plaintext } = JSON.parse(fs.readFileSync(file("told.json"), "utf8"));
  // Each of the keys opens it by itself.
  for (const key of keys) {
    const keyring = new sdk.KmsKeyringNode({ clientProvider, keyIds: [key] });
    const opened = await decrypt(keyring, fs.readFileSync(file("python.message")));
    assert.equal(opened.plaintext.toString("utf8"), plaintext);
    for (const [name, value] of Object.entries(context)) {
      assert.equal(opened.messageHeader.encryptionContext[name], value);
    }
    console.log("ok  JavaScript opens what Python sealed");
  }
  const keyring = new sdk.KmsKeyringNode({ clientProvider, generatorKeyId: keys[0], keyIds: keys.slice(1) });
  const { result } = await encrypt(keyring, plaintext, { encryptionContext: context });
  fs.writeFileSync(file("javascript.message"), result);
  console.log("ok  JavaScript seals");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
