import pytest

from organizations.models import Member, Role, User
from tests.browser.conftest import Watched
from tests.cast import Cast

pytestmark = pytest.mark.browser

PAGES = ["/admin/", "/admin/organization/", "/admin/team/", "/admin/password_change/"]


def test_the_pages_keep_to_the_policy_and_to_this_host(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)

    for path in PAGES:
        watched.open(path)

    assert watched.troubles == []


def test_no_page_scrolls_sideways_in_either_language(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    wide = []

    for language in ("en", "ru"):
        User.objects.filter(pk=people.alice.pk).update(language=language)
        for path in PAGES:
            watched.open(path)
            for width in (320, 390, 820, 1440):
                watched.page.set_viewport_size({"width": width, "height": 844})
                if watched.is_scrolling_sideways():
                    wide.append((language, path, width))

    assert wide == []


def test_the_palette_opens_from_anywhere_and_jumps(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    watched.open("/admin/organization/")

    watched.page.focus("#id_name")
    watched.page.keyboard.press("Control+k")
    watched.page.keyboard.type("team")
    watched.page.wait_for_selector("#as-jump-results [aria-selected=true]")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_url("**/admin/team/")

    assert watched.troubles == []


def test_the_organization_is_switched_with_the_keyboard(watched: Watched, people: Cast) -> None:
    Member.objects.create(user=people.alice, organization=people.other, role=Role.ANALYST)
    watched.sign_in(people.alice)
    watched.open("/admin/team/")

    watched.page.focus(".as-org")
    watched.page.keyboard.press("Enter")
    watched.page.focus("#as-org-menu button:last-child")
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_url("**/admin/")

    assert "Other Tea" in watched.page.inner_text(".as-org__name >> nth=0")


def test_dark_is_remembered_and_there_before_the_first_paint(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    watched.open("/admin/team/")

    watched.page.click(".as-user")
    watched.page.click("#as-user-menu >> text=Dark")
    # Nothing is painted before there is a body: what holds then holds at the first paint.
    watched.page.add_init_script(
        """new MutationObserver((_, observer) => {
            if (!document.body) return;
            window.darkAtBody = document.documentElement.classList.contains("dark");
            observer.disconnect();
        }).observe(document, {childList: true, subtree: true})"""
    )
    watched.open("/admin/team/")

    assert watched.page.evaluate("window.darkAtBody") is True
    assert watched.troubles == []


def test_a_phone_has_the_menu_behind_more(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    watched.page.set_viewport_size({"width": 390, "height": 844})
    watched.open("/admin/team/")
    assert not watched.page.is_visible(".as-nav")

    watched.page.click(".as-bottom button")
    watched.page.click(".as-nav >> text=Organization")

    watched.page.wait_for_url("**/admin/organization/")
    assert watched.troubles == []


def test_the_first_key_leads_past_the_navigation(watched: Watched, people: Cast) -> None:
    watched.sign_in(people.alice)
    watched.open("/admin/team/")

    watched.page.keyboard.press("Tab")
    assert watched.page.evaluate("document.activeElement.className") == "as-skip"
    watched.page.keyboard.press("Enter")

    assert watched.page.evaluate("document.activeElement.id") == "content"
    assert watched.page.locator("main").count() == 1
    assert watched.page.locator("h1").count() == 1
