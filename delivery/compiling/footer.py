"""The footer that the law asks for, added when the author's document lacks it, and the hidden preheader."""

from __future__ import annotations

import html as html_entities
from typing import Final

from delivery.compiling.contract import Footer

_WORDS: Final = {
    "en": {
        "unsubscribe": "Unsubscribe",
        "preferences": "Email preferences",
        "reason": "You receive this email because you subscribed to {name}.",
    },
    "ru": {
        "unsubscribe": "Отписаться",
        "preferences": "Настройки рассылки",
        "reason": "Вы получили это письмо, потому что подписались на рассылку {name}.",
    },
}
# Keeps the body's first words out of the preview line after a short preheader.
_PREHEADER_FILL: Final = "&#847;&zwnj;&nbsp;" * 60


def words(locale: str) -> dict[str, str]:
    """Pick the footer's words by language, English for one that has none."""
    return _WORDS.get(locale.replace("_", "-").split("-")[0].lower(), _WORDS["en"])


def html_footer(footer: Footer, missing: set[str], urls: dict[str, str]) -> str:
    """Write what is missing (address, unsubscribe, preferences) as HTML."""
    said = words(footer.locale)
    lines = []
    if "address" in missing and footer.postal_address.strip():
        reason = said["reason"].format(name=footer.organization_name)
        address = "<br>".join(html_entities.escape(line.strip()) for line in footer.postal_address.strip().splitlines())
        lines.append(f"{html_entities.escape(reason)}<br>{html_entities.escape(footer.organization_name)}<br>{address}")
    links = [
        f'<a href="{html_entities.escape(urls[name + "_url"])}" style="color:#555555;text-decoration:underline">'
        f"{html_entities.escape(said[name])}</a>"
        for name in ("unsubscribe", "preferences")
        if name in missing
    ]
    if links:
        lines.append(" &middot; ".join(links))
    if not lines:
        return ""
    style = "padding:24px 16px;font:12px/18px Arial,Helvetica,sans-serif;color:#555555;text-align:center"
    return (
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tbody><tr>'
        f'<td align="center" style="{style}">{"<br><br>".join(lines)}</td></tr></tbody></table>'
    )


def text_footer(footer: Footer, missing: set[str], urls: dict[str, str]) -> str:
    """Write what is missing as plain text, with an empty line before it."""
    said = words(footer.locale)
    lines = []
    if "address" in missing and footer.postal_address.strip():
        address = "\n".join(line.strip() for line in footer.postal_address.strip().splitlines())
        lines.append(f"{said['reason'].format(name=footer.organization_name)}\n{footer.organization_name}\n{address}")
    links = [f"{said[name]}: {urls[name + '_url']}" for name in ("unsubscribe", "preferences") if name in missing]
    if links:
        lines.append("\n".join(links))
    return "\n\n" + "\n\n".join(lines) if lines else ""


def preheader_html(opening: bool) -> str:
    """Write what stands before (opening) or after the preheader's text."""
    if not opening:
        return f"{_PREHEADER_FILL}</div>"
    return (
        '<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;'
        'mso-hide:all">'
    )
