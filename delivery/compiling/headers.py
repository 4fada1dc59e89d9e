"""Header values: one line of ASCII each, whatever goes in.

Written here rather than by the email package, because that folds and encodes what must stay whole: an encoded
List-Unsubscribe is one that no mailbox provider finds.
"""

from __future__ import annotations

import base64
import re
from typing import Final

import idna

_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_ENCODED_WORD_BYTES: Final = 45
"""Base64 makes 60 characters of them: with `=?utf-8?b?` and `?=` below the 75 that RFC 2047 §2 allows a word."""
_HEADER_UNSAFE = re.compile(r"[^\x21-\x7e]")


def header_value(value: str) -> str:
    """Collapse whitespace and line ends, and drop control characters: a value can't begin another header."""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())


def mailbox(name: str, address: str) -> str:
    """Write an RFC 5322 mailbox in ASCII: the phrase quoted or encoded, the address literal, the domain in punycode.

    Raises ValueError for an address that can't be written in ASCII or holds what would begin another one.
    """
    written = ascii_address(address)
    phrase = header_value(name)
    if not phrase:
        return written
    if not phrase.isascii():
        return f"{encoded_words(phrase)} <{written}>"
    if not _ATOM.fullmatch(phrase) or "=?" in phrase:
        escaped = phrase.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{written}>'
    return f"{phrase} <{written}>"


def ascii_address(address: str) -> str:
    """Write an address with its domain in punycode. Raises ValueError when that can't be done."""
    local, _, domain = address.strip().rpartition("@")
    if not local or not domain or not local.isascii() or _HEADER_UNSAFE.search(local) or set("<>,;@()") & set(local):
        raise ValueError(f"Not an address that can be written in a header: {address!r}")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"Not a domain: {domain!r}") from error
    if not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f.:A-Za-z]+\]", domain):
        raise ValueError(f"Not a domain: {domain!r}")
    return f"{local}@{domain}"


def encoded_words(text: str) -> str:
    """Write text as RFC 2047 encoded-words, cut between characters, separated by single spaces, never folded."""
    words: list[bytes] = [b""]
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(words[-1]) + len(encoded) > _ENCODED_WORD_BYTES:
            words.append(b"")
        words[-1] += encoded
    return " ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def list_unsubscribe(https_url: str, mailto: str = "") -> str:
    """Write List-Unsubscribe (RFC 2369, RFC 8058): the address literal and unbroken.

    Raises ValueError for an address that isn't plain ASCII without spaces or angle brackets.
    """
    targets = [https_url]
    if mailto:
        targets.append(mailto if mailto.startswith("mailto:") else f"mailto:{mailto}")
    for target in targets:
        if _HEADER_UNSAFE.search(target) or "<" in target or ">" in target or "," in target:
            raise ValueError(f"Not an address for List-Unsubscribe: {target!r}")
    return ", ".join(f"<{target}>" for target in targets)
