"""How long a sending will take."""

from __future__ import annotations

from delivery.models import SendingAccount


def sending_seconds(people: int, account: SendingAccount | None) -> float:
    """Estimated seconds until everybody has it, at the account's own limits; 0 when nobody can tell."""
    if account is None or not people:
        return 0.0
    rate = allowed_rate(account)
    return people / rate if rate > 0 else 0.0


def allowed_rate(account: SendingAccount) -> float:
    """People per second that Amazon and the account's own limit allow."""
    return min(account.max_send_rate, account.rate_limit or account.max_send_rate)


def free_quota(account: SendingAccount | None) -> float | None:
    """How many people the account may still mail today; None when unlimited or unknown."""
    if account is None or account.max_24_hour_send < 0:
        return None
    return max(0.0, account.max_24_hour_send - account.sent_last_24_hours)
