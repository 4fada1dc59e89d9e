"""One readable log of many processes: a fixed-width coloured name before each line."""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TextIO

# Blue, green, magenta, cyan, yellow: readable on dark and on light; red is kept for reports of trouble.
COLOURS: Final = (34, 32, 35, 36, 33)
TROUBLE: Final = 31
REMEMBERED_LINES: Final = 15
# A line without an end must not fill the memory.
LONGEST_LINE_BYTES: Final = 64 * 1024


def wants_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether to colour; ``NO_COLOR`` and ``FORCE_COLOR`` as their conventions say."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or stream.isatty()


@dataclass
class Console:
    """Writes every line to ``log`` and, unless ``quiet``, to ``stream``; remembers each name's last lines."""

    stream: TextIO
    names: tuple[str, ...]
    colour: bool = field(default=False, kw_only=True)
    log: TextIO | None = None
    quiet: bool = False
    last: dict[str, deque[str]] = field(default_factory=dict, init=False)

    def line(self, name: str, text: str) -> None:
        """Write a line of the process called ``name``."""
        self.last.setdefault(name, deque(maxlen=REMEMBERED_LINES)).append(text)
        self._write(name, text, COLOURS[self.names.index(name) % len(COLOURS)], show=not self.quiet)

    def report(self, text: str, *, trouble: bool = False) -> None:
        """Write a line of the supervisor's own; it is never left out."""
        self._write("stack", text, TROUBLE if trouble else 1, show=True)

    def replay(self, name: str) -> None:
        """Show the last lines of a process that were kept from the screen."""
        for text in self.last.get(name, ()) if self.quiet else ():
            self._write(name, text, TROUBLE, show=True, log=False)

    def go_silent(self) -> None:
        """Write to the log alone from here on, as whoever read the stream has gone (`make demo | head`).

        The descriptor itself is turned away: what the stream still holds would fail once more when Python ends.
        """
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)

    def _write(self, name: str, text: str, colour: int, *, show: bool, log: bool = True) -> None:
        width = max(len(known) for known in (*self.names, "stack"))
        prefix = f"{name:<{width}} |"
        if log and self.log is not None:
            self.log.write(f"{prefix} {text}\n")
            self.log.flush()
        if show:
            shown = f"\x1b[{colour}m{prefix}\x1b[0m" if self.colour else prefix
            self.stream.write(f"{shown} {text}\n")
            self.stream.flush()


@dataclass
class LineBuffer:
    """Cuts a stream of bytes into lines."""

    rest: bytes = b""

    def feed(self, data: bytes) -> list[str]:
        """Take bytes and return the lines that they complete."""
        *complete, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST_LINE_BYTES:
            complete.append(self.rest)
            self.rest = b""
        return [line.decode(errors="replace").rstrip("\r") for line in complete]

    def flush(self) -> list[str]:
        """Return what is left when the stream has ended."""
        return self.feed(b"\n") if self.rest else []
