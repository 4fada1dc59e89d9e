from collections.abc import Iterator
from copy import copy
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from amazonsender.core.errors import Forbidden, NotFound
from organizations.admin import jump, pages, shell
from organizations.admin.jump import Jump
from organizations.models import Member, Organization, User
from organizations.requests import allowed, organization_of
from tests.cast import Cast


@pytest.fixture(autouse=True)
def registries_as_before() -> Iterator[None]:
    registries: list[Any] = [pages.PAGES, pages._home, jump.FINDERS, shell.BADGES, shell._health]
    before = [copy(registry) for registry in registries]
    yield
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content) if isinstance(registry, dict) else registry.extend(content)


def asked_by(user: User | None, method: str = "get") -> HttpRequest:
    request: HttpRequest = getattr(RequestFactory(), method)("/")
    request.member = Member.objects.get(user=user) if user else None  # type: ignore[attr-defined]
    return request


def test_a_page_asks_for_its_permission_and_for_another_one_to_act(cast: Cast) -> None:
    @pages.admin_page("x/", name="x", permission="campaign:view", post_permission="campaign:send")
    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("in")

    assert page(asked_by(cast.carol)).content == b"in"
    assert page(asked_by(cast.carol, "head")).content == b"in"
    assert page(asked_by(cast.bob, "post")).content == b"in"
    for request in (asked_by(cast.carol, "post"), asked_by(cast.carol, "put"), asked_by(None)):
        with pytest.raises(PermissionDenied):
            page(request)


def test_a_page_with_a_misspelt_permission_cannot_be_registered() -> None:
    with pytest.raises(KeyError):
        pages.admin_page("x/", name="x", permission="campaign:veiw")


@pytest.mark.parametrize(("raised", "becomes"), [(NotFound("gone"), Http404), (Forbidden("no"), PermissionDenied)])
def test_what_services_refuse_becomes_an_answer(cast: Cast, raised: Exception, becomes: type[Exception]) -> None:
    @pages.admin_page("x/", name="x", permission="campaign:view")
    def page(request: HttpRequest) -> HttpResponse:
        raise raised

    with pytest.raises(becomes):
        page(asked_by(cast.carol))


def test_an_app_sets_the_home_page(alice_client: Client) -> None:
    pages.home_page(lambda request: HttpResponse("earlier"))
    pages.home_page(lambda request: HttpResponse("home of an app"))

    assert alice_client.get("/admin/").content == b"home of an app"


def test_without_an_apps_home_page_there_is_an_empty_one(alice_client: Client) -> None:
    pages._home.clear()

    assert "Nothing has been sent yet" in alice_client.get("/admin/").content.decode()


def test_ctrl_k_finds_pages_and_rows_of_the_organization_at_hand(
    alice_client: Client, acme: Organization, cast: Cast
) -> None:
    @jump.jump_finder
    def find(member: Member, term: str) -> list[Jump]:
        return [Jump(f"{term} of {member.organization.name}", "Thing", "/admin/thing/", "send")]

    content = alice_client.get("/admin/search/?s=TEAM").content.decode()
    assert 'href="/admin/team/"' in content
    assert "team of Acme Coffee" in content

    Member.objects.create(user=cast.alice, organization=cast.other)
    alice_client.post("/admin/switch/", {"organization": cast.other.pk})
    assert "team of Other Tea" in alice_client.get("/admin/search/?s=team").content.decode()


def test_ctrl_k_with_nothing_typed_asks_nobody(alice_client: Client) -> None:
    jump.jump_finder(lambda member, term: pytest.fail("asked"))

    assert alice_client.get("/admin/search/?s=%20").content.strip() == b""


def test_what_was_typed_comes_back_escaped(alice_client: Client) -> None:
    content = alice_client.get("/admin/search/?s=<script>alert(1)</script>").content

    assert b"<script>" not in content
    assert b"Nothing is called" in content


def test_the_navigation_shows_what_the_role_may_open(bob_client: Client, carol_client: Client) -> None:
    titles = [
        [
            str(item["title"])
            for group in client.get("/admin/team/").context["sidebar_navigation"]
            for item in group["items"]
        ]
        for client in (bob_client, carol_client)
    ]

    assert "Team" in titles[0]
    assert set(titles[1]) <= set(titles[0])
    assert "Imports" not in titles[1]


def test_the_entry_of_the_page_at_hand_is_marked(alice_client: Client) -> None:
    groups = alice_client.get("/admin/team/").context["sidebar_navigation"]

    assert [str(i["title"]) for group in groups for i in group["items"] if i["active"]] == ["Team"]


def test_an_app_adds_a_count_and_a_line_of_health(alice_client: Client) -> None:
    shell.sidebar_badge("admin:team")(lambda member: 3)
    shell.sidebar_health(lambda member: shell.HealthNote("warn", "Amazon SES: sandbox", "200 a day", "/admin/team/"))

    content = alice_client.get("/admin/team/").content.decode()

    assert '<b class="as-nav__badge">3' in content
    assert "as-dot--warn" in content
    assert "Amazon SES: sandbox" in content


def test_a_stranger_has_no_organization(db: None) -> None:
    request = asked_by(None)

    assert allowed(request, "campaign:view") is False
    with pytest.raises(PermissionDenied):
        organization_of(request)


def test_a_dry_run_installation_says_so_on_every_page(alice_client: Client, settings: Settings) -> None:
    assert "Dry run: this installation" not in alice_client.get("/admin/team/").content.decode()

    settings.SENDING_MODE = "dry_run"

    assert "Dry run: this installation only simulates." in alice_client.get("/admin/team/").content.decode()


def test_a_page_costs_few_queries(alice_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    alice_client.get("/admin/team/")

    with django_assert_max_num_queries(9):
        alice_client.get("/admin/team/")


def test_logging_out_ends_the_session(alice_client: Client) -> None:
    alice_client.post(reverse("admin:logout"))

    assert alice_client.get("/admin/team/").status_code == 302
