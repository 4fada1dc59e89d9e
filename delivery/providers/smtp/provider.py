"""The SMTP adapter: a call is a handful of messages, handed over one after the other on one kept connection.

Each message of a call has a fate of its own: what was answered before a connection broke stands, the one whose reply was
lost is ambiguous, and what had not begun is to be tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import ClassVar, Final, NamedTuple

from delivery.providers import verdicts
from delivery.providers.base import (
    ACCEPTED,
    REACHABLE,
    AccountStatus,
    CallResult,
    Entry,
    EntryResult,
    IdentityStatus,
    Limits,
    Option,
    Outcome,
    OutgoingEmail,
    PermanentError,
    PreparedCall,
    Signal,
    TransientError,
    Variant,
)
from delivery.providers.rules import check_address, check_entries
from delivery.providers.smtp import replies
from delivery.providers.smtp.backend import open_backend
from delivery.providers.smtp.conversation import CLOSING, AnswerLostError, NotHandedOverError, forget, hand_over
from delivery.providers.smtp.mime import PreparedMail, build_message, prepare_mail
from delivery.providers.smtp.sessions import Backend, OpeningFailedError, Session, SessionPool
from delivery.providers.verdicts import Verdict, describe, entry_result, heaviest

ENTRIES_PER_CALL: Final = 20
BYTES_PER_CALL: Final = 20_000_000
PROVIDER_ID_CHARACTERS: Final = 63
START_SECONDS: Final = 8.0  # no message of a call begins later; the engine gives a call up after its lease
CALL_SECONDS: Final = 18.0  # and none is waited for longer


def gettext_noop(text: str) -> str:
    """Mark a sentence for the catalogue of translations; the name is what its tools look for."""
    return text


_OPTIONS = (
    Option("host", gettext_noop("Server"), gettext_noop("Such as smtp.example.com.")),
    Option("port", gettext_noop("Port"), gettext_noop("Mostly 587 with STARTTLS, 465 with TLS."), default=587),
    Option(
        "security",
        gettext_noop("Encryption"),
        default="starttls",
        choices=(
            ("starttls", "STARTTLS"),
            ("tls", "TLS"),
            ("none", gettext_noop("None: only within one’s own network")),
        ),
    ),
    Option("username", gettext_noop("User name"), is_required=False),
    Option("password", gettext_noop("Password"), is_secret=True, is_required=False),
    Option(
        "return_path",
        gettext_noop("Address for bounces"),
        gettext_noop("Where servers return what can’t be delivered. Empty: the sender."),
        is_required=False,
    ),
)


class Mail(NamedTuple):
    """One message of a call."""

    recipient: str
    pieces: list[bytes]
    size: int
    message_id: str


@dataclass(frozen=True, slots=True)
class SmtpCall:
    """Messages with one envelope sender."""

    sender: str
    mails: list[Mail]
    size: int


class SmtpProvider:
    """A mail server. Safe for threads: each call has a connection to itself, and gives it back.

    security: "starttls", "tls" or "none". return_path: envelope sender instead of the From address.
    max_idle_seconds: a connection idle for longer is not used again. Raises PermanentError for what can't be a server.
    """

    label: ClassVar[str] = "SMTP"
    variants: ClassVar[Mapping[str, Variant]] = {"": Variant(gettext_noop("A mail server, by SMTP"), _OPTIONS)}
    tells_limits: ClassVar[bool] = False
    inbound: ClassVar[str] = ""
    name = "smtp"
    limits = Limits(entries_per_call=ENTRIES_PER_CALL, bytes_per_call=BYTES_PER_CALL)

    def __init__(
        self,
        *,
        host: str,
        port: int = 587,
        security: str = "starttls",
        username: str = "",
        password: str = "",
        return_path: str = "",
        connect_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 15.0,
        max_idle_seconds: float = 25.0,
        open_backend: Callable[..., Backend] = open_backend,
    ) -> None:
        if not host or any(character.isspace() or not character.isprintable() for character in host):
            raise PermanentError(f"{host!r} is no mail server's name")
        if not 0 < port < 65536:
            raise PermanentError(f"{port} is no port")
        if security not in ("starttls", "tls", "none"):
            raise PermanentError(f"{security!r} is no encryption: starttls, tls or none")
        if return_path:
            check_address(return_path)
        self._return_path = return_path
        self._read_timeout_seconds = read_timeout_seconds
        self._pool = SessionPool(
            partial(
                open_backend,
                host=host,
                port=port,
                username=username,
                password=password,
                security=security,
                timeout_seconds=connect_timeout_seconds,
            ),
            max_idle_seconds=max_idle_seconds,
        )

    def prepare(self, email: OutgoingEmail) -> PreparedMail:
        """Check and encode what all messages of this email share. Raises PermanentError."""
        return prepare_mail(email)

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> PreparedCall:
        """Build the messages; `call_id` stands in each one's X-AmazonSender header. Raises PermanentError."""
        if not isinstance(prepared, PreparedMail):
            raise TypeError("prepared by another provider")
        check_entries(entries, ENTRIES_PER_CALL)
        date = formatdate()
        mails = []
        for entry in entries:
            pieces = build_message(prepared, entry, call_id, date)
            mails.append(Mail(entry.address, pieces, sum(map(len, pieces)), f"<{entry.tag}@{prepared.domain}>"))
        return SmtpCall(self._return_path or prepared.sender, mails, sum(mail.size for mail in mails))

    def send(self, call: PreparedCall) -> CallResult:
        """Hand the messages over one by one and tell each one's fate; see `replies` for what each answer means."""
        if not isinstance(call, SmtpCall):
            raise TypeError("built by another provider")
        started = time.monotonic()
        handover = _Handover(self._pool, call, started, self._read_timeout_seconds)
        entries = handover.run()
        return CallResult(entries, handover.signal, handover.detail, time.monotonic() - started)

    def account_status(self) -> AccountStatus:
        """Connect and sign in; a mail server knows no limits that it would tell. Raises ProviderError."""
        try:
            session = self._pool.take()
        except OpeningFailedError as error:
            text = describe(error.verdict, str(error))
            raise (PermanentError if error.verdict.signal is Signal.MISCONFIGURED else TransientError)(text) from error
        self._pool.give_back(session)
        return REACHABLE

    def identity_status(self, identity: str) -> IdentityStatus:
        """A mail server refuses senders when they are used, and can't be asked before."""
        return IdentityStatus(identity, verified=True, dkim_status="", mail_from_domain="")

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()


