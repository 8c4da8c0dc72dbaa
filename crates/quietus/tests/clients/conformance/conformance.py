"""Holds a running `quietus serve --dev --clock virtual` to the KMS service model of the installed botocore.

For each operation it sends the least and the most that is valid, requests with each single constraint broken, and valid requests about keys
in states that forbid them; every answer must be what the model says an answer is. Nothing is checked before it is sent.

Usage: conformance.py ENDPOINT. Prints one line for each operation: its name, how many answers were held to the model, and the members of
its answer that none of them had. Deviations go to stderr and make the exit code 1.
"""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import model
from server import REGION, NotOffered, Refused, Server
from valid import KEYLESS, KIND_OF, REFUSED, World

# Of any operation, beside the errors that the model declares for it.
COMMON = {"ValidationException", "AccessDeniedException", "ThrottlingException", "SerializationException"}
# Operations that are checked at a time: most of a call is waiting until its record is durable.
AT_ONCE = 8
# The text of broken constraints: how many, and each.
COUNT = re.compile(r"(\d+) validation errors? detected: ")
BROKEN = re.compile(r"Value( '.*'| null)? at '[\w.]+' failed to satisfy constraint: Member must .+", re.DOTALL)
# What a key in a state answers to operations that use it.
UNUSABLE = {
    "Disabled": "DisabledException",
    "PendingDeletion": "KMSInvalidStateException",
    "PendingImport": "KMSInvalidStateException",
}
# Operations whose preparations a key with imported material does not take, or that are valid only without it.
NEVER_IMPORTED = {"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand", "ListKeyRotations"}
# A key that is gone, and one that never was.
GONE = {"NotFoundException"}
# Here the ciphertext names the key: that it is gone is not told to who may not know.
BY_CIPHERTEXT = {"Decrypt", "ReEncrypt"}


class Operation:
    """What was found about one operation."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.checks, self.deviations, self.seen = 0, [], set()
        self.has_keys = True

    def answers(self, what, body, code=None, told=None, region=REGION):
        """Sends `body` and holds the answer to the model. `code`: what must come, a set of errors or "200"; None for anything declared."""
        self.checks += 1
        try:
            status, answer = self.server.send(self.name, body, region)
        except OSError as error:
            return self.deviates(what, f"no answer: {error!r}")
        if not isinstance(answer, dict):
            return self.deviates(what, f"HTTP {status}, and no JSON object")
        found = "200" if status == 200 else answer.get("__type")
        wanted = {code} if isinstance(code, str) else code
        if wanted is not None and found not in wanted:
            self.deviates(what, f"{sorted(wanted)} expected: HTTP {status} {answer}")
        if status == 200:
            self._holds_to_shape(what, answer)
        elif status != 400:
            self.deviates(what, f"HTTP {status} {answer}")
        elif found not in model.declared(self.name) | COMMON:
            self.deviates(what, f"an error that the model does not declare: {answer}")
        else:
            self._holds_to_form(what, answer.get("message", ""), told)

    def _holds_to_shape(self, what, answer):
        self.seen |= answer.keys()
        output = model.OPERATIONS[self.name].get("output")
        wrong = model.misfits(output["shape"], answer) if output else [f"{member} in an empty answer" for member in answer]
        for sentence in wrong:
            self.deviates(what, sentence)

    def _holds_to_form(self, what, message, told):
        if told and told not in message:
            self.deviates(what, f"`{told}` is not in `{message[:400]}`")
        if count := COUNT.match(message):
            parts = re.split(r"; (?=Value(?: '| null| at))", message[count.end() :])
            if len(parts) != int(count[1]) or not all(BROKEN.fullmatch(part) for part in parts):
                self.deviates(what, f"not of the form of broken constraints: `{message[:400]}`")

    def deviates(self, what, how):
        self.deviations.append(f"{self.name}, {what}: {how}")

    def summary(self):
        """How many answers were held to the model, and the members of the model's answer that none of them had."""
        if not self.has_keys:
            return f"{self.checks}; keys of its kind are not offered"
        unseen = [member for member in model.members_out(self.name) if member not in self.seen]
        return f"{self.checks}; {', '.join(unseen) or '-'}"


def valid_requests(operation, world):
    """The least, the most, and the least with what must not matter."""
    name = operation.name
    kind = KIND_OF.get(name, "symmetric")
    good = REFUSED.get(name, "200")

    def fresh():
        return world.requests(name, None if name in KEYLESS else world.key(kind))

    operation.answers("the least", fresh()[0], good)
    operation.answers("the most", fresh()[1], good)
    operation.answers("a member that is not in the model", {**fresh()[0], "NoSuchMember": [{"a": 1}]}, good)
    least = fresh()[0]
    nulls = {member: None for member in model.members_in(name) if member not in least}
    operation.answers("null for each member that is not needed", {**least, **nulls}, good)
    if "DryRun" in model.members_in(name):
        operation.answers("a dry run", {**fresh()[0], "DryRun": True}, "DryRunOperationException")


