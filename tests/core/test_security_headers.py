import pytest
from django.test import Client

from amazonsender.settings import base


def policy(response: object) -> dict[str, str]:
    parts = response["Content-Security-Policy"].split("; ")  # type: ignore[index]
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def test_scripts_and_styles_come_from_here_alone(alice_client: Client) -> None:
    found = policy(alice_client.get("/admin/team/"))

    assert found["default-src"] == "'none'"
    assert found["script-src"] == "'self'"
    assert found["style-src"] == "'self'"
    assert found["frame-ancestors"] == "'none'"
    assert "unsafe-eval" not in str(found)


@pytest.mark.parametrize(
    "path", ["/admin/team/", "/admin/organization/", "/admin/password_change/", "/admin/search/?s=t"]
)
def test_no_page_carries_an_inline_script_or_style(alice_client: Client, path: str) -> None:
    content = alice_client.get(path).content.decode()

    assert "<style" not in content
    assert "<script>" not in content
    assert "onclick=" not in content
    assert "javascript:" not in content


def test_every_answer_carries_the_headers(client: Client, db: None) -> None:
    response = client.get("/admin/login/")

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["Permissions-Policy"].startswith("camera=()")


def test_cookies_are_out_of_reach_of_scripts_and_other_sites() -> None:
    assert base.SESSION_COOKIE_HTTPONLY is True
    assert base.SESSION_COOKIE_SAMESITE == base.CSRF_COOKIE_SAMESITE == "Lax"


def test_a_server_sends_cookies_over_https_only_and_remembers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from amazonsender.settings import production

    assert production.SESSION_COOKIE_SECURE is production.CSRF_COOKIE_SECURE is True
    assert production.SESSION_COOKIE_NAME == "__Host-session"
    assert production.SECURE_HSTS_SECONDS == 31_536_000
    assert production.DEBUG is False
    assert production.SECURE_SSL_REDIRECT is False
