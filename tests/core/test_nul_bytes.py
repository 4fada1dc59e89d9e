from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from django.urls import reverse

from amazonsender.core.middleware import NulMiddleware
from organizations.models import Organization
from tests.factories import CampaignFactory


@pytest.mark.parametrize(
    "path",
    ["/admin/campaigns/?q=x%00y", "/admin/search/?s=x%00y", "/admin/messages/?q=%00", "/u/%00", "/v/x%00?lang=en"],
)
def test_an_address_with_a_nul_is_refused_rather_than_looked_up(alice_client: Client, path: str) -> None:
    answer = alice_client.get(path)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "text/plain; charset=utf-8"


def test_a_percent_sign_before_zeros_is_no_nul(alice_client: Client) -> None:
    assert alice_client.get("/admin/campaigns/?q=5%25000").status_code == 200


def test_a_cookie_with_a_nul_is_refused() -> None:
    assert Client(HTTP_COOKIE=r'sessionid="abcdefgh\000ijkl"').get("/admin/").status_code == 400


def test_a_field_that_no_form_of_ours_reads_is_refused_before_it_is_saved(
    alice_client: Client, acme: Organization
) -> None:
    campaign = CampaignFactory.create(organization=acme, name="Spring")

    answer = alice_client.post(reverse("admin:campaign_rename", args=[campaign.pk]), {"name": "Spring\0"})

    assert answer.status_code == 400
    campaign.refresh_from_db()
    assert campaign.name == "Spring"


def test_readers_pages_refuse_it_in_the_readers_language() -> None:
    answer = Client(headers={"Accept-Language": "ru"}).post("/p/whatever", {"list": "\0"})

    assert answer.status_code == 400
    assert "NUL" in answer.content.decode()
    assert "form" not in answer.content.decode()


def test_a_file_may_have_a_nul(alice_client: Client) -> None:
    file = SimpleUploadedFile("people.csv", b"email\nann@example.com\0\n")

    assert alice_client.post(reverse("admin:import_new"), {"file": file}).status_code == 302


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("admin:template_new", {"name": "x\0y"}),
        ("admin:import_new", {"pasted": "email\nann@example.com\0"}),
        ("admin:campaign_new", {"name": "x\0y"}),
        ("admin:switch_language", {"language": "\0"}),
        ("admin:switch_organization", {"organization": "1\0"}),
        ("admin:organization_settings", {"na\0me": "x"}),
        ("admin:login", {"username": "alice\0@acme.example", "password": "x"}),
    ],
)
def test_a_form_with_a_nul_is_refused_in_a_sentence(alice_client: Client, page: str, fields: dict[str, str]) -> None:
    answer = alice_client.post(reverse(page), fields)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    said = answer.content.decode()
    assert said == "The form has a character in it that no text holds (NUL). Take it out and send again.\n"


def test_a_form_that_breaks_off_is_left_to_the_view(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_request: WSGIRequest) -> None:
        raise UnreadablePostError

    monkeypatch.setattr(WSGIRequest, "POST", property(break_off))

    assert NulMiddleware(lambda _request: HttpResponse()).process_view(rf.post("/u/whatever")) is None
