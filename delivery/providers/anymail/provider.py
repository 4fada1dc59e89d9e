"""The adapter of every service that anymail supports: one request carries as many people as the service takes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import requests
from anymail.exceptions import AnymailError, AnymailInvalidAddress, AnymailSerializationError

from delivery.providers import verdicts
from delivery.providers.anymail import outcomes
from delivery.providers.anymail.backends import make_backend, make_message
from delivery.providers.anymail.batches import Batch, PreparedEmail, make_batches, prepare_email
from delivery.providers.anymail.services import SERVICES
from delivery.providers.base import (
    REACHABLE,
    AccountStatus,
    CallResult,
    Entry,
    EntryResult,
    IdentityStatus,
    Limits,
    OutgoingEmail,
    PermanentError,
    PreparedCall,
    Signal,
    TransientError,
    Variant,
)
from delivery.providers.rules import check_entries
from delivery.providers.verdicts import Verdict, describe, entry_result, heaviest

Judged = tuple[EntryResult, Verdict | None]
STATUS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class AnymailCall:
    """Requests of one call, nearly always one."""

    prepared: PreparedEmail
    batches: list[Batch]
    entries: int
    size: int


class AnymailProvider:
    """A service with an HTTP API. Safe for threads: each call has a backend, thus a connection, to itself.

    variant: the service, as anymail names its module. options: keywords of anymail's backend, such as api_key and api_url.
    `size` of a call is about what goes over the wire: services encode it in ways of their own.
    """

    label: ClassVar[str] = "anymail"
    variants: ClassVar[Mapping[str, Variant]] = {
        key: Variant(service.label, service.options) for key, service in SERVICES.items()
    }
    tells_limits: ClassVar[bool] = False
    inbound: ClassVar[str] = "delivery.providers.anymail.inbound:AnymailInbound"
    name = "anymail"

    def __init__(
        self,
        *,
        variant: str,
        connect_timeout_seconds: float = 3.0,
        read_timeout_seconds: float = 15.0,
        make_backend: Callable[..., Any] = make_backend,
        **options: Any,
    ) -> None:
        service = SERVICES.get(variant)
        if service is None:
            raise PermanentError(f"{variant!r} is no service; there are: {', '.join(sorted(SERVICES))}")
        unknown = sorted(options.keys() - {option.name for option in service.options})
        if unknown:
            raise PermanentError(f"{service.label} has no option {unknown[0]!r}")
        url = str(options.get("api_url", ""))
        if url and not url.startswith(("https://", "http://")):
            raise PermanentError(f"{url!r} is no address of an API: it begins with https://")
        self.limits = Limits(service.entries_per_call, service.bytes_per_call, service.calls_per_second)
        self._service = service
        timeouts = (connect_timeout_seconds, read_timeout_seconds)
        self._make_backend = partial(make_backend, variant, service, options, timeouts)
        self._is_postmark = variant == "postmark"
        self._idle: deque[Any] = deque([self._make_backend()])  # at once, so that wrong options are told at once
        self._pid = os.getpid()

    def prepare(self, email: OutgoingEmail) -> PreparedEmail:
        """Check and write what all calls of this email share. Raises PermanentError."""
        return prepare_email(email, self._service)

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> PreparedCall:
        """Collect each person's values or body; `call_id` comes back with events as metadata `c`. Raises PermanentError."""
        if not isinstance(prepared, PreparedEmail):
            raise TypeError("prepared by another provider")
        check_entries(entries, self.limits.entries_per_call)
        batches, size = make_batches(prepared, self._service, entries, call_id)
        return AnymailCall(prepared, batches, len(entries), size)

    def send(self, call: PreparedCall) -> CallResult:
        """Hand the call over once and tell each entry's fate; see `outcomes` for what each answer means."""
        if not isinstance(call, AnymailCall):
            raise TypeError("built by another provider")
        started = time.monotonic()
        results: list[EntryResult | None] = [None] * call.entries
        troubles: dict[Signal, str] = {}
        for batch in call.batches:
            for place, (result, verdict) in zip(batch.places, self._send(batch), strict=True):
                results[place] = result
                if verdict is not None and verdict.signal is not None:
                    troubles.setdefault(verdict.signal, result.error)
        signal = heaviest(troubles)
        detail = troubles[signal] if signal else ""
        return CallResult([result for result in results if result], signal, detail, time.monotonic() - started)

    def account_status(self) -> AccountStatus:
        """See that the service can be reached; whether the key is right shows with the first email. Raises ProviderError."""
        backend = self._take()
        try:
            backend.session.get(backend.api_url, timeout=STATUS_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            verdict = outcomes.of_error(error)
            kind = PermanentError if verdict is verdicts.SETTINGS else TransientError
            raise kind(describe(verdict, str(error))) from error
        finally:
            self._idle.append(backend)
        return REACHABLE

    def identity_status(self, identity: str) -> IdentityStatus:
        """Services refuse senders when they are used; anymail asks none of them before."""
        return IdentityStatus(identity, verified=True, dkim_status="", mail_from_domain="")

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _send(self, batch: Batch) -> list[Judged]:
        backend = self._take()
        message = make_message(**batch.fields)
        try:
            backend.send_messages([message])
        except (AnymailInvalidAddress, AnymailSerializationError) as error:
            return _all(batch, verdicts.BAD_CALL if len(batch.places) > 1 else verdicts.BAD_REQUEST, str(error))
        except AnymailError as error:
            return self._judge_error(batch, message, error)
        except PermanentError as error:
            return _all(batch, verdicts.SETTINGS, str(error))
        finally:
            self._idle.append(backend)
        if self._is_postmark:
            judged = outcomes.of_postmark(message.as_document, len(batch.places))
            return judged or _all(batch, verdicts.MALFORMED, "")
        return outcomes.of_recipients(
            message.anymail_status.recipients,
            batch.addresses,
            is_unknown_accepted=self._service.is_unknown_accepted,
            fallback_id="taken",
        )

    def _judge_error(self, batch: Batch, message: Any, error: AnymailError) -> list[Judged]:
        if isinstance(error, requests.RequestException) and error.response is None:
            cause = error.__cause__ or error
            verdict = outcomes.of_error(cause)
            return _all(batch, verdict, "timed out" if isinstance(cause, requests.Timeout) else str(cause))
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status is None:  # refused here, before anything was sent: a feature that the service lacks
            return _all(batch, verdicts.SETTINGS, str(error))
        if self._is_postmark:
            judged = outcomes.of_postmark(getattr(message, "as_document", None), len(batch.places))
            if judged is not None:
                return judged
        text = str(getattr(response, "text", ""))
        return _all(batch, outcomes.of_answer(status, text, len(batch.places)), f"HTTP {status} {text}")

    def _take(self) -> Any:
        if self._pid != os.getpid():
            self._idle = deque()
            self._pid = os.getpid()
        with suppress(IndexError):
            backend = self._idle.pop()
            backend.open()  # after a close
            return backend
        return self._make_backend()


def _all(batch: Batch, verdict: Verdict, text: str) -> list[Judged]:
    return [(entry_result(verdict, text), verdict)] * len(batch.places)
