"""OrganizationAdmin over real models, on a site of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import clear_url_caches, path
from unfold.admin import ModelAdmin

from amazonsender import urls
from amazonsender.site import AmazonSenderSite
from organizations.admin import pagination
from organizations.admin.base import OrganizationAdmin, choices_of
from organizations.models import Member, Organization, User
from subscribers.models import Domain, List, Subscriber, Suppression
from tests.cast import Cast


class ListAdmin(OrganizationAdmin):
    resource = "list"
    list_display = ("name",)
    search_fields = ("name",)
    is_deletable = True


class SuppressionAdmin(OrganizationAdmin):
    resource = "suppression"
    fields = ("address_key", "scope", "list")


@pytest.fixture
def site() -> Iterator[AmazonSenderSite]:
    site = AmazonSenderSite("admin")
    site.register(List, ListAdmin)
    site.register(Suppression, SuppressionAdmin)
    before = list(urls.urlpatterns)
    urls.urlpatterns[:] = [path("admin/", site.urls), *before]
    clear_url_caches()
    yield site
    urls.urlpatterns[:] = before
    clear_url_caches()


def asked_by(user: User, data: dict[str, Any] | None = None, query: dict[str, str] | None = None) -> HttpRequest:
    factory = RequestFactory()
    request = factory.get("/", query) if data is None else factory.post("/", data)
    member = Member.objects.get(user=user)
    request.user, request.member, request.organization = user, member, member.organization  # type: ignore[attr-defined]
    request.session = {}  # type: ignore[assignment]
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    return request


def test_a_list_shows_the_rows_of_one_organization(site: AmazonSenderSite, cast: Cast) -> None:
    ours = List.objects.create(organization=cast.acme, name="Ours")
    List.objects.create(organization=cast.other, name="Theirs")
    admin = site._registry[List]

    assert list(admin.get_queryset(asked_by(cast.alice))) == [ours]


def test_an_object_of_another_organization_is_not_found(site: AmazonSenderSite, cast: Cast) -> None:
    theirs = List.objects.create(organization=cast.other, name="Theirs")
    admin = site._registry[List]

    for data in (None, {"name": "Taken"}):
        with pytest.raises(Http404):
            admin.change_view(asked_by(cast.alice, data), str(theirs.pk))
    with pytest.raises(Http404):
        admin.delete_view(asked_by(cast.alice, {"post": "yes"}), str(theirs.pk))
    with pytest.raises(Http404):
        admin.history_view(asked_by(cast.alice), str(theirs.pk))

    theirs.refresh_from_db()
    assert theirs.name == "Theirs"


def test_a_new_row_belongs_to_the_organization_of_the_request(site: AmazonSenderSite, cast: Cast) -> None:
    form = {"name": "News", "description": "", "is_public": "on", "organization": str(cast.other.pk)}

    response = site._registry[List].add_view(asked_by(cast.bob, form))

    assert response.status_code == 302
    assert List.objects.get().organization == cast.acme


def test_a_name_that_is_taken_is_said_not_a_server_error(site: AmazonSenderSite, cast: Cast) -> None:
    List.objects.create(organization=cast.acme, name="News")
    List.objects.create(organization=cast.other, name="Elsewhere")

    refused = site._registry[List].add_view(asked_by(cast.bob, {"name": "News", "description": ""}))
    assert refused.status_code == 200
    assert List.objects.count() == 2

    same_as_theirs = site._registry[List].add_view(asked_by(cast.bob, {"name": "Elsewhere", "description": ""}))
    assert same_as_theirs.status_code == 302


def test_a_role_that_only_reads_can_neither_add_change_nor_delete(site: AmazonSenderSite, cast: Cast) -> None:
    ours = List.objects.create(organization=cast.acme, name="Ours")
    admin = site._registry[List]

    assert admin.has_view_permission(asked_by(cast.carol), ours) is True
    with pytest.raises(PermissionDenied):
        admin.add_view(asked_by(cast.carol, {"name": "X", "description": ""}))
    with pytest.raises(PermissionDenied):
        admin.change_view(asked_by(cast.carol, {"name": "X", "description": ""}), str(ours.pk))
    with pytest.raises(PermissionDenied):
        admin.delete_view(asked_by(cast.carol, {"post": "yes"}), str(ours.pk))
    assert [row.name for row in List.objects.all()] == ["Ours"]


def test_rows_stay_unless_an_admin_says_that_they_may_go(site: AmazonSenderSite, cast: Cast) -> None:
    request = asked_by(cast.alice)

    assert site._registry[List].has_delete_permission(request) is True
    assert site._registry[Suppression].has_delete_permission(request) is False
    assert "delete_selected" not in site._registry[Suppression].get_actions(request)
    assert "delete_selected" in site._registry[List].get_actions(request)


def test_a_choice_cannot_reach_over_the_wall(site: AmazonSenderSite, cast: Cast) -> None:
    ours = List.objects.create(organization=cast.acme, name="Ours")
    theirs = List.objects.create(organization=cast.other, name="Theirs")
    admin = site._registry[Suppression]
    form = {"address_key": "ann@acme.example", "scope": "list", "list": str(theirs.pk)}

    response = admin.add_view(asked_by(cast.bob, form))

    assert response.status_code == 200
    assert not Suppression.objects.exists()
    field = admin.get_form(asked_by(cast.bob))().fields["list"]
    assert list(field.queryset) == [ours]
    assert admin.add_view(asked_by(cast.bob, {**form, "list": str(ours.pk)})).status_code == 302


def test_people_and_organizations_are_chosen_from_the_organization_too(cast: Cast) -> None:
    from campaigns.models import Campaign

    request = asked_by(cast.alice)

    def choices(model: Any, name: str) -> set[Any]:
        return set(choices_of(model._meta.get_field(name), request, None))

    assert choices(Campaign, "created_by") == {cast.alice, cast.bob, cast.carol}
    assert choices(Campaign, "organization") == {cast.acme}
    Domain.objects.create(name="acme.example")
    assert choices(Subscriber, "domain") == set(Domain.objects.all())


def test_autocomplete_stays_inside(site: AmazonSenderSite, cast: Cast) -> None:
    List.objects.create(organization=cast.acme, name="News of ours")
    List.objects.create(organization=cast.other, name="News of theirs")
    query = {"app_label": "subscribers", "model_name": "suppression", "field_name": "list", "term": "news"}

    response = site.autocomplete_view(asked_by(cast.alice, query=query))

    assert b"News of ours" in response.content
    assert b"News of theirs" not in response.content


def test_a_long_list_is_not_counted_to_its_end(
    site: AmazonSenderSite, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "COUNTED_UP_TO", 30)
    List.objects.bulk_create([List(organization=cast.acme, name=f"List {i}") for i in range(40)])

    with CaptureQueriesContext(connection) as queries:
        response = site._registry[List].changelist_view(asked_by(cast.alice))

    change_list = response.context_data["cl"]
    assert change_list.result_count == 30
    assert change_list.paginator.is_capped is True
    assert len(change_list.result_list) == 25
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "subscribers_list" in query["sql"]]
    assert counts
    assert all("LIMIT 31" in sql for sql in counts)


def test_a_list_that_just_fits_is_not_said_to_go_on(
    site: AmazonSenderSite, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "COUNTED_UP_TO", 30)
    List.objects.bulk_create([List(organization=cast.acme, name=f"List {i}") for i in range(30)])

    response = site._registry[List].changelist_view(asked_by(cast.alice))
    said = response.render().content.decode()

    assert response.context_data["cl"].paginator.is_capped is False
    assert "Lists: 30" in said
    assert "search to find one" not in said


def test_pages_load_no_jquery_unless_an_admin_asks_for_it(site: AmazonSenderSite, cast: Cast) -> None:
    for view in (site._registry[List].changelist_view, site._registry[List].add_view):
        response = view(asked_by(cast.alice))

        assert "jquery" not in response.rendered_content.lower()


def test_admins_that_know_no_organizations_stay_out_of_the_site(site: AmazonSenderSite) -> None:
    class Plain(ModelAdmin):  # type: ignore[misc]
        pass

    site.register(Subscriber, Plain)
    site.register(Domain)

    assert set(site._registry) == {List, Suppression}


def test_the_site_itself_holds_nothing_else() -> None:
    from django.contrib import admin

    assert all(isinstance(each, OrganizationAdmin) for each in admin.site._registry.values())
    assert Organization not in admin.site._registry
    assert User not in admin.site._registry
