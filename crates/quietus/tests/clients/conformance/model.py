"""What the installed KMS service model says of a value: whether it fits its shape, and every way in which it could fail to.

Knows shapes only; no server, no operation's meaning.
"""

import base64
import copy
import re

import botocore.session

_MODEL = botocore.session.get_session().get_component("data_loader").load_service_model("kms", "service-2")
SHAPES = _MODEL["shapes"]
OPERATIONS = dict(sorted(_MODEL["operations"].items()))

# What AWS answers although its model forbids it: a grant without a name has an empty one.
EXCUSED = {("GrantNameType", "")}

# What no pattern of the model takes; the first that a pattern refuses breaks it.
_ODD = ["\u2603", "!", "-", "a"]
_WRONG = {
    "string": [7, {}, True],
    "integer": ["seven", {}, 1.5],
    "boolean": ["yes", 3],
    "blob": [7, {}, "not base64!"],
    "list": [{}, "a"],
    "map": [[], "a"],
    "structure": ["a", 7, []],
    "timestamp": ["yesterday", {}],
}


def members_in(operation):
    """The request's members by name; nothing where it has none."""
    return SHAPES[OPERATIONS[operation]["input"]["shape"]]["members"] if "input" in OPERATIONS[operation] else {}


def members_out(operation):
    """The answer's members by name; nothing where it has none."""
    return SHAPES[OPERATIONS[operation]["output"]["shape"]]["members"] if "output" in OPERATIONS[operation] else {}


def declared(operation):
    """The errors that the model gives to an operation."""
    return {error["shape"] for error in OPERATIONS[operation].get("errors", [])}


def misfits(name, value, path="answer"):
    """What is wrong with an answer's `value` of the shape `name`: sentences, none where it fits."""
    if isinstance(value, str) and (name, value) in EXCUSED:
        return []
    shape = SHAPES[name]
    kind = shape["type"]
    fits = {
        "string": lambda: isinstance(value, str),
        "blob": lambda: isinstance(value, str) and _bytes(value) is not None,
        "integer": lambda: isinstance(value, int) and not isinstance(value, bool),
        "boolean": lambda: isinstance(value, bool),
        "timestamp": lambda: isinstance(value, (int, float)) and not isinstance(value, bool),
        "list": lambda: isinstance(value, list),
        "map": lambda: isinstance(value, dict),
        "structure": lambda: isinstance(value, dict),
    }[kind]
    if not fits():
        return [f"{path} is no {kind}: {value!r}"]
    found = []
    if kind == "structure":
        found += [f"{path}.{member} is not in the model" for member in value if member not in shape["members"]]
        found += [f"{path}.{member} is missing" for member in shape.get("required", []) if member not in value]
        for member in value.keys() & shape["members"].keys():
            found += misfits(shape["members"][member]["shape"], value[member], f"{path}.{member}")
    elif kind == "list":
        for at, item in enumerate(value):
            found += misfits(shape["member"]["shape"], item, f"{path}[{at}]")
    elif kind == "map":
        for key, item in value.items():
            found += misfits(shape["value"]["shape"], item, f"{path}[{key!r}]")
    size = _size(kind, value)
    if size is not None and not shape.get("min", size) <= size <= shape.get("max", size):
        found.append(f"{path} has {size}, not between {shape.get('min')} and {shape.get('max')}")
    if "enum" in shape and value not in shape["enum"]:
        found.append(f"{path} is none of the model's values: {value!r}")
    if "pattern" in shape and not re.fullmatch(shape["pattern"], value):
        found.append(f"{path} does not match {shape['pattern']}: {value!r}")
    return found


def example(name):
    """A value that fits the shape `name`, every optional member in it."""
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        return {member: example(ref["shape"]) for member, ref in shape["members"].items()}
    if kind == "list":
        return [example(shape["member"]["shape"])]
    if kind == "map":
        return {"a": "b"}
    if kind == "string":
        return shape["enum"][0] if "enum" in shape else _text(shape)
    return {"integer": shape.get("min", 1), "boolean": False, "timestamp": 2_000_000_000, "blob": "YQ=="}[kind]


