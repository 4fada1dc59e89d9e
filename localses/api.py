"""The door of SES v2: routes, verifies, parses, runs an operation, checks its answer."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import orjson

from localses import identities, resources, sending, stored_templates
from localses.desk import Call, Desk
from localses.disturbing import Conduct
from localses.errors import INTERNAL, ServiceError
from localses.model import Json, Operation, ServiceModelSes, Violation, parse
from localses.sigv4 import SignedRequest, verify

logger = logging.getLogger("localses")
Result = TypeVar("Result")

OPERATIONS: dict[str, Callable[[Call], Json]] = {
    "SendEmail": sending.send_email,
    "SendBulkEmail": sending.send_bulk_email,
    "GetAccount": resources.get_account,
    "PutAccountSuppressionAttributes": resources.put_account_suppression_attributes,
    "PutSuppressedDestination": resources.put_suppressed_destination,
    "GetSuppressedDestination": resources.get_suppressed_destination,
    "DeleteSuppressedDestination": resources.delete_suppressed_destination,
    "ListSuppressedDestinations": resources.list_suppressed_destinations,
    "CreateEmailIdentity": identities.create_email_identity,
    "GetEmailIdentity": identities.get_email_identity,
    "ListEmailIdentities": identities.list_email_identities,
    "DeleteEmailIdentity": identities.delete_email_identity,
    "PutEmailIdentityMailFromAttributes": identities.put_email_identity_mail_from_attributes,
    "CreateConfigurationSet": resources.create_configuration_set,
    "GetConfigurationSet": resources.get_configuration_set,
    "ListConfigurationSets": resources.list_configuration_sets,
    "DeleteConfigurationSet": resources.delete_configuration_set,
    "CreateConfigurationSetEventDestination": resources.create_event_destination,
    "UpdateConfigurationSetEventDestination": resources.update_event_destination,
    "GetConfigurationSetEventDestinations": resources.get_event_destinations,
    "DeleteConfigurationSetEventDestination": resources.delete_event_destination,
    "CreateEmailTemplate": stored_templates.create_email_template,
    "GetEmailTemplate": stored_templates.get_email_template,
    "UpdateEmailTemplate": stored_templates.update_email_template,
    "DeleteEmailTemplate": stored_templates.delete_email_template,
    "ListEmailTemplates": stored_templates.list_email_templates,
    "TestRenderEmailTemplate": stored_templates.test_render_email_template,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP, and how."""

    status: int
    body: bytes
    headers: dict[str, str]
    conduct: Conduct = field(default_factory=Conduct)


@dataclass(frozen=True, slots=True)
class Held:
    """A call that a fault holds up: wait, then `proceed` on the desk's thread."""

    seconds: float
    proceed: Callable[[], Answer]


class SesDoor:
    """Answers requests under `/v2/email/`. Called on the desk's thread, one request at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._model = ServiceModelSes(frozenset(OPERATIONS))

    def answer(self, request: SignedRequest) -> Answer | Held:
        """Answer a request; every failure becomes an error in the service's own form."""
        received = _guarded(partial(self._receive, request), Conduct())
        if isinstance(received, Answer):
            return received
        operation, call = received
        seconds = call.turn.delay()
        proceed = partial(_guarded, partial(self._perform, operation, call), call.turn.conduct)
        return Held(seconds, proceed) if seconds else proceed()

    def _receive(self, request: SignedRequest) -> tuple[Operation, Call]:
        desk = self._desk
        region = verify(
            request,
            access_key=desk.config.access_key,
            secret_key=desk.config.secret_key,
            service="ses",
            now=datetime.fromtimestamp(desk.clock(), UTC),
        )
        operation, labels = self._model.route(request.method, request.path)
        params = parse(operation, labels, request.query, request.body)
        turn = desk.faults.turn(operation.name, params, request.body)
        return operation, Call(desk, params, turn, len(request.body), region)

    def _perform(self, operation: Operation, call: Call) -> Answer:
        call.turn.refuse()
        result = OPERATIONS[operation.name](call)
        operation.check_output(result)
        call.turn.answer()
        return Answer(200, orjson.dumps(result), _headers(), call.turn.conduct)


def _guarded(work: Callable[[], Result], conduct: Conduct) -> Result | Answer:
    """Do the work; whatever it raises becomes an answer that goes out in this way."""
    try:
        return work()
    except ServiceError as error:
        return _error(error, conduct)
    except Violation as violation:
        return _error(ServiceError(INTERNAL, f"The answer is wrong: {violation}", status=500), conduct)
    except Exception:
        logger.exception("localses.operation_failed")
        return _error(ServiceError(INTERNAL, "Local SES failed; see its log.", status=500), conduct)


def _headers() -> dict[str, str]:
    return {"content-type": "application/json", "x-amzn-requestid": secrets.token_hex(16)}


def _error(error: ServiceError, conduct: Conduct) -> Answer:
    if not error.code:  # of a proxy or load balancer before the service
        page = f"<html><body><h1>{error.status} {error.message}</h1></body></html>"
        return Answer(error.status, page.encode(), {"content-type": "text/html"}, conduct)
    headers = {**_headers(), "x-amzn-errortype": error.code}
    return Answer(error.status, orjson.dumps({"__type": error.code, "message": error.message}), headers, conduct)
