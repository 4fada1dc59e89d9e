from django.test import Client

from organizations.models import AuditEntry, Organization, User

VALID = {
    "name": "Acme Roasters",
    "postal_address": "Pier Street 15, Riga",
    "website": "acme.example",
    "time_zone": "Europe/Vilnius",
    "locale": "ru",
    "sender_name": "Acme",
    "sender_email": "news@acme.example",
    "reply_to": "",
    "test_recipients": "one@acme.example, two@acme.example",
}


def test_an_owner_changes_the_settings(alice_client: Client, alice: User, acme: Organization) -> None:
    response = alice_client.post("/admin/organization/", VALID)

    assert response.status_code == 302
    acme.refresh_from_db()
    assert acme.name == "Acme Roasters"
    assert acme.website == "https://acme.example"
    assert acme.time_zone == "Europe/Vilnius"
    assert acme.test_recipients == ["one@acme.example", "two@acme.example"]
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action) == (alice, "organization.changed")
    assert "Pier Street" not in str(entry.detail)


def test_what_is_wrong_is_said_and_nothing_is_saved(alice_client: Client, acme: Organization) -> None:
    response = alice_client.post("/admin/organization/", {**VALID, "time_zone": "Mars/Olympus", "sender_email": "x"})

    assert response.status_code == 200
    assert set(response.context["form"].errors) == {"time_zone", "sender_email"}
    acme.refresh_from_db()
    assert acme.name == "Acme Coffee"
    assert not AuditEntry.objects.exists()


def test_those_who_may_not_change_them_can_read_them(carol_client: Client, acme: Organization) -> None:
    page = carol_client.get("/admin/organization/").content.decode()

    assert "You can read these settings." in page
    assert "Save the settings" not in page
    assert carol_client.post("/admin/organization/", VALID).status_code == 403
    acme.refresh_from_db()
    assert acme.name == "Acme Coffee"
