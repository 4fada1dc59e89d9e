"""An owner sets an account up at Local SES, checks its domain against a DNS server of this machine, and mends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from delivery.models import SenderIdentity, SendingAccount, SendingDomain
from delivery.services.providers import forget_providers, topics_for
from tests.browser.conftest import Watched
from tests.cast import Cast
from tests.delivery.domains.nameserver import NameServer
from tests.delivery.domains.nameserver import running as dns_running
from tests.factories import AccountFactory
from tests.localses.running import Running, wait_until
from webhooks.inbound import receiving
from webhooks.inbound.topics import Topics

pytestmark = pytest.mark.browser

WIDTHS = (320, 390, 820, 1440)


@pytest.fixture
def nameserver(settings: Settings) -> Iterator[NameServer]:
    with dns_running() as server:
        settings.DNS_RESOLVERS = [server.address]
        yield server


@pytest.fixture
def account(
    people: Cast,
    local_ses: Running,
    live_server: LiveServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SendingAccount]:
    settings.LOCALSES_URL = local_ses.url
    settings.LOCALSES_CERTIFICATE = local_ses.data / "certificate.pem"
    settings.PUBLIC_URL = live_server.url
    monkeypatch.setattr(receiving, "topics", Topics())
    made: SendingAccount = AccountFactory.create(
        organization=people.acme, is_local=True, region="us-east-1", configuration_set="", topic_arns=[]
    )
    SenderIdentity.objects.create(organization=people.acme, account=made, identity="hello@acme.test")
    yield made
    forget_providers()


def test_an_owner_sets_an_account_up_and_mends_its_domain(
    watched: Watched, people: Cast, account: SendingAccount, local_ses: Running, nameserver: NameServer
) -> None:
    page = watched.page
    page.set_default_timeout(20_000)  # pages that ask another process and a DNS server
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.sign_in(people.alice)

    # The page looks by itself when nobody has for a while, and says what is missing.
    watched.open(f"/admin/account/{account.pk}/")
    page.wait_for_selector("text=Looked at Amazon and DNS less than a minute ago.")
    page.wait_for_selector("h3:text('Events do not come back')")

    # First what would be done, then doing it; a refusal in between is mended and pressed again.
    page.click("header >> text=Set it up for me")
    page.wait_for_selector("h2:text('6 steps to do at Amazon.')")
    page.click("text=Domains and MAIL FROM, too")
    page.wait_for_selector("h2:text('8 steps to do at Amazon.')")
    local_ses.faults({"fault": "exception", "code": "AccessDeniedException", "operations": ["Subscribe"]})
    page.click("button:has-text('Set it up')")
    page.wait_for_selector("h2:text('1 step is still open.')")
    page.wait_for_selector("code:text('sns:Subscribe')")
    local_ses.faults()
    page.click("button:has-text('Try again')")
    page.wait_for_selector("h2:text('It is set up.')")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        assert not watched.is_scrolling_sideways()
    account.refresh_from_db()
    wait_until(lambda: topics_for(account).list_subscriptions(account.topic_arns[0]))

    # The domain shows what to publish; what is published is found at the next look.
    watched.open(f"/admin/account/{account.pk}/domains/acme.test/")
    page.wait_for_selector("h2:text('6 records to mend.')")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        assert not watched.is_scrolling_sideways()
    copied = {}
    for record in page.query_selector_all("[data-record]"):
        for button in record.query_selector_all("[data-copy]"):
            page.evaluate("document.getElementById('as-said').textContent = ''")
            button.click()
            page.wait_for_selector("#as-said:text-is('Copied')", state="attached")
            copied[button.get_attribute("aria-label")] = page.evaluate("navigator.clipboard.readText()")
    for number in (1, 2, 3):
        name, value = copied[f"Copy the name of DKIM {number}"], copied[f"Copy the value of DKIM {number}"]
        nameserver.put(name, "CNAME", f"{value}.")
    nameserver.put(copied["Copy the name of MAIL FROM"], "MX", copied["Copy the value of MAIL FROM"] + ".")
    nameserver.put(copied["Copy the name of SPF of MAIL FROM"], "TXT", copied["Copy the value of SPF of MAIL FROM"])
    nameserver.put("amazonses.com", "TXT", "v=spf1 ip4:192.0.2.0/24 -all")
    nameserver.put("_dmarc.acme.test", "TXT", "v=DMARC1; p=rejct", "<script>alert('x')</script>")
    SendingDomain.objects.update(checked_at=timezone.now())
    page.click("button:has-text('Check again')")
    page.wait_for_selector("text=It was checked a moment ago. Wait ten seconds.")
    SendingDomain.objects.update(checked_at=F("checked_at") - timedelta(seconds=11))
    page.click("button:has-text('Check again')")
    page.wait_for_selector("h2:text('1 record to mend.')")
    page.wait_for_selector("[data-record=dmarc] >> text=Differs")

    nameserver.put(copied["Copy the name of DMARC"], "TXT", copied["Copy the value of DMARC"])
    SendingDomain.objects.update(checked_at=F("checked_at") - timedelta(seconds=11))
    page.click("button:has-text('Check again')")
    page.wait_for_selector("h2:text('All records are in place.')")
    page.wait_for_selector("text=Your mail passes by DKIM and SPF.")

    SendingAccount.objects.update(inspected_at=F("inspected_at") - timedelta(minutes=11))
    SenderIdentity.objects.update(is_verified=True)
    watched.open(f"/admin/account/{account.pk}/")
    page.wait_for_selector("text=Looked at Amazon and DNS less than a minute ago.")
    page.wait_for_selector("h2:text('Everything it needs is in order')")
    assert watched.troubles == []
