"""Numbers of mailouts."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from delivery.services.partitions import MAILOUTS_PER_MONTH, month_number


def new_mailout_id(*, at: datetime) -> int:
    """Months since 2020 × 1,000,000 + the month's running number. Holds a row lock until the transaction ends."""
    month = month_number(at)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO delivery_mailout_counter AS c (month, last) VALUES (%s, 1)
            ON CONFLICT (month) DO UPDATE SET last = c.last + 1 RETURNING last
            """,
            [month],
        )
        last: int = cursor.fetchone()[0]
    return month * MAILOUTS_PER_MONTH + last
