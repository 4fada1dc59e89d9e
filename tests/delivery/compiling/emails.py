"""Short ways to compile and render in these tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from delivery.compiling import (
    AttributeType,
    Compilation,
    CompileError,
    EmailSource,
    Finding,
    Footer,
    Program,
    Rendered,
    Schema,
    Tokens,
    compile_email,
)

PUBLIC_URL = "https://mail.example"
TOKENS = Tokens("TRACK", "MANAGE")
FOOTER = Footer("Acme", "Street 1\n1000 Lisbon", "en")
ORGANIZATION = {"name": "Acme & Co", "postal_address": "Street 1\n1000 Lisbon", "website": "https://acme.example/"}
SCHEMA = Schema(
    {
        "city": AttributeType.TEXT,
        "code": AttributeType.TEXT,
        "color": AttributeType.TEXT,
        "logo": AttributeType.TEXT,
        "plan": AttributeType.CHOICE,
        "points": AttributeType.NUMBER,
        "vip": AttributeType.BOOLEAN,
        "interests": AttributeType.LIST,
        "fav color": AttributeType.TEXT,
    }
)
PERSON: dict[str, Any] = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "locale": "en",
    "time_zone": "Europe/Lisbon",
    "tags": ["a", "b & c"],
    "attributes": {"city": "Lisbon", "code": "x/1", "plan": "gold", "points": 7, "interests": ["art", "<sea>"]},
}


def compiled(
    html: str = "<p>x</p>",
    *,
    subject: str = "Subject",
    text: str = "",
    preheader: str = "",
    allow_raw: bool = False,
    footer: Footer = FOOTER,
) -> Compilation:
    """Compile an email of the test organization."""
    return compile_email(
        EmailSource(subject, html, text, preheader),
        footer=footer,
        schema=SCHEMA,
        public_url=PUBLIC_URL,
        allow_raw=allow_raw,
        organization=ORGANIZATION,
    )


def loaded(compilation: Compilation) -> Program:
    """Load a compilation as it comes back from the database."""
    return Program.load(json.loads(json.dumps(compilation.payload)), sign_remainder=sign)


def sign(track: str, number: int, remainder: str) -> str:
    """Stand in for the MAC."""
    return f"mac-{track}-{number}-{len(remainder)}"


def rendered(html: str = "<p>x</p>", person: dict[str, Any] | None = None, **options: Any) -> Rendered:
    """Compile and render for one person; merge `person` over the usual one."""
    return loaded(compiled(html, **options)).render({**PERSON, **(person or {})}, TOKENS)


def body(html: str, person: dict[str, Any] | None = None, **options: Any) -> str:
    """Render what stands between <body> and the footer."""
    whole = rendered(html, person, **options).html
    return whole.partition("<body>")[2].partition('<table role="presentation" width="100%" cellpadding="0"')[0].strip()


def blocked(html: str = "<p>x</p>", **options: Any) -> list[Finding]:
    """Return the blocking findings of an email that can't be compiled."""
    with pytest.raises(CompileError) as caught:
        compiled(html, **options)
    return [finding for finding in caught.value.findings if finding.blocking]


def codes(compilation: Compilation) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in compilation.findings]
