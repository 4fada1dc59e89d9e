from django.test import Client


def test_the_home_page_opens_for_every_member(alice_client: Client, carol_client: Client) -> None:
    for client in (alice_client, carol_client):
        response = client.get("/admin/")

        assert response.status_code == 200
        assert b"Acme Coffee" in response.content
