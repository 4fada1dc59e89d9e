"""The query protocol of SNS: parameters come as a form, answers and errors go out as XML."""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape

from localses.api import Answer
from localses.disturbing import Conduct
from localses.errors import ServiceError

Params = dict[str, str]

_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
# The names that the query protocol has for refusals of the signature.
_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "AccessDeniedException": "AuthorizationError",
}


def entries(params: Params, name: str) -> Params:
    """Read a map of the query protocol: `Attributes.entry.1.key`, `Attributes.entry.1.value`."""
    found = {}
    position = 1
    while (key := params.get(f"{name}.entry.{position}.key")) is not None:
        found[key] = params.get(f"{name}.entry.{position}.value", "")
        position += 1
    return found


def attribute_map(values: Params) -> str:
    """Write a map as SNS does."""
    rows = "".join(
        f"<entry><key>{escape(key)}</key><value>{escape(value)}</value></entry>" for key, value in values.items()
    )
    return f"<Attributes>{rows}</Attributes>"


def answer(action: str, result: str, conduct: Conduct) -> Answer:
    """Answer a call with what came of it."""
    body = f"<{action}Result>{result}</{action}Result>" if result else ""
    return _xml(200, f"{action}Response", body, conduct)


def refusal(error: ServiceError, conduct: Conduct) -> Answer:
    """Answer a call with an error, under the name that the query protocol has for it."""
    code = _CODES.get(error.code, error.code)
    kind = "Sender" if error.status < 500 else "Receiver"
    body = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
    return _xml(error.status, "ErrorResponse", body, conduct)


def _xml(status: int, element: str, body: str, conduct: Conduct) -> Answer:
    request_id = str(uuid.uuid4())
    meta = f"<RequestId>{request_id}</RequestId>"
    if element != "ErrorResponse":
        meta = f"<ResponseMetadata>{meta}</ResponseMetadata>"
    text = f'<{element} xmlns="{_NAMESPACE}">{body}{meta}</{element}>'
    headers = {"content-type": "text/xml", "x-amzn-requestid": request_id}
    return Answer(status, text.encode(), headers, conduct)
