"""Reports of sending services: checked and normalised by anymail's webhook views, one object an account.

A view is never asked without what proves its reports: without a key or secret anymail would believe anybody.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import time
import warnings
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import orjson
from anymail.exceptions import AnymailConfigurationError, AnymailError, AnymailWebhookValidationFailure

from delivery.providers.anymail.services import SERVICES
from delivery.providers.base import ForgedRequestError, InboundEvent, UnreadableRequestError

TEXT: Final = 300  # characters kept of any text that the other side wrote
SVIX_TOLERANCE_SECONDS: Final = 300
# Where services say whether a bounce is for good; anymail's event has one word for both.
_HINTS: Final = frozenset(
    {
        *(
            "event",
            "event_name",
            "Type",
            "type",
            "severity",
            "hard_bounce",
            "bounce_class",
            "bounceType",
            "bounce_type",
        ),
        *("delivery_status", "status"),
    }
)
_REFUSED: Final = (AnymailError, AnymailConfigurationError)
_SOFT: Final = ("soft", "temporary", "transient", "blocked", "undetermined", "delayed")
_SPARKPOST_HARD: Final = frozenset({"10", "30", "90"})
# https://docs.sparkpost.com: 10 invalid recipient, 30 generic bounce without a recipient, 90 unsubscribed


class AnymailInbound:
    """Reads the reports of any service in the table. options: those of the account, with `variant` and `events_url`."""

    def is_guarded(self, options: Mapping[str, Any]) -> bool:
        """Whether a key or secret that proves the service's reports was entered."""
        service = SERVICES.get(str(options.get("variant")))
        return service is not None and any(options.get(name) for name in service.guards)

    def read(self, request: Any, options: Mapping[str, Any]) -> list[InboundEvent]:
        """Check and read a request. Raises ForgedRequestError and UnreadableRequestError."""
        if not self.is_guarded(options):
            raise ForgedRequestError("no key or secret of the service is known")
        variant = str(options["variant"])
        guards = {name: options[name] for name in SERVICES[variant].guards if options.get(name)}
        if variant == "resend" and "signing_secret" in guards:
            _check_svix(request, str(guards.pop("signing_secret")))
        if variant == "mandrill":
            guards["webhook_url"] = options.get("events_url")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of secrets that a signature stands in for
                view = _view_class(variant)(**guards)
            view.run_validators(request)
        except AnymailWebhookValidationFailure as error:
            raise ForgedRequestError(str(error).splitlines()[0][:TEXT]) from error
        except (
            AnymailError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:  # a key that is none, a body that is none
            raise ForgedRequestError(f"cannot be checked: {type(error).__name__}") from error
        try:
            return list(_events(view.parse_events(request)))
        except (*_REFUSED, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UnreadableRequestError(f"{type(error).__name__}: {str(error)[:100]}") from error


def _view_class(variant: str) -> Any:
    module = import_module(f"anymail.webhooks.{variant}")
    return next(
        found
        for name, found in vars(module).items()
        if name.endswith("TrackingWebhookView") and found.__module__ == module.__name__
    )


def _check_svix(request: Any, secret: str) -> None:
    """Resend's signature: https://docs.svix.com/receiving/verifying-payloads/how-manual."""
    identity = request.headers.get("svix-id", "")
    timestamp = request.headers.get("svix-timestamp", "")
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
        age = abs(time.time() - int(timestamp))
    except (binascii.Error, ValueError) as error:
        raise ForgedRequestError("no time, or a signing secret that is none") from error
    signed = f"{identity}.{timestamp}.".encode() + request.body
    expected = b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [part.removeprefix("v1,") for part in request.headers.get("svix-signature", "").split()]
    if age > SVIX_TOLERANCE_SECONDS or not any(hmac.compare_digest(expected, one) for one in given):
        raise ForgedRequestError("wrong signature")


def _events(found: list[Any]) -> Iterator[InboundEvent]:
    for event in found:
        raw = _raw(event.esp_event)
        tag = str((event.metadata or {}).get("m") or "")
        if not tag:
            tag = next((str(one).partition(".")[0] for one in event.tags or () if "." in str(one)), "")
        yield InboundEvent(
            id=str(event.event_id or hashlib.sha256(raw).hexdigest()),
            kind=str(event.event_type),
            at=event.timestamp,
            tag=_text(tag),
            provider_id=_text(event.message_id),
            address=_text(event.recipient),
            reason=_text(event.reject_reason),
            text=_text(event.mta_response or event.description),
            link=_text(event.click_url),
            user_agent=_text(event.user_agent),
            is_permanent=_is_permanent(event.esp_event, _text(event.mta_response)),
        )


def _raw(esp_event: Any) -> bytes:
    plain = esp_event.dict() if hasattr(esp_event, "dict") else esp_event
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)


def _text(value: object) -> str:
    return "" if value is None else str(value).replace("\0", "")[:TEXT].encode("utf-8", "replace").decode()


def _is_permanent(esp_event: Any, answer: str) -> bool:
    """Whether a bounce is for good, by the service's own words, else by the mail server's."""
    hints = dict(_hints(esp_event, 3))
    words = " ".join(f"{value}" for value in hints.values()).lower()
    if hints.get("hard_bounce") is False or any(word in words for word in _SOFT):
        return False
    if "bounce_class" in hints:
        return str(hints["bounce_class"]) in _SPARKPOST_HARD
    return not answer.lstrip().startswith("4")


def _hints(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if hasattr(value, "dict"):
        value = value.dict()
    if not isinstance(value, dict) or depth == 0:
        return
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _hints(inner, depth - 1)
        elif name in _HINTS:
            yield name, inner
