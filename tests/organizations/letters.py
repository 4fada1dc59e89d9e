"""Reading the letters that are queued, as whoever gets them would."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings

from organizations.models import SystemEmail
from organizations.services import system_emails as queue
from organizations.services.system_emails import Body, Claimed


def body_of(email: SystemEmail) -> Body:
    return queue.open_body(Claimed(email.pk, 0, email.purpose, email.to, email.subject, email.sealed_body))


def letters(**given: object) -> list[SystemEmail]:
    return list(SystemEmail.objects.filter(**given).order_by("pk"))


def link_in(email: SystemEmail) -> str:
    """The path of the letter's only link into the product; its host is the configured one, in both parts."""
    body = body_of(email)
    [text_link, foot] = re.findall(r"https?://\S+", body.text)
    assert text_link.startswith(settings.PUBLIC_URL + "/")
    assert foot == settings.PUBLIC_URL
    assert set(re.findall(r'href="([^"]+)"', body.html)) == {text_link, settings.PUBLIC_URL}
    return str(urlsplit(text_link).path)
