"""What somebody sees who comes to the address of a button: signed in again after pressing it, perhaps."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse


def test_the_address_of_a_button_says_that_nothing_was_done(alice_client: Client) -> None:
    response = alice_client.get(reverse("admin:switch_organization"))

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    said = response.content.decode()
    assert "Nothing was done." in said
    assert reverse("admin:index") in said
