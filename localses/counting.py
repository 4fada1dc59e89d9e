"""The part of SES's first API that still has no successor: what the account sent, by quarters of an hour.

Its protocol is the query protocol: parameters come as a form, answers go out as XML; both are checked against the service
model that botocore carries.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel

from localses import limits
from localses.api import Answer
from localses.desk import Desk
from localses.disturbing import Conduct
from localses.errors import ServiceError
from localses.model import Json, Violation, checker
from localses.query import QueryProtocol
from localses.sigv4 import SignedRequest, verify

logger = logging.getLogger("localses")

VERSION: Final = "2010-12-01"  # what tells its calls from those of SNS, which come to the same address
PROTOCOL: Final = QueryProtocol(f"http://ses.amazonaws.com/doc/{VERSION}/", denied="AccessDenied")
_STEP_SECONDS: Final = 900
_KEPT_SECONDS: Final = 14 * 86_400
_HAPPENED: Final = {"BOUNCE": "Bounces", "COMPLAINT": "Complaints", "REJECT": "Rejects"}


def get_send_quota(desk: Desk) -> Json:
    """Return quota and rate, as GetAccount says them."""
    return {
        "Max24HourSend": desk.settings.max_24_hour,
        "MaxSendRate": desk.settings.max_send_rate,
        "SentLast24Hours": float(limits.sent_last_24_hours(desk.store.db, desk.clock())),
    }


def get_send_statistics(desk: Desk) -> Json:
    """Count two weeks by quarters of an hour; those without anything are left out. Reads every message of that time."""
    since = desk.clock() - _KEPT_SECONDS
    found: dict[int, dict[str, int]] = {}
    for step, name, n in _counts(desk.store.db, since):
        point = found.setdefault(step, dict.fromkeys(("DeliveryAttempts", *_HAPPENED.values()), 0))
        point[name] += n
    points = [
        {"Timestamp": f"{datetime.fromtimestamp(step * _STEP_SECONDS, UTC):%Y-%m-%dT%H:%M:%SZ}", **point}
        for step, point in sorted(found.items())
    ]
    return {"SendDataPoints": points}


def _counts(db: sqlite3.Connection, since: float) -> list[tuple[int, str, int]]:
    """(quarter of an hour, member, how many). What is still to happen counts nowhere."""
    rows = db.execute(
        "SELECT CAST(accepted_at / ? AS INTEGER) AS step, count(*) AS n FROM message WHERE accepted_at > ? GROUP BY step",
        (_STEP_SECONDS, since),
    )
    attempts = [(int(row["step"]), "DeliveryAttempts", int(row["n"])) for row in rows]
    rows = db.execute(
        "SELECT CAST(due_at / ? AS INTEGER) AS step, kind, count(*) AS n FROM event"
        " WHERE done_at IS NOT NULL AND due_at > ? AND kind IN ('BOUNCE', 'COMPLAINT', 'REJECT') GROUP BY step, kind",
        (_STEP_SECONDS, since),
    )
    return attempts + [(int(row["step"]), _HAPPENED[row["kind"]], int(row["n"])) for row in rows]


OPERATIONS: Final[dict[str, Callable[[Desk], Json]]] = {
    "GetSendQuota": get_send_quota,
    "GetSendStatistics": get_send_statistics,
}


class CountingDoor:
    """Answers these calls on the desk's thread."""

    def __init__(self) -> None:
        service = ServiceModel(Loader().load_service_model("ses", "service-2"), "ses")
        self._outputs = {name: service.operation_model(name).output_shape for name in OPERATIONS}
        self._checks = {name: checker(shape) for name, shape in self._outputs.items()}

    def answer(self, desk: Desk, request: SignedRequest) -> Answer:
        """Verify, perform, check and write; every failure becomes an error of the protocol."""
        params = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        action, conduct = params.get("Action", ""), Conduct()
        try:
            _verify(desk, request)
            perform = _operation(params)
            turn = desk.faults.turn(action, {}, b"")
            conduct = turn.conduct
            turn.refuse()
            result = perform(desk)
            self._checks[action](result)
        except ServiceError as error:
            return PROTOCOL.refusal(error, conduct)
        except Violation as violation:
            logger.exception("localses.counting_failed")
            return PROTOCOL.refusal(
                ServiceError("InternalFailure", f"The answer is wrong: {violation}", status=500), conduct
            )
        return PROTOCOL.answer(action, _written(self._outputs[action], result), conduct)


def is_counting(request: SignedRequest) -> bool:
    """Tell a call of this API by its version."""
    return f"Version={VERSION}".encode() in request.body.split(b"&")


def _operation(params: dict[str, str]) -> Callable[[Desk], Json]:
    """None of them takes parameters."""
    action = params.get("Action", "")
    if action not in OPERATIONS or set(params) != {"Action", "Version"}:
        raise ServiceError("InvalidAction", f"Local SES has no operation {action!r} of SES's first API.")
    return OPERATIONS[action]


def _verify(desk: Desk, request: SignedRequest) -> None:
    config, now = desk.config, datetime.fromtimestamp(desk.clock(), UTC)
    verify(request, access_key=config.access_key, secret_key=config.secret_key, service="ses", now=now)


def _written(shape: Any, value: Any) -> str:
    """A value in the form that the model gives it: members by name, lists of `member`."""
    if shape.type_name == "structure":
        return "".join(f"<{name}>{_written(shape.members[name], item)}</{name}>" for name, item in value.items())
    if shape.type_name == "list":
        return "".join(f"<member>{_written(shape.member, item)}</member>" for item in value)
    return escape(str(value))
