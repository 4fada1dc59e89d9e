"""Opens and clicks, noted without ever standing in a reader's way.

One short insert into the inbox; the processor judges and counts later. A HEAD request is nobody and isn't noted.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import DatabaseError

from delivery.models import EventType
from delivery.services.events import store_reader_act
from delivery.tokens import TrackToken

logger = structlog.get_logger(__name__)


def record_open(*, token: TrackToken, at: datetime, ip: str, user_agent: str) -> bool:
    """Note that a message's picture was loaded; say whether it could be. `ip` is truncated."""
    return _record(EventType.OPENED, token, at, ip, user_agent, None)


def record_click(*, token: TrackToken, link_no: int, at: datetime, ip: str, user_agent: str) -> bool:
    """Note that a link was followed; say whether it could be. `ip` is truncated."""
    return _record(EventType.CLICKED, token, at, ip, user_agent, link_no)


def _record(type_: EventType, token: TrackToken, at: datetime, ip: str, user_agent: str, link_no: int | None) -> bool:
    try:
        store_reader_act(
            type_=type_,
            mailout_id=token.mailout_id,
            n=token.n,
            at=at,
            ip=ip,
            user_agent=user_agent,
            link_no=link_no,
        )
    except DatabaseError as error:
        logger.warning("tracking.not_recorded", type=type_.name, error=type(error).__name__)
        return False
    return True
