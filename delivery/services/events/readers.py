"""What readers do, on its way through the inbox: a compact record written by the door, trusted by the processor.

The door has checked the token; user agent and truncated address are kept for later judgement. Times have a resolution
of one second, so that a double click counts once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from delivery.models import EventType
from delivery.services.events.model import MalformedEventError, ProviderEvent, discriminator

MAX_USER_AGENT = 300


def write_act(
    *, type_: EventType, mailout_id: int, n: int, at: datetime, ip: str, user_agent: str, link_no: int | None = None
) -> bytes:
    """Pack what a reader did. `ip` is truncated already."""
    return orjson.dumps(
        {
            "type": int(type_),
            "mailout": mailout_id,
            "n": n,
            "at": int(at.timestamp()),
            "ip": ip,
            "ua": user_agent.replace("\0", "")[:MAX_USER_AGENT].encode("utf-8", "replace").decode(),
            "link": link_no,
        }
    )


def read_act(body: bytes) -> list[ProviderEvent]:
    """Read what `write_act` packed."""
    try:
        act: dict[str, Any] = orjson.loads(body)
        link_no, ip, user_agent = act["link"], act["ip"], act["ua"]
        return [
            ProviderEvent(
                act["mailout"],
                act["n"],
                EventType(act["type"]).value,
                datetime.fromtimestamp(act["at"], UTC),
                disc=discriminator(str(link_no or ""), ip, user_agent),
                link_no=link_no,
                user_agent=user_agent,
                detail=orjson.dumps({"ip": ip, "ua": user_agent}),
            )
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedEventError(f"not a reader's act: {type(error).__name__}") from error
