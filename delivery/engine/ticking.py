"""The tick: what happens every second whether or not anybody calls. Any number of ticks may run at once."""

from __future__ import annotations

from delivery.engine.braking import apply_brakes, move_pilots
from delivery.engine.claiming import accounts_with_due_work
from delivery.engine.database import Connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.reaping import reap
from delivery.engine.slots import free_slots

CALLS_KEPT_DAYS = 7


def tick(connection: Connection, *, slots: int) -> int:
    """Reap, brake, move pilots, finish. Returns how many engine loops to wake."""
    reap(connection)
    apply_brakes(connection)
    move_pilots(connection)
    finish_mailouts(connection)
    return free_slots(connection, slots=slots) if accounts_with_due_work(connection) else 0


def roll_day(connection: Connection) -> None:
    """Once a minute: let the minute that left the 24-hour window go, and what was parked for it."""
    with connection.transaction():
        # A grant that commits meanwhile would be in neither sum; the second statement sees all that held a row before.
        connection.execute("SELECT 1 FROM delivery_account_pace ORDER BY account_id FOR NO KEY UPDATE")
        connection.execute(
            """
            UPDATE delivery_account_pace p SET day_used = COALESCE(
                (SELECT sum(n) FROM delivery_account_usage u
                  WHERE u.account_id = p.account_id AND u.minute > clock_timestamp() - interval '24 hours'), 0)
            """
        )
    connection.execute("DELETE FROM delivery_account_usage WHERE minute < clock_timestamp() - interval '25 hours'")
    connection.execute(
        "UPDATE delivery_account_pace SET parked_reason = '', parked_until = NULL WHERE parked_reason <> '' AND parked_until <= clock_timestamp()"
    )


def clear_old_calls(connection: Connection) -> int:
    """Delete the calls of mailouts that finished a week ago; their people's fate stands in the ledger."""
    done = connection.execute(
        """
        DELETE FROM delivery_send_call c USING delivery_mailout m
         WHERE m.id = c.mailout_id AND c.state <> 0 AND m.finished_at < clock_timestamp() - %s * interval '1 day'
        """,
        [CALLS_KEPT_DAYS],
    )
    return done.rowcount
