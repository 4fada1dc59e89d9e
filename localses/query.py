"""Amazon's query protocol: parameters come as a form, answers and errors go out as XML."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from localses.api import Answer
from localses.disturbing import Conduct
from localses.errors import ServiceError

# The names that the protocol has for refusals of the signature.
_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}


@dataclass(frozen=True)
class QueryProtocol:
    """As one service speaks it. denied: its name for what the keys may not do."""

    namespace: str
    denied: str

    def answer(self, action: str, result: str, conduct: Conduct) -> Answer:
        """Answer a call with what came of it, in XML."""
        body = f"<{action}Result>{result}</{action}Result>" if result else ""
        return self._xml(200, f"{action}Response", body, conduct)

    def refusal(self, error: ServiceError, conduct: Conduct) -> Answer:
        """Answer a call with an error, under the name that the protocol has for it."""
        code = (_CODES | {"AccessDeniedException": self.denied}).get(error.code, error.code)
        kind = "Sender" if error.status < 500 else "Receiver"
        body = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
        return self._xml(error.status, "ErrorResponse", body, conduct)

    def _xml(self, status: int, element: str, body: str, conduct: Conduct) -> Answer:
        request_id = str(uuid.uuid4())
        meta = f"<RequestId>{request_id}</RequestId>"
        if element != "ErrorResponse":
            meta = f"<ResponseMetadata>{meta}</ResponseMetadata>"
        text = f'<{element} xmlns="{self.namespace}">{body}{meta}</{element}>'
        headers = {"content-type": "text/xml", "x-amzn-requestid": request_id}
        return Answer(status, text.encode(), headers, conduct)
