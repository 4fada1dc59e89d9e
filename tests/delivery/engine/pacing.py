"""An account's limiter in tests: set its row, look at it, ask it."""

from __future__ import annotations

from delivery.engine import limiter
from delivery.engine.database import Connection
from delivery.engine.limiter import Grant, Refusal
from delivery.models import AccountPace, Lane, SendingAccount


def set_pace(account: SendingAccount, **fields: object) -> None:
    AccountPace.objects.filter(account=account).update(**fields)


def pace_of(account: SendingAccount) -> AccountPace:
    return AccountPace.objects.get(account=account)


def take(raw: Connection, account: SendingAccount, wanted: int = 1, *, lane: int = Lane.CAMPAIGN) -> Grant | Refusal:
    return limiter.take(raw, account.pk, lane=lane, wanted=wanted)


def granted(answer: Grant | Refusal) -> Grant:
    assert isinstance(answer, Grant), answer
    return answer


def refused(answer: Grant | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer
