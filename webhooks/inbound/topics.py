"""Whose topics we believe. A valid signature only proves some topic: anybody with an AWS account can make one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from delivery.models import SendingAccount

# For how long a topic that was taken off its account is believed still; each process asks the database that often.
KNOWN_SECONDS = 5.0
# An unknown topic may have been added a moment ago; forged ones must not make us ask the database each time.
RELOAD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TopicAccount:
    """What the receiver needs of the account that lists a topic."""

    account_id: int
    is_local: bool


class Topics:
    """The allow-list of all accounts, read at most once per second and process."""

    def __init__(self) -> None:
        self._accounts: dict[str, TopicAccount] = {}
        self._read_at = -KNOWN_SECONDS

    def find(self, arn: str) -> TopicAccount | None:
        now = time.monotonic()
        age = now - self._read_at
        if age > KNOWN_SECONDS or (arn not in self._accounts and age > RELOAD_SECONDS):
            self._accounts = _read()
            self._read_at = now
        return self._accounts.get(arn)


def _read() -> dict[str, TopicAccount]:
    found: dict[str, TopicAccount] = {}
    rows = SendingAccount.objects.order_by("id").values_list("id", "is_local", "topic_arns")
    for account_id, is_local, arns in rows:
        for arn in arns:
            found.setdefault(arn, TopicAccount(account_id, is_local))
    return found
