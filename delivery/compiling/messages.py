"""Every finding in words: what is wrong, and what to do.

Sentences are marked for translation and kept here in English. `{name}` stands for a finding's parameter; other braces
are Liquid and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final


def gettext_noop(text: str) -> str:
    """Mark a sentence for the catalogue of translations; the name is what its tools look for."""
    return text


def say(code: str, params: Mapping[str, str], translate: Callable[[str], str] = str) -> tuple[str, str]:
    """Return a finding's message and hint, translated when there is a way to; the hint is "" when there is none."""
    message, hint = MESSAGES[code]
    if not hint or any(f"{{{name}}}" in hint and not value for name, value in params.items()):
        return _fill(translate(message), params), ""
    return _fill(translate(message), params), _fill(translate(hint), params)


def _fill(text: str, params: Mapping[str, str]) -> str:
    for name, value in params.items():
        text = text.replace(f"{{{name}}}", value)
    return text


MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "syntax": (
        gettext_noop("Liquid syntax error: {error}"),
        "",
    ),
    "too_large": (
        gettext_noop("The HTML is {size} KB; at most 1000 KB can be sent."),
        gettext_noop("Upload pictures and link to them instead of embedding them."),
    ),
    "too_many_elements": (
        gettext_noop("The HTML has {count} elements; at most {most} can be sent."),
        "",
    ),
    "too_deep": (
        gettext_noop("Elements are nested too deeply, or many are never closed."),
        gettext_noop("Check that every element that is opened is closed again."),
    ),
    "too_much_liquid": (
        gettext_noop("There are more than {most} pieces of Liquid."),
        "",
    ),
    "clipped": (
        gettext_noop("The email is {size} KB; Gmail cuts it off after 102 KB."),
        gettext_noop("Shorten it, or the footer and the open pixel stay unseen."),
    ),
    "styles": (
        gettext_noop("The styles can't be inlined: {error}"),
        "",
    ),
    "mismatch": (
        gettext_noop("The compiled email differs from what was written."),
        "",
    ),
    "logic_fails": (
        gettext_noop("The Liquid in this email fails: {error}."),
        "",
    ),
    "logic_may_fail": (
        gettext_noop("The Liquid in this email fails for some people: {error}. They would not get it."),
        gettext_noop("Ask first whether the value is there: {% if city %}…{% endif %}"),
    ),
    "unknown_variable": (
        gettext_noop("Nobody has “{name}”."),
        gettext_noop("Did you mean {suggestion}?"),
    ),
    "unknown_filter": (
        gettext_noop("There is no filter “{name}”."),
        gettext_noop("Did you mean {suggestion}?"),
    ),
    "reserved_name": (
        gettext_noop("“{name}” already means something; choose another name."),
        "",
    ),
    "foreign_comment": (
        gettext_noop("“{text}” is not a comment in Liquid and would be seen by readers."),
        gettext_noop("Write {% comment %}…{% endcomment %}."),
    ),
    "raw_not_allowed": (
        gettext_noop("You are not allowed to use “| raw”."),
        gettext_noop("Take it out; the value is then shown as text."),
    ),
    "raw_slot": (
        gettext_noop("“| raw” works only in the document's text, not in attributes."),
        gettext_noop("Take “| raw” out here."),
    ),
    "address_filter": (
        gettext_noop("unsubscribe_url, preferences_url and web_view_url can only be written out as they are."),
        "",
    ),
    "address_inside": (
        gettext_noop("{name} can't be a part of another address: it would give the reader's key away."),
        gettext_noop("Link to it by itself."),
    ),
    "branch_context": (
        gettext_noop("The branches of this “{tag}” end in different places of the document."),
        gettext_noop("Open and close every element and attribute inside the same branch."),
    ),
    "moved": (
        gettext_noop("HTML allows no text at this place, so this Liquid would end up elsewhere."),
        gettext_noop("Inside a table put it into a cell, or around whole rows."),
    ),
    "capture_markup": (
        gettext_noop("A {% capture %} block may hold only text and values."),
        gettext_noop("Use {% if %} around the markup instead."),
    ),
    "script_slot": (
        gettext_noop("A script can't contain Liquid."),
        gettext_noop("Mail programs don't run scripts; take it out."),
    ),
    "event_handler": (
        gettext_noop("The event handler {name} can't contain Liquid."),
        gettext_noop("Mail programs don't run scripts; take it out."),
    ),
    "style_slot": (
        gettext_noop("A <style> block can't contain Liquid."),
        gettext_noop("Put the value into the style attribute of the element it is for."),
    ),
    "css_slot": (
        gettext_noop("In a style attribute a variable may stand only as a property's value."),
        gettext_noop('For example style="color: {{ attributes.color }}".'),
    ),
    "tag_slot": (
        gettext_noop("Liquid can't stand between the attributes of a tag."),
        gettext_noop("Put it into an attribute's quoted value, or around the whole element."),
    ),
    "unquoted_attribute": (
        gettext_noop("The attribute {name} needs quotation marks around its value."),
        gettext_noop('Write {name}="…".'),
    ),
    "unsafe_link": (
        gettext_noop("The link “{url}” is not safe to send."),
        gettext_noop("Link to an address that begins with https://."),
    ),
    "variable_host": (
        gettext_noop("In the link “{url}” the scheme and host must be written out."),
        gettext_noop("For example https://shop.example/{{ attributes.code }}."),
    ),
    "empty_link": (
        gettext_noop("The link “{label}” has no address."),
        gettext_noop("Write where it leads, beginning with https://."),
    ),
    "empty_nameless_link": (
        gettext_noop("A link without words has no address."),
        gettext_noop("Write where it leads, beginning with https://, or take it out."),
    ),
    "relative_link": (
        gettext_noop("The link “{url}” leads nowhere in an email."),
        gettext_noop("Write the whole address, beginning with https://."),
    ),
    "unknown_scheme": (
        gettext_noop("Most mail programs can't open “{url}”."),
        "",
    ),
    "untracked_link": (
        gettext_noop("A link that is a variable as a whole can't be tracked."),
        gettext_noop("Write scheme and host out: https://shop.example/{{ attributes.code }}."),
    ),
    "embedded_picture": (
        gettext_noop("A picture is embedded in the HTML; Gmail and others don't show it."),
        gettext_noop("Upload it and link to its address."),
    ),
    "local_picture": (
        gettext_noop("The picture “{url}” exists on your computer only."),
        gettext_noop("Upload it and link to its address."),
    ),
    "relative_picture": (
        gettext_noop("The picture “{url}” can't be found from an email."),
        gettext_noop("Write the whole address, beginning with https://."),
    ),
    "empty_picture": (
        gettext_noop("A picture has no address (src)."),
        "",
    ),
    "missing_alt": (
        gettext_noop("A picture has no description (alt)."),
        gettext_noop('Describe it, or write alt="" if it is decoration.'),
    ),
}
