"""Collect findings, each with its place in the author's source."""

from __future__ import annotations

from delivery.compiling.contract import CompileError, Finding
from delivery.compiling.messages import say


class Report:
    """The findings about one email so far."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.findings: list[Finding] = []
        self._sources = sources

    def add(self, code: str, *, part: str = "html", start: int = -1, blocking: bool = False, **params: str) -> None:
        """Note a finding by its code in `messages`; start is an offset in the part's source."""
        line, column = line_and_column(self._sources.get(part, ""), start)
        message, hint = say(code, params)
        finding = Finding(code, blocking, message, part, line, column, hint, params)
        if finding not in self.findings:
            self.findings.append(finding)

    def block(self, code: str, *, part: str = "html", start: int = -1, **params: str) -> None:
        """Note a finding that keeps the email from being sent."""
        self.add(code, part=part, start=start, blocking=True, **params)

    def raise_if_blocked(self) -> None:
        """Raise CompileError when something blocks."""
        if any(finding.blocking for finding in self.findings):
            raise CompileError(self.findings)


def line_and_column(source: str, start: int) -> tuple[int, int]:
    """Count line and column from 1; (0, 0) for an unknown place."""
    if start < 0:
        return 0, 0
    start = min(start, len(source))
    return source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start)
