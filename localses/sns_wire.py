"""Maps in the query protocol as SNS reads and writes them."""

from __future__ import annotations

from xml.sax.saxutils import escape

from localses.query import QueryProtocol

Params = dict[str, str]

PROTOCOL = QueryProtocol("http://sns.amazonaws.com/doc/2010-03-31/", denied="AuthorizationError")


def entries(params: Params, name: str) -> Params:
    """Read a map of the query protocol: `Attributes.entry.1.key`, `Attributes.entry.1.value`."""
    found = {}
    position = 1
    while (key := params.get(f"{name}.entry.{position}.key")) is not None:
        found[key] = params.get(f"{name}.entry.{position}.value", "")
        position += 1
    return found


def attribute_map(values: Params) -> str:
    """Write a map as SNS does."""
    rows = "".join(
        f"<entry><key>{escape(key)}</key><value>{escape(value)}</value></entry>" for key, value in values.items()
    )
    return f"<Attributes>{rows}</Attributes>"
