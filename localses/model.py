"""Requests and answers checked against the service model that Amazon ships with botocore."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from botocore.loaders import Loader
from botocore.model import ServiceModel

from localses.errors import ServiceError, bad_request

Json = dict[str, Any]
Check = Callable[[Any], None]
_NUMBERS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


class Violation(Exception):
    """A value breaks the model; `path` grows while the violation travels outwards."""

    def __init__(self, constraint: str, *path: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint
        self.path = [*path]

    def __str__(self) -> str:
        """Say it as AWS does."""
        where = ".".join(reversed(self.path)) or "request"
        return f"1 validation error detected: Value at '{where}' failed to satisfy constraint: {self.constraint}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of SES v2: where it is called and what goes in and out."""

    name: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    query: dict[str, tuple[str, str]]  # name on the wire -> member, type
    check_input: Check
    check_output: Check


class ServiceModelSes:
    """The operations of SES v2 that are asked for, ready to route, parse and check."""

    def __init__(self, names: frozenset[str]) -> None:
        service = ServiceModel(Loader().load_service_model("sesv2", "service-2"), "sesv2")
        self.known = frozenset(service.operation_names)
        self.operations = [_operation(service, name) for name in sorted(names)]

    def route(self, method: str, raw_path: str) -> tuple[Operation, Json]:
        """Find the operation of a request and the parameters in its path.

        Raises ServiceError for what isn't there.
        """
        for operation in self.operations:
            if operation.method == method and (match := operation.path.fullmatch(raw_path)):
                values = (unquote(value) for value in match.groups())
                return operation, dict(zip(operation.labels, values, strict=True))
        raise ServiceError("UnknownOperationException", f"Local SES has no {method} {raw_path}.", status=404)


def parse(operation: Operation, labels: Json, query: str, body: bytes) -> Json:
    """Return the parameters of a call, checked against the model.

    Raises BadRequestException for broken JSON, unknown members, and values that the model forbids. A member that
    AWS would silently ignore is refused here: it is always a mistake of the caller.
    """
    params: Json = {}
    if body:
        try:
            params = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise ServiceError("SerializationException", "The request body is not JSON.") from None
        if not isinstance(params, dict):
            raise ServiceError("SerializationException", "The request body is not a JSON object.")
    for name, value in parse_qsl(query, keep_blank_values=True):
        member, kind = operation.query.get(name, ("", ""))
        if not member:
            raise bad_request(f"Unknown query parameter {name!r}.")
        if kind == "list":
            params.setdefault(member, []).append(value)
        else:
            params[member] = _query_value(name, value, kind)
    params.update(labels)
    try:
        operation.check_input(params)
    except Violation as violation:
        raise bad_request(str(violation)) from None
    return params


def _query_value(name: str, value: str, kind: str) -> object:
    if kind not in {"integer", "timestamp"}:
        return value
    try:
        return int(value) if kind == "integer" else float(value)
    except ValueError:
        if kind == "timestamp":
            return value
        raise bad_request(f"{name} must be an integer.") from None


def _operation(service: ServiceModel, name: str) -> Operation:
    model = service.operation_model(name)
    uri = model.http["requestUri"]
    labels: list[str] = re.findall(r"\{(\w+)\}", uri)
    members = model.input_shape.members if model.input_shape else {}
    query = {
        shape.serialization["name"]: (member, shape.type_name)
        for member, shape in members.items()
        if shape.serialization.get("location") == "querystring"
    }
    by_wire_name = {members[m].serialization.get("name", m): m for m in members}
    return Operation(
        name=name,
        method=model.http["method"],
        path=re.compile(re.sub(r"\{\w+\}", r"([^/]+)", uri) + "/?"),
        labels=tuple(by_wire_name[label] for label in labels),
        query=query,
        check_input=checker(model.input_shape),
        check_output=checker(model.output_shape),
    )


def checker(shape: Any) -> Check:
    """Compile a shape of the model into a function that raises Violation for what doesn't fit it."""
    return _compile(shape, {}) if shape is not None else lambda value: None


def _compile(shape: Any, made: dict[str, Check]) -> Check:
    if shape.name in made:
        return made[shape.name]
    # A shape may contain itself, so a stand-in answers until the real check exists.
    made[shape.name] = lambda value: made[shape.name](value)
    kind = shape.type_name
    if kind == "structure":
        check = _structure(shape, made)
    elif kind == "list":
        check = _list(shape, made)
    elif kind == "map":
        check = _map(shape, made)
    elif kind in {"string", "blob"}:
        check = _string(shape.metadata)
    elif kind == "boolean":
        check = _typed((bool,), "Member must be a boolean")
    else:
        check = _number(_NUMBERS[kind], timestamp=kind == "timestamp")
    made[shape.name] = check
    return check


def _structure(shape: Any, made: dict[str, Check]) -> Check:
    required = frozenset(shape.metadata.get("required", ()))
    members = {name: _compile(member, made) for name, member in shape.members.items()}
    if shape.metadata.get("union"):
        required = frozenset()

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Violation("Member must be an object")
        for name, item in value.items():
            if item is None:
                continue
            member = members.get(name)
            if member is None:
                raise Violation(f"Unknown member {name!r}")
            try:
                member(item)
            except Violation as violation:
                violation.path.append(name[0].lower() + name[1:])
                raise
        for name in required:
            if value.get(name) is None:
                raise Violation("Member must not be null", name[0].lower() + name[1:])

    return check


def _list(shape: Any, made: dict[str, Check]) -> Check:
    item_check = _compile(shape.member, made)
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")

    def check(value: Any) -> None:
        if type(value) is not list:
            raise Violation("Member must be a list")
        if len(value) < low or (high is not None and len(value) > high):
            raise Violation(f"Member must have length between {low} and {high}")
        for position, item in enumerate(value):
            try:
                item_check(item)
            except Violation as violation:
                violation.path.append(f"{position + 1}.member")
                raise

    return check


def _map(shape: Any, made: dict[str, Check]) -> Check:
    key_check, value_check = _compile(shape.key, made), _compile(shape.value, made)

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Violation("Member must be an object")
        for key, item in value.items():
            key_check(key)
            value_check(item)

    return check


def _string(metadata: Json) -> Check:
    low, high = metadata.get("min", 0), metadata.get("max")
    pattern = _pattern(metadata["pattern"]) if "pattern" in metadata else None
    allowed = frozenset(metadata.get("enum", ()))

    def check(value: Any) -> None:
        if type(value) is not str:
            raise Violation("Member must be a string")
        if len(value) < low:
            raise Violation(f"Member must have length greater than or equal to {low}")
        if high is not None and len(value) > high:
            raise Violation(f"Member must have length less than or equal to {high}")
        if pattern is not None and not pattern.fullmatch(value):
            raise Violation(f"Member must satisfy regular expression pattern: {pattern.pattern}")
        if allowed and value not in allowed:
            raise Violation(f"Member must satisfy enum value set: [{', '.join(sorted(allowed))}]")

    return check


@cache
def _pattern(text: str) -> re.Pattern[str]:
    # botocore's patterns are Java's; those of the operations used here read the same in Python.
    return re.compile(text)


def _typed(kinds: tuple[type, ...], message: str) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, kinds):
            raise Violation(message)

    return check


def _number(kinds: tuple[type, ...], *, timestamp: bool) -> Check:
    def check(value: Any) -> None:
        if timestamp and isinstance(value, str):
            return
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise Violation("Member must be a number")

    return check
