from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from queue import SimpleQueue

import pytest
from django.db.models import F

from campaigns.services.launching import launch_campaign
from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.runner import AccountRunner
from delivery.models import Mailout, Message, SendCall
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome
from tests.browser.conftest import Watched
from tests.campaigns import world
from tests.campaigns.engine import running_engine
from tests.cast import Cast
from tests.delivery.engine.world import ScriptedProvider, accept

pytestmark = pytest.mark.browser

LOST = {"newsletter3@example.com", "newsletter7@example.com"}


def lose_some(entries: list[Entry]) -> CallResult:
    lost = EntryResult(Outcome.AMBIGUOUS, "", "answer_lost: ReadTimeout: no answer within 18 s")
    return CallResult(
        [lost if entry.address in LOST else one for entry, one in zip(entries, accept(entries).entries, strict=True)]
    )


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider(lose_some)


@pytest.fixture
def engine(people: Cast, provider: ScriptedProvider) -> Iterator[None]:
    def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner:
        return AccountRunner(account_id, provider, threads=1, results=results, connect=open_connection)

    with running_engine(make_runner):
        yield


def test_an_owner_looks_at_what_is_known_and_sends_again_once(
    watched: Watched, people: Cast, provider: ScriptedProvider, engine: None
) -> None:
    account = world.make_account(people.acme)
    newsletter = world.make_list(people.acme, "Newsletter", people=30)
    campaign = world.make_campaign(people.acme, account, newsletter, actor=people.bob)
    mailout = launch_campaign(campaign=campaign, revision=campaign.revision, actor=people.bob)
    page = watched.page
    watched.sign_in(people.alice)
    watched.open(f"/admin/campaigns/{campaign.pk}/live/")
    page.wait_for_selector("[data-live-done]:not([hidden]), .as-report", timeout=30_000)
    page.reload()

    # The report leads to what is known. It is too early to decide.
    page.click("a:text('What is known')")
    page.wait_for_selector("h2:text('2 people: no answer from the provider.')")
    page.wait_for_selector("text=The connection broke before the answer came.")
    page.wait_for_selector("text=The provider may still accept what was handed over.")
    assert not page.is_visible("button:has-text('Send again')")
    watched.open(f"/admin/messages/{mailout.pk}/?state=unknown")
    page.click("table a")
    page.wait_for_selector("text=so no machine sends it twice")

    SendCall.objects.update(armed_at=F("armed_at") - timedelta(minutes=16))
    watched.open(f"/admin/messages/{mailout.pk}/unanswered/")
    for width in (320, 390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        assert not watched.is_scrolling_sideways()
    page.click("button:has-text('Send again'):visible")
    page.wait_for_selector("#as-again-title:has-text('Send it again to 2 people?')")
    page.keyboard.press("Escape")
    assert Mailout.objects.get().state == "finished"
    provider.answer = accept
    page.click("button:has-text('Send again'):visible")
    page.click("#as-again .as-btn--danger")
    page.wait_for_selector("text=2 people are tried again.")
    page.wait_for_selector("h2:text('Nobody is without an answer.')")
    page.wait_for_selector("text=to 2 people without an answer: Alice")
    watched.open(f"/admin/campaigns/{campaign.pk}/live/")
    page.wait_for_selector("[data-live-done]:not([hidden]), .as-report", timeout=30_000)
    page.reload()
    page.wait_for_selector("text=to 2 people without an answer: Alice")
    watched.open(f"/admin/messages/{mailout.pk}/{Message.objects.filter(attempt=1).earliest('n').n}/")
    page.wait_for_selector("text=Somebody decided so: no answer had come.")
    page.wait_for_selector("text=Handed over in call")

    assert watched.troubles == []
    assert {address: times for address, times in provider.handed_over.items() if times > 1} == dict.fromkeys(LOST, 2)
    assert len(provider.handed_over) == 30
