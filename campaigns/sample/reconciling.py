"""Comparing two records that were kept apart: what our ledger says was sent, and what Local SES says it accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import connection

from campaigns.sample.localses import Accepted
from delivery.models import Mailout, MessageState
from delivery.selectors.unanswered import connection_words
from delivery.tokens import read_track_token
from subscribers.addresses import InvalidAddress, canonical

EXAMPLES = 5


@dataclass
class Comparison:
    """Both sides by the number, and whoever does not match, by address."""

    ledger: int = 0
    localses: int = 0
    missing: list[str] = field(default_factory=list)  # the ledger says sent, Local SES knows nothing
    surplus: list[str] = field(default_factory=list)  # Local SES accepted, the ledger does not say sent
    different: list[str] = field(default_factory=list)  # another address or another message id
    twice: list[str] = field(default_factory=list)
    unanswered: dict[str, list[str]] = field(default_factory=dict)  # reason → whom neither side can vouch for

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.surplus or self.different or self.twice)

    def sentence(self) -> str:
        """The result in words."""
        if self.is_equal:
            agreed = f"Local SES and the ledger agree, person by person: {self.ledger} sent, {self.localses} accepted."
            return "\n".join([agreed, *self._unanswered_sentences()])
        parts = [
            f"{len(people)} {word} ({', '.join(people[:EXAMPLES])})"
            for word, people in (
                ("missing at Local SES", self.missing),
                ("not in the ledger", self.surplus),
                ("different", self.different),
                ("twice", self.twice),
            )
            if people
        ]
        said = f"Local SES and the ledger DISAGREE: {self.ledger} sent, {self.localses} accepted; {'; '.join(parts)}."
        return "\n".join([said, *self._unanswered_sentences()])

    def _unanswered_sentences(self) -> list[str]:
        return [
            f"Without an answer, and not sent to again: {len(people)} ({', '.join(people)}). {reason}"
            for reason, people in self.unanswered.items()
        ]


def compare(mailout: Mailout, accepted: Iterable[Accepted]) -> Comparison:
    """Compare person by person: address and message id of every message of the mailout."""
    result = Comparison()
    expected = _ledger(mailout)
    result.ledger = len(expected)
    seen: set[int] = set()
    for entry in accepted:
        token = read_track_token(entry.tag)
        if token is None or token.mailout_id != mailout.pk:
            continue
        result.localses += 1
        if token.n in seen:
            result.twice.append(entry.to)
            continue
        seen.add(token.n)
        wanted = expected.get(token.n)
        if wanted is None:
            result.surplus.append(entry.to)
        elif wanted != (_key(entry.to), entry.message_id):
            result.different.append(entry.to)
    result.missing = [address for n, (address, _id) in expected.items() if n not in seen]
    result.unanswered = _unanswered(mailout)
    return result


_ADDRESS_JOINS = """
  LEFT JOIN subscribers_subscriber s ON s.id = m.subscriber_id
  LEFT JOIN delivery_message_address a ON a.mailout_id = m.mailout_id AND a.n = m.n
"""


def _unanswered(mailout: Mailout) -> dict[str, list[str]]:
    """Addresses of the messages that got no answer, by what is known of the reason."""
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(s.address_key, lower(a.address), ''), coalesce(m.error, '') FROM delivery_message m"
            f"{_ADDRESS_JOINS} WHERE m.mailout_id = %s AND m.state = %s ORDER BY m.n",
            [mailout.pk, int(MessageState.UNKNOWN)],
        )
        for address, error in cursor.fetchall():
            found.setdefault(connection_words(error) or error, []).append(address)
    return found


def _ledger(mailout: Mailout) -> dict[int, tuple[str, str]]:
    """Number → (canonical address, message id) of everybody whom the provider took the email for.

    A message that failed later, because the provider could not render it, was accepted as well and has its id.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.n, coalesce(s.address_key, lower(a.address)), m.provider_id FROM delivery_message m"
            f"{_ADDRESS_JOINS} WHERE m.mailout_id = %s AND (m.state = %s OR m.provider_id IS NOT NULL)",
            [mailout.pk, int(MessageState.SENT)],
        )
        return {n: (address or "", provider_id or "") for n, address, provider_id in cursor.fetchall()}


def _key(address: str) -> str:
    try:
        return canonical(address).key
    except InvalidAddress:
        return address
