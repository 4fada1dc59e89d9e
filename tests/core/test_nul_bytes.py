from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.parametrize(
    "path",
    ["/admin/campaigns/?q=x%00y", "/admin/search/?s=x%00y", "/admin/messages/?q=%00", "/u/%00", "/v/x%00?lang=en"],
)
def test_an_address_with_a_nul_is_refused_rather_than_looked_up(alice_client: Client, path: str) -> None:
    answer = alice_client.get(path)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "text/plain"


def test_a_percent_sign_before_zeros_is_no_nul(alice_client: Client) -> None:
    assert alice_client.get("/admin/campaigns/?q=5%25000").status_code == 200
