"""What a page says about one thing that sending depends on."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, STOP = "ok", "note", "stop"


@dataclass(frozen=True)
class Point:
    """One thing. tone: ok, note or stop; step is empty where nothing is to be mended.

    act: what its button does: check, edit, local, set_up or domain (then `subject` is the domain). about: what it is of,
    in a word or two.
    """

    tone: str
    state: str
    why: str
    step: str = ""
    act: str = ""
    about: str = ""
    subject: str = ""
