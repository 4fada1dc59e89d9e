"""What the engine asks of a sending service, and what a sending service may answer.

Plain Python: no Django, configuration by constructor. An adapter is one folder beside this file.
The engine's rules that shape this contract: an outcome is accepted, definitely not accepted (then it may be
tried again, or it is final), or ambiguous, and an ambiguous one is never sent again by a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, NamedTuple, Protocol


class ProviderError(Exception):
    """Base of what a provider's account and identity calls raise; the message can be shown to a person."""


class TransientError(ProviderError):
    """It did not happen, and may work later: throttled, refused connection, name not resolved."""


class PermanentError(ProviderError):
    """It did not happen and will not until somebody changes something: credentials, permissions, input."""


class AmbiguousError(ProviderError):
    """Nobody knows whether it happened: time-out, connection reset after the request was handed over, 5xx."""


class Outcome(IntEnum):
    """Fate of one entry of a call."""

    ACCEPTED = 1
    RETRY = 2  # definitely not sent; another attempt may succeed
    REJECTED = 3  # definitely not sent; another attempt would fail alike
    AMBIGUOUS = 4  # may have been sent; never sent again by the engine


ACCEPTED = Outcome.ACCEPTED  # for where it is asked for each message: in Python 3.11 looking a member up takes 0.4 µs


class Signal(StrEnum):
    """What a call's answer says about the account rather than about one entry."""

    THROTTLED = "throttled"
    QUOTA_EXCEEDED = "quota_exceeded"
    ACCOUNT_PAUSED = "account_paused"
    ACCOUNT_SUSPENDED = "account_suspended"
    SENDER_NOT_VERIFIED = "sender_not_verified"
    MISCONFIGURED = "misconfigured"  # credentials, permissions, configuration set, region, clock
    UNREACHABLE = "unreachable"  # nothing was handed over: name, connection, TLS


class EntryResult(NamedTuple):
    """One entry's fate. `error` is a short code and text fit for a person, "" when accepted."""

    outcome: Outcome
    provider_id: str
    error: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """One result per entry, in the order of the entries."""

    entries: Sequence[EntryResult]
    signal: Signal | None = None
    detail: str = ""
    seconds: float = 0.0


class Entry(NamedTuple):
    """One recipient of a call.

    address: RFC 5321 mailbox as it goes on the wire (punycode domain, ASCII).
    values: slot name to text; every slot of the email, already escaped for its place.
    headers: headers of this recipient alone, e.g. List-Unsubscribe. ASCII names and values.
    tag: the message's signed token, `[A-Za-z0-9_-]`, at most 200 characters; comes back with events as `m`.
    """

    address: str
    values: dict[str, str]
    headers: tuple[tuple[str, str], ...]
    tag: str


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """What all recipients of a compiled email share.

    subject, html, text: templates in which `{{name}}` stands for the slot `name` and nothing else is special.
    sender: an RFC 5322 mailbox, ASCII, phrase already encoded.
    segments: the same three parts as alternating constant and slot name, `("Hi ", "s0", "!")`, for providers
    that have no templates; joining them with an entry's values gives the same bytes.
    """

    sender: str
    reply_to: tuple[str, ...]
    subject: str
    html: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    configuration_set: str = ""
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)


class PreparedCall(Protocol):
    """An encoded, signed request that can be handed over once. The engine only counts and sends it."""

    @property
    def size(self) -> int:
        """Bytes of the body on the wire."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may carry, and how many calls a second the service takes where it counts them.

    Few calls a second make full ones, also for an account that may send to few people a second.
    """

    entries_per_call: int
    bytes_per_call: int
    calls_per_second: float = 1000.0


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """State of the account at the provider. Rates are recipients per second.

    max_24_hour_send: -1 when unlimited. Providers that tell no limits say -1 to both.
    """

    sending_enabled: bool
    production_access: bool
    enforcement_status: str
    max_24_hour_send: float
    max_send_rate: float
    sent_last_24_hours: float


# What can be said of an account whose service answers and tells nothing else.
REACHABLE = AccountStatus(
    sending_enabled=True,
    production_access=True,
    enforcement_status="",
    max_24_hour_send=-1,
    max_send_rate=-1,
    sent_last_24_hours=0,
)


@dataclass(frozen=True, slots=True)
class IdentityStatus:
    """A sender address or domain at the provider."""

    identity: str
    verified: bool
    dkim_status: str
    mail_from_domain: str
    detail: str = ""


class Option(NamedTuple):
    """One thing that its owner enters to connect an account.

    name: keyword of the provider's constructor. label, help: English, marked for translation. choices: the allowed
    values with their labels; none for free text. default: a text that stands in the form; with a number as default the
    value is a whole number. Secrets are kept sealed and never shown again.
    """

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True
    default: str | int = ""
    choices: tuple[tuple[str, str], ...] = ()


class Variant(NamedTuple):
    """One service that a provider can carry mail through, and what connecting it takes."""

    label: str
    options: tuple[Option, ...]


class InboundEvent(NamedTuple):
    """One thing that a service reports about one message.

    id: the service's id of the event, the same whenever it is told again. kind: anymail's word for it, such as
    "delivered", "bounced" or "clicked". at: None where the service does not say. tag: the message's token, "" where the
    service does not carry it; then `provider_id` and `address` find the message. reason: anymail's reject reason.
    text: what the mail server or the service said.
    """

    id: str
    kind: str
    at: datetime | None
    tag: str
    provider_id: str
    address: str
    reason: str = ""
    text: str = ""
    link: str = ""
    user_agent: str = ""
    is_permanent: bool = False


class ForgedRequestError(Exception):
    """A request that the service did not make: no signature, a wrong one, or the wrong secret."""


class UnreadableRequestError(Exception):
    """A genuine request that says nothing that can be read."""


class Inbound(Protocol):
    """How a service reports events over HTTP."""

    def is_guarded(self, options: Mapping[str, Any]) -> bool:
        """Whether what was entered for the account tells its genuine requests from forgeries."""
        ...

    def read(self, request: Any, options: Mapping[str, Any]) -> list[InboundEvent]:
        """Check and read a Django HttpRequest. Raises ForgedRequestError, UnreadableRequestError."""
        ...


class Provider(Protocol):
    """A sending service. `prepare` and `build` are pure; `send` may be called from many threads at once."""

    name: str
    limits: Limits

    def prepare(self, email: OutgoingEmail) -> object:
        """Encode once what all calls of this email share. Raises PermanentError when a limit is exceeded."""
        ...

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> PreparedCall:
        """Encode and sign one call; `call_id` (hex) comes back with events as tag `c`.

        Raises PermanentError when an entry breaks a limit.
        """
        ...

    def send(self, call: PreparedCall) -> CallResult:
        """Hand the call over once. Never raises for what the provider or the network does; never retries."""
        ...

    def account_status(self) -> AccountStatus: ...

    def identity_status(self, identity: str) -> IdentityStatus: ...

    def close(self) -> None: ...


class ConnectableProvider(Provider, Protocol):
    """A provider that stands in the registry: what its class says about connecting an account.

    label: its name for people. variants: what may be connected, by the constructor's argument `variant` ("" where there
    is but one); empty where accounts are connected in a way of their own. tells_limits: whether `account_status` knows
    rate and day limit; otherwise the account's owner sets them. inbound: "module:factory" of an Inbound, or "".
    """

    label: ClassVar[str]
    variants: ClassVar[Mapping[str, Variant]]
    tells_limits: ClassVar[bool]
    inbound: ClassVar[str]
