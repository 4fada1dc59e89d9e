"""Forgotten passwords and invitations, as their readers meet them: letter, link, page."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from organizations.models import Invitation, Member, User
from tests.browser.conftest import Watched
from tests.cast import Cast
from tests.organizations.letters import letters, link_in

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery"


def test_a_forgotten_password_is_replaced_from_the_sign_in_page(
    watched: Watched, people: Cast, settings: Settings
) -> None:
    settings.PUBLIC_URL = watched.base
    watched.open("/admin/login/")

    watched.page.click("text=Forgot your password")
    watched.page.fill("[name=email]", people.alice.email)
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector("text=Look into your mailbox.")
    watched.open(link_in(letters(purpose="password_reset")[0]))
    watched.page.fill("[name=new_password1]", PASSWORD)
    watched.page.fill("[name=new_password2]", PASSWORD)
    watched.page.click("text=Set it and sign in")
    watched.page.wait_for_url("**/admin/")

    assert "Your password is changed." in watched.page.inner_text("main")
    assert User.objects.get(pk=people.alice.pk).check_password(PASSWORD)
    assert watched.troubles == []


def test_somebody_is_invited_joins_and_chooses_a_password(watched: Watched, people: Cast, settings: Settings) -> None:
    settings.PUBLIC_URL = watched.base
    watched.sign_in(people.alice)
    watched.open("/admin/team/")

    watched.page.fill("#invite-email", "new@person.example")
    watched.page.select_option("#invite-role", "analyst")
    watched.page.click("text=Send the invitation")
    watched.page.wait_for_selector("text=is on its way")
    watched.page.context.clear_cookies()
    watched.open(link_in(letters(purpose="invitation")[0]))
    watched.page.click("text=Join the team")
    watched.page.wait_for_url("**/admin/password_change/")
    watched.page.fill("[name=new_password1]", PASSWORD)
    watched.page.fill("[name=new_password2]", PASSWORD)
    watched.page.click("text=Change the password")
    watched.page.wait_for_url("**/admin/")

    member = Member.objects.get(user__email="new@person.example")
    assert (member.role, member.user.check_password(PASSWORD)) == ("analyst", True)
    assert watched.troubles == []


def test_an_invitation_is_taken_back_with_the_keyboard(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    watched.open("/admin/team/")
    watched.page.fill("#invite-email", "new@person.example")
    watched.page.click("text=Send the invitation")
    watched.page.wait_for_selector("text=Take back")

    watched.page.focus("[data-open^=withdraw]")
    watched.page.keyboard.press("Enter")
    watched.page.focus("dialog[open] .as-btn--danger")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_selector("text=opens nothing any more")

    assert Invitation.objects.get().withdrawn_at is not None
    assert watched.troubles == []


def test_the_pages_fit_a_small_phone_in_either_language(watched: Watched, people: Cast, settings: Settings) -> None:
    settings.PUBLIC_URL = watched.base
    watched.open("/password/forgotten/")
    watched.page.fill("[name=email]", people.alice.email)
    watched.page.click("button[value=password]")
    watched.page.wait_for_selector("text=Look into your mailbox.")
    wide = []

    for language in ("en", "ru"):
        watched.page.set_extra_http_headers({"Accept-Language": language})
        for path in ("/password/forgotten/", link_in(letters()[0]), "/password/new/x/y/", "/invitation/x/"):
            watched.open(path)
            for width in (320, 390, 1440):
                watched.page.set_viewport_size({"width": width, "height": 844})
                if watched.is_scrolling_sideways():
                    wide.append((language, path, width))

    assert wide == []
