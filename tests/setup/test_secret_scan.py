import pytest

from tests.setup.secret_scan import find_secrets


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key = " + "AKIA" + "Q3EGTZ7W2LMN4XYZ", "AWS access key id"),
        ("AWS_SECRET_ACCESS_KEY=" + "x7" * 20, "AWS secret key"),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", "private key"),
        ("token: gh" + "p_" + "a1" * 18, "GitHub token"),
        ("NOTION_TOKEN=nt" + "n_" + "a" * 44, "Notion token"),
        ("xox" + "b-1234567890-abcdefghijkl", "Slack token"),
        ("https://" + "0a" * 16 + "@o1.ingest.de.sentry.io/1", "Sentry address"),
    ],
)
def test_a_secret_is_found_with_its_line(text: str, kind: str) -> None:
    assert find_secrets(f"first line\n{text}\n") == [(2, kind)]


@pytest.mark.parametrize(
    "text", ["AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=", "-----BEGIN CERTIFICATE-----", "SECRET_KEY = env.str("]
)
def test_examples_and_names_alone_are_no_secrets(text: str) -> None:
    assert find_secrets(text) == []
