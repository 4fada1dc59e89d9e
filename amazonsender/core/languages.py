"""Which language to speak to somebody."""

from __future__ import annotations

from django.conf import settings


def first_spoken(*locales: str) -> str:
    """The first of some locales ("pt-BR", "ru") that the product speaks, as its code; "" for none."""
    known = {code for code, _name in settings.LANGUAGES}
    codes = (locale.partition("-")[0].partition("_")[0].lower() for locale in locales)
    return next((code for code in codes if code in known), "")
