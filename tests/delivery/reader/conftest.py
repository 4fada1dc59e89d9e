from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import Mock

import pytest

from delivery.compiling import EmailSource
from delivery.models import Mailout, MailoutEmail
from delivery.services.compiling import compile_and_store
from delivery.tokens import manage_token, track_token
from organizations.models import Organization
from subscribers.models import List, Subscriber, Subscription
from tests.delivery.events.mailouts import add_message, make_mailout, make_subscriber

BROWSER = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
HTML = """<html><body><p>Hello {{ first_name }}</p>
<a href="https://acme.example/?a=1&amp;b=2">beans</a>
<a href="https://acme.example/u/{{ attributes.code }}?n={{ first_name }}">yours</a></body></html>"""


@dataclass
class Letter:
    """A letter that Ana got."""

    mailout: Mailout
    ana: Subscriber
    newsletter: List
    track: str
    manage: str

    @property
    def unsubscribe_path(self) -> str:
        return f"/u/{self.manage}?m={self.track}"


@pytest.fixture(autouse=True)
def quiet_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("delivery.views.tracking", "delivery.views.leaving"):
        monkeypatch.setattr(f"{module}.wake_processor", Mock())


@pytest.fixture
def letter(acme: Organization) -> Letter:
    newsletter = List.objects.create(organization=acme, name="Newsletter", description="One letter a month")
    ana = make_subscriber(acme, "maria@example.com", first_name="Zoë & Co", attributes={"code": "a/b c"}, locale="en")
    Subscription.objects.create(organization=acme, list=newsletter, subscriber=ana)
    compiled = compile_and_store(organization=acme, source=EmailSource(subject="Letter", html=HTML))
    mailout = make_mailout(acme)
    MailoutEmail.objects.create(mailout_id=mailout.pk, email_no=0, compiled_email=compiled)
    add_message(mailout, 1, ana, list_id=newsletter.pk)
    return Letter(mailout, ana, newsletter, track_token(mailout.pk, 1), manage_token(ana.pk, newsletter.pk))
