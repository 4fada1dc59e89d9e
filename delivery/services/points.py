"""What a page says about one thing that sending depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One thing. tone: ok, note or stop; step is empty where nothing is to be mended; act: check, edit or local."""

    tone: str
    state: str
    why: str
    step: str = ""
    act: str = ""
