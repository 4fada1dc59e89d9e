"""Keys: given, found by botocore's search, renewed, or missing."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from botocore.session import Session

from delivery.providers.base import EntryResult, Outcome, OutgoingEmail, PermanentError, Signal, TransientError
from delivery.providers.ses import SesProvider
from delivery.providers.ses.credentials import CredentialSource
from delivery.providers.ses.credentials import RefreshableCredentials as RefreshableLike
from delivery.providers.ses.signing import SigningKeys
from tests.delivery.providers.ses.conftest import REGION, entries


@pytest.fixture
def no_ambient_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_given_keys_are_used() -> None:
    assert CredentialSource(access_key="A", secret_key="b", session_token="t").keys() == SigningKeys("A", "b", "t")
    assert CredentialSource(access_key="A", secret_key="b").keys() == SigningKeys("A", "b", "")


@pytest.mark.parametrize("given", [{"access_key": "A"}, {"secret_key": "b"}])
def test_half_a_pair_of_keys_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(PermanentError, match="An access key needs its secret key"):
        CredentialSource(**given)  # type: ignore[arg-type] # a dictionary of two of its strings


def test_the_environment_is_searched_when_the_first_signature_needs_it(
    no_ambient_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = CredentialSource()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROM-ENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert source.keys() == SigningKeys("FROM-ENV", "secret", "")
    assert source.resolve() is source.resolve()


def test_missing_credentials_are_a_permanent_error(no_ambient_credentials: None) -> None:
    with pytest.raises(PermanentError, match="No AWS credentials found"):
        CredentialSource().keys()


def test_a_search_that_fails_is_a_permanent_error(
    no_ambient_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(PermanentError, match=r"AWS credentials could not be read: The config profile \(nobody\)"):
        CredentialSource().keys()


def test_credentials_that_expire_are_renewed_for_the_next_signature() -> None:
    issued: list[int] = []

    def issue() -> dict[str, Any]:
        issued.append(1)
        # Within botocore's mandatory window, so that each use renews them.
        expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
        return {
            "access_key": f"KEY-{len(issued)}",
            "secret_key": "s",
            "token": "t",
            "expiry_time": expiry.isoformat(),
        }

    source = CredentialSource(
        credentials=RefreshableCredentials.create_from_metadata(metadata=issue(), refresh_using=issue, method="test")
    )

    assert source.keys() == SigningKeys("KEY-2", "s", "t")
    assert source.keys() == SigningKeys("KEY-3", "s", "t")


def test_a_renewal_that_fails_is_a_transient_error() -> None:
    class Broken(Credentials):
        def get_frozen_credentials(self) -> Any:
            raise CredentialRetrievalError(provider="role", error_msg="timed out")

    with pytest.raises(TransientError, match=r"AWS credentials could not be renewed: .*timed out"):
        CredentialSource(credentials=Broken("a", "b")).keys()


def test_a_call_without_credentials_is_built_but_never_handed_over(
    no_ambient_credentials: None, email: OutgoingEmail, provider_for: Callable[..., SesProvider]
) -> None:
    provider = provider_for("http://127.0.0.1:9", access_key=None, secret_key=None)

    call = provider.build(provider.prepare(email), entries(2), "c0ffee")
    result = provider.send(call)

    error = "credentials: No AWS credentials found: give the account keys, or the server a role."
    assert call.size > 1000
    assert result.entries == [EntryResult(Outcome.RETRY, "", error)] * 2
    assert (result.signal, result.detail) == (Signal.MISCONFIGURED, error)
    with pytest.raises(PermanentError, match="No AWS credentials found"):
        provider.account_status()


def test_two_threads_do_not_search_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[int] = []
    second_waits, found = threading.Event(), Credentials("A", "b")

    def find(self: Session) -> Credentials:
        searches.append(1)
        second_waits.wait(5)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(Session, "get_credentials", find)
    source = CredentialSource()

    def resolve_second() -> RefreshableLike:
        second_waits.set()
        return source.resolve()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(source.resolve)
        second = pool.submit(resolve_second)

    assert first.result() is second.result() is found
    assert searches == [1]


def test_a_region_must_look_like_one() -> None:
    for region in ("", "eu", "eu-central-1.evil.test/", "EU-CENTRAL-1"):
        with pytest.raises(PermanentError, match="is not the name of an AWS region"):
            SesProvider(region)
    assert SesProvider(REGION).name == "ses"