def broken_requests(operation, world):
    """Bodies that are no requests, and each constraint of the model broken by itself."""
    name = operation.name
    for body in [b"[]", b'"a"', b"7", b"{", b'{"a":1}}', b"\xff", b"{'a': 1}"]:
        operation.answers(f"the body {body!r}", body, "SerializationException")
    if "input" not in model.OPERATIONS[name]:
        return
    shape = model.OPERATIONS[name]["input"]["shape"]
    most = world.requests(name, None if name in KEYLESS else world.key(KIND_OF.get(name, "symmetric")))[1]
    for what, body, code, told in model.breaks(shape, most):
        operation.answers(what, body, code, told)


def about(name, world, key):
    """A valid request that names `key`, if the operation can name it."""
    least, most = world.requests(name, key)
    return least if key in least.values() else most


def wrong_states(operation, world):
    """Valid requests about keys that are not Enabled, that never were, or that are named in no way there is."""
    name = operation.name
    if name in KEYLESS:
        return
    kind = KIND_OF.get(name, "symmetric")
    uses = "KeyUnavailableException" in model.declared(name)
    for state in UNUSABLE:
        if state == "PendingImport" and (kind not in ("symmetric", "external") or name in NEVER_IMPORTED):
            continue
        key = world.key("external" if state == "PendingImport" else kind)
        body = about(name, world, key)
        put(operation.server, key, state)
        operation.answers(f"a key that is {state}", body, UNUSABLE[state] if uses else None)
    body = about(name, world, world.key(kind))
    unknown = f"arn:aws:kms:{REGION}:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    for member in {"KeyId", "TargetKeyId", "DestinationKeyId", "SourceKeyId"} & body.keys():
        for named in [unknown, unknown.rsplit("/", 1)[1], "nonsense"]:
            operation.answers(f"{member} {named}", {**body, member: named}, GONE)
        for named in [unknown.replace(REGION, "us-west-2"), "arn:nonsense", "alias/no-such-alias", "alias/", "a\u2603"]:
            operation.answers(f"{member} {named}", {**body, member: named}, model.declared(name) | COMMON)


def put(server, key, state):
    """Puts `key` into `state`, from Enabled or from pending deletion."""
    if server.ask("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion":
        server.ask("CancelKeyDeletion", KeyId=key)
    if state == "Disabled":
        server.ask("DisableKey", KeyId=key)
    elif state == "PendingDeletion":
        server.ask("ScheduleKeyDeletion", KeyId=key)
    else:
        server.ask("DeleteImportedKeyMaterial", KeyId=key)


def deleted_keys(operations, server, world):
    """Valid requests about keys that have been deleted since they were written; one wait for all."""
    waiting = []
    for operation in operations:
        if operation.name not in KEYLESS and operation.has_keys:
            key = world.key(KIND_OF.get(operation.name, "symmetric"))
            waiting.append((operation, about(operation.name, world, key)))
            put(server, key, "PendingDeletion")
            # A primary goes after its replica.
            server.send("ScheduleKeyDeletion", {"KeyId": key.replace(REGION, "us-west-2")}, "us-west-2")
    for _ in range(2):
        server.advance(31)
    for operation, body in waiting:
        hidden = {"AccessDeniedException"} if operation.name in BY_CIPHERTEXT else set()
        operation.answers("a key that is deleted", body, GONE | hidden)


def checked(operation):
    """Every check that needs no long wait; each operation has a connection of its own, and many are checked at a time."""
    world = World(operation.server)
    for check in (valid_requests, broken_requests, wrong_states):
        try:
            check(operation, world)
        except NotOffered:
            operation.has_keys = False
        except (Refused, OSError) as stopped:
            operation.deviates("preparing", str(stopped))


def offered(name, endpoint):
    """The operation, if the server knows it."""
    server = Server(endpoint)
    _, answer = server.send(name, {})
    return None if answer and answer.get("__type") == "UnknownOperationException" else Operation(server, name)


def main():
    endpoint = sys.argv[1]
    found = {name: offered(name, endpoint) for name in model.OPERATIONS}
    operations = [operation for operation in found.values() if operation]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(checked, operation) for operation in operations]:
            done.result()
    deleted_keys(operations, Server(endpoint), World(Server(endpoint)))
    for name, operation in found.items():
        print(f"{name}: {operation.summary()}" if operation else f"{name}: not offered")
    deviations = [sentence for operation in operations for sentence in operation.deviations]
    for sentence in deviations:
        print(sentence, file=sys.stderr)
    sys.exit(1 if deviations else 0)


main()
