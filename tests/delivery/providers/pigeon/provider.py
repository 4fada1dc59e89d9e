from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from delivery.providers.base import (
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
    Variant,
)
from delivery.providers.rules import check_email, check_entries, fill, segments_of

LOFTS: dict[str, list[tuple[str, str, str]]] = {}  # by name: address, subject, tag of each letter taken


@dataclass(frozen=True)
class Flight:
    letters: list[tuple[str, str, str]]
    size: int


class PigeonProvider:
    label: ClassVar[str] = "Pigeons"
    variants: ClassVar[Mapping[str, Variant]] = {
        "": Variant(
            "Carrier pigeons",
            (
                Option("loft", "Loft", "Where they live."),
                Option("feed", "Feed", choices=(("corn", "Corn"), ("peas", "Peas")), default="corn"),
                Option("whistle", "Whistle", "They obey it.", is_secret=True),
            ),
        )
    }
    tells_limits: ClassVar[bool] = False
    inbound: ClassVar[str] = "tests.delivery.providers.pigeon.inbound:PigeonInbound"
    name = "pigeon"
    limits = Limits(entries_per_call=7, bytes_per_call=10_000)

    def __init__(self, *, loft: str, whistle: str, feed: str = "corn") -> None:
        if not loft.isalpha():
            raise PermanentError(f"{loft!r} is no loft: letters only")
        self._loft, self._whistle, self._feed = loft, whistle, feed

    def prepare(self, email: OutgoingEmail) -> OutgoingEmail:
        check_email(email)
        return email

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> PreparedCall:
        if not isinstance(prepared, OutgoingEmail):
            raise TypeError("prepared by another provider")
        check_entries(entries, self.limits.entries_per_call)
        subject = segments_of(prepared, "subject")
        letters = [(entry.address, fill(subject, entry.values), entry.tag) for entry in entries]
        return Flight(letters, sum(len(subject) for _, subject, _ in letters))

    def send(self, call: PreparedCall) -> CallResult:
        if not isinstance(call, Flight):
            raise TypeError("built by another provider")
        if self._whistle != "tweet":
            refused = EntryResult(Outcome.RETRY, "", "credentials: they do not listen")
            return CallResult([refused] * len(call.letters), Signal.MISCONFIGURED, refused.error)
        loft = LOFTS.setdefault(self._loft, [])
        results = []
        for letter in call.letters:
            loft.append(letter)
            results.append(EntryResult(Outcome.ACCEPTED, f"pigeon-{len(loft)}", ""))
        return CallResult(results)

    def account_status(self) -> AccountStatus:
        if self._whistle != "tweet":
            raise PermanentError("they do not listen to this whistle")
        return REACHABLE

    def identity_status(self, identity: str) -> IdentityStatus:
        return IdentityStatus(identity, verified=True, dkim_status="", mail_from_domain="")

    def close(self) -> None:
        """Nothing is open."""
