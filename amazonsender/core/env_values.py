"""Values of the environment, from text to their type; what can't be understood says of which kind the mistake is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

TRUE_WORDS: Final = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS: Final = frozenset({"0", "false", "no", "off"})
# Celery's transports that need nothing after the scheme: SQS takes keys and region from where Amazon's client does.
BARE_SCHEMES: Final = frozenset({"memory", "sqs"})
# Without a host the others mean this machine or a Unix socket.
HOSTED_SCHEMES: Final = frozenset({"http", "https"})


class Mistake(StrEnum):
    """The kinds of mistakes in an environment, by the ids of their system checks."""

    MISSING = "amazonsender.E040"
    NOT_A_NUMBER = "amazonsender.E041"
    OUT_OF_RANGE = "amazonsender.E042"
    NOT_A_CHOICE = "amazonsender.E043"
    NOT_AN_ADDRESS = "amazonsender.E044"
    UNREADABLE_FILE = "amazonsender.E045"
    GIVEN_TWICE = "amazonsender.E046"
    MALFORMED_LINE = "amazonsender.E047"
    UNREADABLE_SETTINGS = "amazonsender.E048"


class NotUnderstoodError(ValueError):
    """A value is not what its variable takes. Neither ``complaint`` nor ``expected`` quotes it: it may be a secret.

    ``complaint`` completes "NAME is", ``expected`` completes "Set NAME to".
    """

    def __init__(self, mistake: Mistake, complaint: str, expected: str) -> None:
        super().__init__(complaint)
        self.mistake = mistake
        self.complaint = complaint
        self.expected = expected


def parse_choice(value: str, choices: Sequence[str]) -> str:
    """Take one of ``choices``; any text where there are none."""
    if choices and value not in choices:
        raise NotUnderstoodError(Mistake.NOT_A_CHOICE, "not one of its words", " or ".join(choices))
    return value


def parse_int(value: str, minimum: int | None) -> int:
    """Take a whole number of at least ``minimum``."""
    expected = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
    try:
        number = int(value)
    except ValueError:
        raise NotUnderstoodError(Mistake.NOT_A_NUMBER, "not a whole number", expected) from None
    if minimum is not None and number < minimum:
        raise NotUnderstoodError(Mistake.OUT_OF_RANGE, "out of range", expected)
    return number


def parse_float(value: str, bounds: tuple[float, float] | None) -> float:
    """Take a number with decimals, within ``bounds``."""
    expected = "a number" if bounds is None else f"a number from {bounds[0]:g} to {bounds[1]:g}"
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise NotUnderstoodError(Mistake.NOT_A_NUMBER, "not a number", expected)
    if bounds is not None and not bounds[0] <= number <= bounds[1]:
        raise NotUnderstoodError(Mistake.OUT_OF_RANGE, "out of range", expected)
    return number


def parse_bool(value: str) -> bool:
    """Take on or off, also as yes and no, true and false, 1 and 0."""
    if value.lower() in TRUE_WORDS:
        return True
    if value.lower() in FALSE_WORDS:
        return False
    raise NotUnderstoodError(Mistake.NOT_A_CHOICE, "neither on nor off", "on or off")


def parse_list(value: str) -> list[str]:
    """Take words separated by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


def parse_path(value: str) -> Path:
    """Take a path, ``~`` expanded."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise NotUnderstoodError(
            Mistake.NOT_AN_ADDRESS, "a path into the home of nobody known here", "a path without ~"
        ) from None


def parse_url(value: str, schemes: Sequence[str], *, form: str = "", several: bool = False) -> str:
    """Take an address of one of ``schemes`` and, where given, of the regular expression ``form``; drop a slash at its end.

    With ``several`` it may be many with semicolons between.
    """
    expected = " or ".join(f"{scheme}://…" for scheme in schemes)
    for address in value.split(";") if several else [value]:
        if not _is_address(address, schemes) or (form and not re.fullmatch(form, address)):
            raise NotUnderstoodError(Mistake.NOT_AN_ADDRESS, "not an address of its kind", expected)
    return value if value.endswith("://") else value.rstrip("/")


def _is_address(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port  # reading a port that is none fails
    except ValueError:
        return False
    if parts.scheme not in schemes:
        return False
    if parts.scheme in HOSTED_SCHEMES:
        return bool(host) and not re.search(r"\s", text)
    return bool(parts.netloc or parts.path.strip("/")) or parts.scheme in BARE_SCHEMES
