"""The turns of time zones on the step When, and changing the pace on the live page."""

from __future__ import annotations

import pytest

from campaigns.models import Campaign
from campaigns.services.launching import launch_campaign
from delivery.models import Mailout, SendingAccount
from subscribers.models import List
from tests.browser.conftest import Watched
from tests.campaigns import world
from tests.cast import Cast

pytestmark = pytest.mark.browser


@pytest.fixture
def newsletter(people: Cast) -> List:
    made = world.make_list(people.acme, "Newsletter", people=3)
    world.subscribe(made, "tokyo@example.org", time_zone="Asia/Tokyo")
    return made


@pytest.fixture
def account(people: Cast) -> SendingAccount:
    return world.make_account(people.acme)


@pytest.fixture
def campaign(people: Cast, newsletter: List, account: SendingAccount) -> Campaign:
    return world.make_campaign(people.acme, account, newsletter, actor=people.bob)


def test_choosing_each_ones_clock_shows_the_turns_and_saves_itself(
    watched: Watched, people: Cast, campaign: Campaign
) -> None:
    page = watched.page
    watched.sign_in(people.bob)
    watched.open(f"/admin/campaigns/{campaign.pk}/when/")

    page.check("[name=when][value=local]")
    page.fill("#day", "2031-07-01")
    page.fill("#time", "09:00")
    page.wait_for_selector("#as-when-side :text('1 person: Tokyo')")
    page.wait_for_selector("#as-when-side :text('3 people have no time zone on record and get it at 09:00 in Riga.')")

    campaign.refresh_from_db()
    assert campaign.is_by_local_time
    for width in (320, 390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        assert not watched.is_scrolling_sideways()
    assert watched.troubles == []


def test_the_pace_is_changed_while_it_goes_out(watched: Watched, people: Cast, campaign: Campaign) -> None:
    launch_campaign(campaign=campaign, revision=1, actor=people.bob)
    page = watched.page
    watched.sign_in(people.bob)
    watched.open(f"/admin/campaigns/{campaign.pk}/live/")

    page.click("button:text('Change the pace'):visible")
    assert not page.is_visible("#amount")
    page.check("#as-pace [name=pace][value=own]")
    page.fill("#amount", "100")
    page.select_option("#per", "hour")
    page.click("#as-pace button.as-btn--primary")
    page.wait_for_selector("text=your pace: at most 100 an hour")

    assert Mailout.objects.get().rate_limit == pytest.approx(100 / 3600)
    page.set_viewport_size({"width": 320, "height": 844})
    assert not watched.is_scrolling_sideways()
    assert watched.troubles == []
