"""Calls without an answer: they stop an account's arming, and single people probe it until answers come again."""

from __future__ import annotations

from delivery.engine.database import Connection

PROBE_FIRST_SECONDS = 2.0
PROBE_LONGEST_SECONDS = 300.0
OUTAGE_STREAK = 3  # ambiguous calls in a row
PARTIAL_PROBES = 10  # where every fourth call gets no answer, ten answers in a row are luck once in eighteen times


def note_call(connection: Connection, account_id: int, *, is_ambiguous: bool) -> None:
    """Count ambiguous calls in a row: three stop the account, then single people probe it.

    Otherwise a provider outage would turn a whole list into unknowns in seconds. The wait doubles with each probe, not
    here: of the calls that were out when the outage began each would double it, and a moment would cost minutes.
    """
    if is_ambiguous:
        connection.execute(
            """
            UPDATE delivery_account_pace SET
                ambiguous_streak = ambiguous_streak + 1,
                probe_seconds = CASE WHEN probe_seconds = 0 AND ambiguous_streak + 1 >= %(streak)s
                                     THEN %(first)s ELSE probe_seconds END,
                probe_at = CASE WHEN probe_seconds = 0 AND ambiguous_streak + 1 >= %(streak)s
                                THEN clock_timestamp() + %(first)s * interval '1 s' ELSE probe_at END
             WHERE account_id = %(account)s
            """,
            {"account": account_id, "streak": OUTAGE_STREAK, "first": PROBE_FIRST_SECONDS},
        )
    else:
        connection.execute(
            """
            UPDATE delivery_account_pace SET ambiguous_streak = 0, probe_seconds = 0, probe_at = NULL
             WHERE account_id = %s AND probes_wanted = 0 AND (ambiguous_streak > 0 OR probe_seconds > 0)
            """,
            [account_id],
        )


def note_partial_outage(connection: Connection, account_id: int) -> None:
    """Many calls get no answer and many do: probe until PARTIAL_PROBES in a row are answered.

    One answer proves nothing here, least of all that of a call which was out already.
    """
    connection.execute(
        """
        UPDATE delivery_account_pace
           SET probes_wanted = %(probes)s, probe_seconds = %(first)s, probe_at = clock_timestamp() + %(first)s * interval '1 s'
         WHERE account_id = %(account)s AND probes_wanted = 0
        """,
        {"account": account_id, "probes": PARTIAL_PROBES, "first": PROBE_FIRST_SECONDS},
    )


def note_probe(connection: Connection, account_id: int, *, is_answered: bool) -> None:
    """Count the probes of a partial outage: answered ones come without backing off, an unanswered one starts again."""
    connection.execute(
        """
        UPDATE delivery_account_pace SET
            probes_wanted = CASE WHEN %(answered)s THEN probes_wanted - 1 ELSE %(probes)s END,
            ambiguous_streak = CASE WHEN %(answered)s THEN 0 ELSE ambiguous_streak END,
            probe_seconds = CASE WHEN NOT %(answered)s THEN probe_seconds WHEN probes_wanted = 1 THEN 0 ELSE %(first)s END,
            probe_at = CASE WHEN NOT %(answered)s THEN probe_at
                            WHEN probes_wanted > 1 THEN clock_timestamp() + %(first)s * interval '1 s' END
         WHERE account_id = %(account)s AND probes_wanted > 0
        """,
        {"account": account_id, "answered": is_answered, "probes": PARTIAL_PROBES, "first": PROBE_FIRST_SECONDS},
    )
