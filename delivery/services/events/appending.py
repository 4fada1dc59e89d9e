"""Events on their way into the ledger: which are there already, and the others through COPY.

COPY takes rows in blocks, but knows no ON CONFLICT: what is there already is looked up before. That is safe because nobody
else appends to a message that is locked.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from struct import Struct

from delivery.services.events.arrays import columns, microseconds
from delivery.services.events.ledger import Cursor, EventKey
from delivery.services.events.model import ProviderEvent

_KNOWN = """
SELECT e.mailout_id, e.n, e.type, e.at, e.disc
  FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::timestamptz[], %b::int[]) AS k(mailout_id, n, type, at, disc)
  JOIN delivery_event e ON e.mailout_id = k.mailout_id AND e.n = k.n AND e.type = k.type AND e.at = k.at
   AND e.disc = k.disc
"""


def find_events(cursor: Cursor, keys: Iterable[EventKey]) -> set[EventKey]:
    """Which of the events the ledger has. Compared by value, since a time may come back in another zone."""
    cursor.execute(_KNOWN, columns("iihti", sorted(keys)), binary=True)
    return set(cursor.fetchall())


_COPY = """
COPY delivery_event (mailout_id, n, type, at, disc, verdict, link_no, detail) FROM STDIN WITH (FORMAT binary)
"""
_COPY_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_COPY_ROW = Struct(">hiiiiihiqiiih")
_COPY_LINK = Struct(">ih")
_COPY_DETAIL = Struct(">iB")  # jsonb starts with the number of its version
_NULL = b"\xff\xff\xff\xff"


def copy_events(
    cursor: Cursor, events: Iterable[tuple[EventKey, ProviderEvent]], verdicts: dict[EventKey, int]
) -> None:
    """Append events that the ledger does not have. Nobody else appends to messages that are locked."""
    pieces = [_COPY_START]
    add = pieces.append
    for key, event in events:
        mailout_id, n, type_, at, disc = key
        add(_COPY_ROW.pack(8, 4, mailout_id, 4, n, 2, type_, 8, microseconds(at), 4, disc, 2, verdicts.get(key, 0)))
        add(_NULL if event.link_no is None else _COPY_LINK.pack(2, event.link_no))
        detail = event.detail
        if detail is None:
            add(_NULL)
        else:
            add(_COPY_DETAIL.pack(len(detail) + 1, 1))
            add(detail)
    add(_COPY_END)
    with cursor.copy(_COPY) as copy:
        copy.write(b"".join(pieces))


_FIRST = """
SELECT e.mailout_id, e.n, e.type, min(e.at)
  FROM unnest(%b::int[], %b::int[], %b::smallint[]) AS k(mailout_id, n, type)
  JOIN delivery_event e ON e.mailout_id = k.mailout_id AND e.n = k.n AND e.type = k.type
 GROUP BY 1, 2, 3
"""


def read_first_times(cursor: Cursor, keys: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int, int], datetime]:
    """The earliest event of a message and type, for types that have no fact in the message's row."""
    cursor.execute(_FIRST, columns("iih", sorted(keys)), binary=True)
    return {(row[0], row[1], row[2]): row[3] for row in cursor}
