from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone, translation

from organizations.middleware import OrganizationMiddleware
from organizations.models import Member, Organization, Role, User
from tests.cast import Cast


def test_a_reader_without_a_session_costs_no_query(rf: RequestFactory) -> None:
    request = rf.get("/o/token")
    request.user = AnonymousUser()

    OrganizationMiddleware(lambda _: HttpResponse())(request)  # a query would fail: this test has no database

    assert request.organization is None  # type: ignore[attr-defined]
    assert request.member is None  # type: ignore[attr-defined]


def test_the_organization_joined_first_is_the_one_a_session_starts_in(cast: Cast, alice_client: Client) -> None:
    Member.objects.create(organization=cast.other, user=cast.alice, role=Role.ANALYST)

    response = alice_client.get("/admin/organization/")

    assert response.context["organization"] == cast.acme


def test_switching_works_in_the_other_organization_with_the_role_held_there(
    acme: Organization, other: Organization, alice: User, alice_client: Client
) -> None:
    Member.objects.create(organization=other, user=alice, role=Role.ANALYST)

    response = alice_client.post("/admin/switch/", {"organization": other.pk})

    assert response.status_code == 302
    page = alice_client.get("/admin/organization/")
    assert page.context["organization"] == other
    assert page.context["member"].role == Role.ANALYST
    assert alice_client.post("/admin/organization/", {"name": "Mine"}).status_code == 403
    assert Organization.objects.get(pk=other.pk).name == "Other Tea"


def test_switching_to_an_organization_of_others_is_not_found_and_changes_nothing(
    acme: Organization, mallory_client: Client
) -> None:
    response = mallory_client.post("/admin/switch/", {"organization": acme.pk})

    assert response.status_code == 404
    assert mallory_client.get("/admin/organization/").context["organization"].name == "Other Tea"


def test_a_link_cannot_switch(acme: Organization, alice_client: Client) -> None:
    assert alice_client.get(f"/admin/switch/?organization={acme.pk}").status_code == 405


def test_a_forged_session_value_does_not_open_another_organization(acme: Organization, mallory_client: Client) -> None:
    session = mallory_client.session
    session["organization_id"] = acme.pk
    session.save()

    assert mallory_client.get("/admin/organization/").context["organization"].name == "Other Tea"


def test_somebody_taken_out_of_the_team_is_out_with_the_next_request(alice: User, alice_client: Client) -> None:
    Member.objects.filter(user=alice).delete()

    response = alice_client.get("/admin/organization/")

    assert response.status_code == 302
    assert response["Location"] == "/admin/login/?next=/admin/organization/"


def test_a_superuser_without_a_membership_stays_outside(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root@acme.example"))

    assert client.get("/admin/organization/").status_code == 302


def test_the_time_zone_is_the_organizations_and_the_language_the_persons(
    rf: RequestFactory, alice: User, alice_client: Client
) -> None:
    seen: dict[str, str | None] = {}

    def view(request: HttpRequest) -> HttpResponse:
        seen.update(zone=timezone.get_current_timezone_name(), language=translation.get_language())
        return HttpResponse()

    alice.language = "ru"
    alice.save()
    request = rf.get("/")
    request.user, request.session = alice, alice_client.session
    request.COOKIES["sessionid"] = "x"

    response = OrganizationMiddleware(view)(request)

    assert seen == {"zone": "Europe/Riga", "language": "ru"}
    assert response["Content-Language"] == "ru"
    assert timezone.get_current_timezone_name() == "UTC"
    assert translation.get_language() == "en"


def test_the_language_is_chosen_per_person(alice: User, alice_client: Client) -> None:
    response = alice_client.post("/admin/language/", {"language": "ru", "next": "/admin/team/"})

    assert response["Location"] == "/admin/team/"
    alice.refresh_from_db()
    assert alice.language == "ru"
    assert alice_client.get("/admin/team/")["Content-Language"] == "ru"


def test_choosing_a_language_never_leads_to_another_site(alice_client: Client) -> None:
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", ""):
        response = alice_client.post("/admin/language/", {"language": "en", "next": target})

        assert response["Location"] == "/admin/"


def test_a_language_nobody_speaks_changes_nothing(alice: User, alice_client: Client) -> None:
    assert alice_client.post("/admin/language/", {"language": "xx"}).status_code == 302

    alice.refresh_from_db()
    assert alice.language == ""