class _Handover:
    """One call on its way. `signal` and `detail` are the heaviest thing that its answers say about the account."""

    def __init__(self, pool: SessionPool, call: SmtpCall, started: float, read_timeout_seconds: float) -> None:
        self.signal: Signal | None = None
        self.detail = ""
        self._pool = pool
        self._call = call
        self._started = started
        self._read_timeout_seconds = read_timeout_seconds
        self._session: Session | None = None
        self._stop: tuple[Verdict, str] | None = None  # what all that has not begun shares

    def run(self) -> list[EntryResult]:
        results = [self._one(mail) for mail in self._call.mails]
        if self._session is not None:
            self._pool.give_back(self._session)
        return results

    def _one(self, mail: Mail) -> EntryResult:
        if self._stop is None and time.monotonic() - self._started > START_SECONDS:
            self._stop = replies.NOT_TRIED, "the messages before it took too long"
        if self._stop is not None:
            return entry_result(*self._stop)
        try:
            reply = self._hand_over(mail)
        except OpeningFailedError as error:
            return self._refuse(error.verdict, str(error), stops=True)
        except NotHandedOverError as error:
            return self._refuse(verdicts.UNREACHABLE, str(error), stops=True)
        except AnswerLostError as error:
            self._drop()
            self._stop = replies.NOT_TRIED, "the connection was lost before"
            return entry_result(verdicts.LOST, str(error))
        verdict = replies.judge(reply)
        if verdict.outcome is Outcome.ACCEPTED:
            return EntryResult(ACCEPTED, _queue_id(reply.text) or mail.message_id, "")
        self._make_ready(reply)
        return self._refuse(verdict, f"{reply.code} {reply.text}", stops=verdict.signal is not None)

    def _hand_over(self, mail: Mail) -> replies.Reply:
        """Try on the connection at hand, and once more on a new one where that one was at its end already.

        A server may close after so many messages or so much time; before it has a message, nothing was sent.
        """
        session = self._session = self._session or self._pool.take()
        was_used = session.messages > 0
        try:
            reply = self._attempt(session, mail)
            if not (was_used and reply.code == CLOSING and reply.step == replies.MAIL):
                return reply
        except NotHandedOverError:
            if not was_used:
                raise
        self._drop()
        session = self._session = self._pool.open()
        return self._attempt(session, mail)

    def _attempt(self, session: Session, mail: Mail) -> replies.Reply:
        try:
            reply = hand_over(
                session.smtp,
                sender=self._call.sender,
                recipient=mail.recipient,
                pieces=mail.pieces,
                size=mail.size,
                limit_wait=partial(self._limit_wait, session),
            )
        except (NotHandedOverError, AnswerLostError):
            self._drop()
            raise
        session.messages += 1
        return reply

    def _limit_wait(self, session: Session) -> None:
        left = self._started + CALL_SECONDS - time.monotonic()
        session.socket.settimeout(max(0.1, min(left, self._read_timeout_seconds)))

    def _make_ready(self, reply: replies.Reply) -> None:
        if self._session is not None and (reply.code == CLOSING or not forget(self._session.smtp)):
            self._drop()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.discard()
            self._session = None

    def _refuse(self, verdict: Verdict, text: str, *, stops: bool) -> EntryResult:
        result = entry_result(verdict, text)
        if verdict.signal is not None and heaviest(filter(None, (self.signal, verdict.signal))) is not self.signal:
            self.signal, self.detail = verdict.signal, result.error
        if stops:
            self._stop = Verdict(Outcome.RETRY, verdict.signal, verdict.code), text
        return result


def _queue_id(text: str) -> str:
    """What the server answered to a message, mostly its name for it in its own log."""
    return " ".join("".join(char for char in text if char.isprintable()).split())[:PROVIDER_ID_CHARACTERS].strip()
