from __future__ import annotations

from django.test import Client
from django.urls import reverse

from campaigns.models import Template
from organizations.models import User
from tests.campaigns import world
from tests.campaigns.test_pages import text


def change(template: Template) -> str:
    return reverse("admin:campaigns_template_change", args=[template.pk])


def test_the_list_offers_the_starters(bob_client: Client) -> None:
    said = text(bob_client.get(reverse("admin:campaigns_template_changelist")))

    assert "2 layouts to write in." in said


def test_saving_makes_a_version(bob_client: Client, template: Template, bob: User) -> None:
    data = {"name": "Frame", "description": "Plain", "html": f"{world.FRAME}<!-- 2 -->", "number": "1"}

    bob_client.post(change(template), data)

    newest = template.versions.first()
    assert newest is not None
    assert (newest.number, newest.created_by) == (2, bob)


def test_a_template_without_its_region_is_refused_and_the_text_stays(bob_client: Client, template: Template) -> None:
    data = {"name": "Frame", "html": "<p>my work</p>", "number": "1"}

    response = bob_client.post(change(template), data)

    assert response.status_code == 422
    assert "&lt;p&gt;my work&lt;/p&gt;" in response.content.decode()
    assert template.versions.count() == 1


def test_a_preview_has_the_policy_of_an_email(bob_client: Client, template: Template) -> None:
    response = bob_client.get(reverse("admin:template_preview", args=[template.pk]))

    assert "A headline of the campaign" in response.content.decode()
    assert response.headers["Content-Security-Policy"].startswith("sandbox;")


def test_an_analyst_reads_and_changes_nothing(carol_client: Client, template: Template) -> None:
    assert carol_client.get(change(template)).status_code == 200
    assert carol_client.post(change(template), {"name": "x", "html": world.FRAME, "number": "1"}).status_code == 403
    assert carol_client.post(reverse("admin:template_archive", args=[template.pk])).status_code == 403

    template.refresh_from_db()
    assert (template.name, template.is_archived) == ("Frame", False)


def test_another_organization_finds_no_template(mallory_client: Client, template: Template) -> None:
    for name in ("campaigns_template_change", "template_preview"):
        assert mallory_client.get(reverse(f"admin:{name}", args=[template.pk])).status_code == 404
    assert mallory_client.post(reverse("admin:template_restore", args=[template.pk, 1])).status_code == 404


def test_a_new_template_gets_a_name_nobody_has(bob_client: Client) -> None:
    bob_client.post(reverse("admin:template_new"))
    bob_client.post(reverse("admin:template_new"))

    assert sorted(Template.objects.values_list("name", flat=True)) == ["New template", "New template 2"]


def test_an_archived_template_leaves_the_list_and_comes_back(bob_client: Client, template: Template) -> None:
    bob_client.post(reverse("admin:template_archive", args=[template.pk]))
    assert ">Frame</a>" not in text(bob_client.get(reverse("admin:campaigns_template_changelist")))

    bob_client.post(reverse("admin:template_archive", args=[template.pk]))
    assert ">Frame</a>" in text(bob_client.get(reverse("admin:campaigns_template_changelist")))
