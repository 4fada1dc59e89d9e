"""What goes into the compiler and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class AttributeType(StrEnum):
    """Type of an attribute that an organization defines for its subscribers."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class EmailSource:
    """An email as its author wrote it, in Liquid.

    html is the full document, the template already wrapped around the content. An empty text means that the text
    part is derived from the HTML.
    """

    subject: str
    html: str
    text: str = ""
    preheader: str = ""


@dataclass(frozen=True, slots=True)
class Footer:
    """What the guaranteed footer says. locale picks its language."""

    organization_name: str
    postal_address: str
    locale: str = "en"


@dataclass(frozen=True, slots=True)
class Schema:
    """The attributes that the organization knows: name to type."""

    attributes: Mapping[str, AttributeType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about an email: what, where, and what to do.

    message and hint are English sentences; `messages.say(code, params, translate)` says them in another language.
    line and column count from 1; 0 means the part as a whole. part: subject, html, text or preheader.
    """

    code: str
    blocking: bool
    message: str
    part: str = "html"
    line: int = 0
    column: int = 0
    hint: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


class CompileError(Exception):
    """The email can't be compiled; `findings` say why, the blocking ones first."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = sorted(findings, key=lambda finding: not finding.blocking)
        super().__init__(self.findings[0].message if self.findings else "The email could not be compiled.")


class RenderError(Exception):
    """The email can't be rendered for this person: the author's logic failed on this person's data."""


@dataclass(frozen=True, slots=True)
class Link:
    """A tracked link. Links with the same target share one number.

    url: the target, Liquid variables standing where they were written. variable: whether its remainder differs from
    person to person. positions: ordinal among all links of the document, from 1.
    """

    no: int
    url: str
    label: str
    variable: bool
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compilation:
    """An immutable compiled email.

    payload: JSON-serialisable, for `Program.load`. html_bytes: UTF-8 size of the HTML as a sample person gets it.
    """

    payload: dict[str, object]
    findings: list[Finding]
    links: list[Link]
    html_bytes: int


class Tokens(NamedTuple):
    """A message's two signed tokens, `[A-Za-z0-9_-]`: one for reading, one for preferences."""

    track: str
    manage: str


class Rendered(NamedTuple):
    """The email as one person gets it."""

    subject: str
    html: str
    text: str
