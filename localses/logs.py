"""One readable line per event on standard error: its name, then its fields."""

from __future__ import annotations

import logging

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class EventFormatter(logging.Formatter):
    """Writes `level event field=value`, and the traceback below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Append the fields that were given as `extra`."""
        fields = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        text = "".join(f" {name}={value}" for name, value in sorted(fields.items()))
        return f"{record.levelname.lower()} {record.message}{text}"


def configure() -> None:
    """Let the program's logger write; others stay as they are."""
    logger = logging.getLogger("localses")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(EventFormatter())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
