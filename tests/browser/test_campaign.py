from __future__ import annotations

import re
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from campaigns.models import Campaign
from campaigns.services.templates import ensure_starters
from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.runner import AccountRunner
from delivery.engine.simulating import SimulatedProvider
from delivery.models import AccountPace, Mailout, SendingAccount
from organizations.models import User
from subscribers.models import List
from tests.browser.conftest import Watched
from tests.campaigns import world
from tests.campaigns.engine import running_engine
from tests.cast import Cast
from tests.delivery.engine.world import ScriptedProvider

pytestmark = pytest.mark.browser

STEPS = ("content", "audience", "sender", "checks", "when", "review")


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def engine(people: Cast, provider: ScriptedProvider) -> Iterator[None]:
    def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner:
        chosen = provider if account_id else SimulatedProvider()
        return AccountRunner(account_id, chosen, threads=1, results=results, connect=open_connection)

    with running_engine(make_runner):
        yield


@pytest.fixture
def newsletter(people: Cast) -> List:
    return world.make_list(people.acme, "Newsletter", people=30)


@pytest.fixture
def account(people: Cast) -> SendingAccount:
    return world.make_account(people.acme)


def test_from_an_empty_draft_to_the_report(
    watched: Watched, people: Cast, newsletter: List, account: SendingAccount, provider: ScriptedProvider, engine: None
) -> None:
    page = watched.page
    watched.sign_in(people.bob)
    watched.open("/admin/campaigns/new/")
    page.fill("#name", "Winter letter")
    page.click("button[form=as-new]:visible")
    page.wait_for_url("**/content/")
    base = page.url.removesuffix("content/")

    # Content: saved by itself, a problem named with its line, the preview beside it.
    page.fill("#as-body", "<p>Dear {{ fist_name }},</p>")
    page.wait_for_selector("#as-problems [data-line='1']")
    page.fill("#as-body", '<p>Dear {{ first_name | default: "reader" }}, <a href="https://acme.example/">look</a>.</p>')
    page.wait_for_selector("#as-problems :text('No problems.')")
    frame = page.frame_locator(".as-stage iframe")
    frame.locator("text=Dear Maria,").wait_for()
    page.click("[data-theme-to=dark]")
    frame.locator("text=Dear Maria,").wait_for()

    page.goto(f"{base}audience/")
    page.check("input[name=list_ids]")
    page.wait_for_selector("#as-people-head :text('30 people will get it.')")
    page.goto(f"{base}sender/")
    page.fill("#subject", "Winter is here")
    page.wait_for_selector("#as-phone :text('Winter is here')")
    page.goto(f"{base}checks/")
    page.wait_for_selector("h2:text('Nothing stops this campaign.')")

    # Review: only the right number sends, and it sends once.
    page.goto(f"{base}review/")
    page.fill("#count", "31")
    page.press("#count", "Enter")
    assert page.url.endswith("/review/")
    assert not Mailout.objects.exists()
    page.fill("#count", "30")
    page.click(".as-btn--big")
    page.wait_for_url("**/live/")
    page.wait_for_selector("[data-live-done]:not([hidden]), .as-report", timeout=30_000)
    page.reload()
    page.wait_for_selector("h2:text('It was sent to 30 people.')")

    assert watched.troubles == []
    assert sum(provider.handed_over.values()) == 30
    assert set(provider.handed_over.values()) == {1}


def test_pausing_shows_at_once_and_stopping_asks_with_the_number(
    watched: Watched, people: Cast, newsletter: List, account: SendingAccount, engine: None
) -> None:
    AccountPace.objects.update(parked_reason="review")  # so that nothing leaves
    campaign = world.make_campaign(people.acme, account, newsletter, actor=people.bob)
    page = watched.page
    watched.sign_in(people.bob)
    watched.open(f"/admin/campaigns/{campaign.pk}/review/")
    page.fill("#count", "30")
    page.click(".as-btn--big")
    page.wait_for_url("**/live/")

    page.click("button:has-text('Pause'):visible")
    page.wait_for_selector("h2:text('We stopped, 30 people are waiting.')")
    page.click("button:has-text('Stop for good'):visible")
    page.wait_for_selector("#as-stop-title:has-text('leave 30 people without it')")
    page.keyboard.press("Escape")
    assert Mailout.objects.get().state == "paused"
    page.click("button:has-text('Stop for good'):visible")
    page.click("#as-stop .as-btn--danger")
    page.wait_for_selector("[data-live-done]:not([hidden]), .as-report", timeout=15_000)
    page.reload()

    assert re.search(r"Stopped before it left\s*30", page.inner_text(".as-report"))
    assert watched.troubles == []


def test_two_people_in_one_field_are_told_and_choose(
    watched: Watched, people: Cast, newsletter: List, account: SendingAccount
) -> None:
    campaign = world.make_campaign(people.acme, account, newsletter, actor=people.bob)
    page = watched.page
    watched.sign_in(people.bob)
    watched.open(f"/admin/campaigns/{campaign.pk}/sender/")
    save_as(people.alice, campaign, subject="Alice's")

    page.fill("#subject", "Bob's")
    page.wait_for_selector("#as-conflict :text('Alice changed the subject.')")
    page.click("#as-conflict [data-keep]")
    page.wait_for_selector('#as-phone :text("Bob\'s")')

    campaign.refresh_from_db()
    assert campaign.subject == "Bob's"
    assert [trouble for trouble in watched.troubles if "409" not in trouble] == []


def save_as(user: User, campaign: Campaign, *, subject: str) -> None:
    from campaigns.services.compose import save_campaign

    save_campaign(campaign=campaign, changes={"subject": subject}, revision=campaign.revision, actor=user)


def test_no_page_scrolls_sideways(watched: Watched, people: Cast, newsletter: List, account: SendingAccount) -> None:
    template = ensure_starters(people.acme)[0]
    campaign = world.make_campaign(people.acme, account, newsletter, actor=people.bob)
    paths = [f"campaigns/{campaign.pk}/{step}/" for step in (*STEPS, "test", "dry-run", "left-out")]
    paths += ["", "campaigns/", "campaigns/new/", "templates/", f"templates/{template.pk}/", "messages/"]
    paths += [f"account/{account.pk}/", "account/?all"]
    watched.sign_in(people.alice)

    wide = []
    for path in paths:
        watched.open(f"/admin/{path}")
        for width in (320, 390, 820, 1440):
            watched.page.set_viewport_size({"width": width, "height": 844})
            if watched.is_scrolling_sideways():
                wide.append((path, width))

    assert wide == []
    assert watched.troubles == []


def test_the_keyboard_opens_steps_and_a_new_campaign(
    watched: Watched, people: Cast, newsletter: List, account: SendingAccount
) -> None:
    campaign = world.make_campaign(people.acme, account, newsletter, actor=people.bob)
    page = watched.page
    watched.sign_in(people.bob)
    watched.open(f"/admin/campaigns/{campaign.pk}/content/")

    page.keyboard.press("Alt+Digit3")
    page.wait_for_url("**/sender/")
    watched.open("/admin/campaigns/")
    page.keyboard.press("c")
    page.wait_for_url("**/campaigns/new/")

    assert watched.troubles == []