def breaks(name, value, path=""):
    """Every way to break one constraint of `value`, which fits the shape `name`; members that it lacks are made up.

    Yields (what it is, the broken value, the code that must come, the text that must be in its message).
    """
    shape = SHAPES[name]
    kind = shape["type"]
    for wrong in _WRONG[kind] if path else []:
        yield f"{path} of a wrong type: {wrong!r}", wrong, "SerializationException", None
    if kind == "structure":
        value = {**example(name), **value}
        for member in shape.get("required", []):
            without = {name: kept for name, kept in value.items() if name != member}
            told = f"at '{_joined(path, member)}' failed to satisfy constraint: Member must not be null"
            yield f"without {_joined(path, member)}", without, "ValidationException", told
        for member, ref in shape["members"].items():
            for what, broken, code, told in breaks(ref["shape"], value[member], _joined(path, member)):
                yield what, {**value, member: broken}, code, told
    if kind == "list" and value:
        inner = SHAPES[shape["member"]["shape"]]
        for what, broken, code, told in breaks(shape["member"]["shape"], value[0], f"{path}.1.member"):
            if "enum" in inner and code == "ValidationException":
                # A list of words is shown whole.
                told = f"at '{path}' failed to satisfy constraint: Member must satisfy constraint: ["
            yield what, [broken, *value[1:]], code, told
    if kind == "map":
        yield f"a value of {path} of a wrong type", {"a": {}}, "SerializationException", None
    for what, broken, rule in _constraints(shape, value):
        yield f"{path} {what}", broken, "ValidationException", f"at '{path}' failed to satisfy constraint: {rule}"


def _constraints(shape, value):
    kind, least, most = shape["type"], shape.get("min"), shape.get("max")
    if kind == "integer":
        if least is not None:
            yield "too small", least - 1, f"Member must have value greater than or equal to {least}"
        if most is not None:
            yield "too large", most + 1, f"Member must have value less than or equal to {most}"
        return
    if kind in ("string", "blob", "list") and least:
        yield "too short", _resized(kind, value, least - 1), f"Member must have length greater than or equal to {least}"
    if kind in ("string", "blob", "list") and most is not None:
        yield "too long", _resized(kind, value, most + 1), f"Member must have length less than or equal to {most}"
    if "pattern" in shape:
        rule = f"Member must satisfy regular expression pattern: {shape['pattern']}"
        odd = next(mark * max(least or 1, 1) for mark in _ODD if not re.fullmatch(shape["pattern"], mark * max(least or 1, 1)))
        yield "breaking its pattern", odd, rule
    if "enum" in shape:
        yield "of no known value", "NO_SUCH_VALUE", "Member must satisfy enum value set: ["


def _joined(path, member):
    """`tags.1.member` and `TagKey` as messages spell them."""
    lowered = member[0].lower() + member[1:]
    return f"{path}.{lowered}" if path else lowered


def _size(kind, value):
    if kind == "blob":
        return len(_bytes(value))
    if kind == "integer":
        return value
    return len(value) if kind in ("string", "list") else None


def _resized(kind, value, length):
    if kind == "blob":
        return base64.b64encode(b"a" * length).decode()
    if kind == "list":
        return [copy.deepcopy(value[0]) for _ in range(length)]
    return (value or "a")[0] * length


def _bytes(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _text(shape):
    tries = ["a", "A", "7", "us-east-1", "https://a.example", "/kms/xks/v1", "a.example.com", "cluster-aaaaaaaaaaa"]
    tries += ["com.amazonaws.vpce.us-east-1.vpce-svc-0", "arn:aws:iam::000000000000:a"]
    least = shape.get("min") or 1
    for text in [*tries, *(text * least for text in ("a", "A", "7"))]:
        if least <= len(text) <= shape.get("max", len(text)) and re.fullmatch(shape.get("pattern", ".*"), text):
            return text
    raise AssertionError(f"no example for {shape}")
