"""One DNS record as a page or a command shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from delivery.domains.lookup import Answer, State
from delivery.services.points import NOTE, OK, STOP

FOUND, DIFFERS, MISSING, UNKNOWN, SKIPPED, UNLOOKED = "found", "differs", "missing", "unknown", "skipped", "unlooked"
WORDS: Final = {
    FOUND: gettext_lazy("Found"),
    DIFFERS: gettext_lazy("Differs"),
    MISSING: gettext_lazy("Missing"),
    UNKNOWN: gettext_lazy("Could not look"),
    SKIPPED: gettext_lazy("Not looked up"),
    UNLOOKED: gettext_lazy("Not looked up yet"),
}
PILLS: Final = {OK: "passed", NOTE: "advisory", STOP: "blocking"}


@dataclass(frozen=True)
class RecordRow:
    """value: what to publish, "" where there is nothing to copy. found: what stands there instead. said: a remark."""

    purpose: str
    label: str
    name: str
    kind: str
    value: str
    why: str
    state: str = UNLOOKED
    tone: str = OK
    said: str = ""
    found: tuple[str, ...] = ()
    step: str = ""

    @property
    def word(self) -> str:
        return str(WORDS[self.state])

    @property
    def pill(self) -> str:
        """Its colour and icon; what was not looked up has neither."""
        return "off" if self.state in (SKIPPED, UNLOOKED) else PILLS[self.tone]


def unknown_row(row: RecordRow, answer: Answer) -> RecordRow:
    """A row whose question nobody answered: that it could not be looked up is no finding about the record."""
    if answer.state is State.LATE:
        said, step = _("No server answered in time."), _("Check again in a minute.")
    else:
        said = _("The servers of this name fail or refuse to answer.")
        step = _("Ask whoever keeps your domain’s DNS, or set DNS_RESOLVERS to servers that answer. Then check again.")
    return replace(row, state=UNKNOWN, tone=NOTE, said=said, step=step)
