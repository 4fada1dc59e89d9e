"""Where the keys come from: given ones, or botocore's chain (environment, profile, container and instance roles)."""

from __future__ import annotations

import threading
from typing import Protocol

from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.signing import SigningKeys


class RefreshableCredentials(Protocol):
    """botocore's credentials object, which renews itself before it expires."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials: ...


class CredentialSource:
    """Finds credentials when the first signature needs them and keeps the refreshable object."""

    def __init__(
        self,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        credentials: RefreshableCredentials | None = None,
    ) -> None:
        """Take a refreshable object, or a pair of keys, or nothing for botocore's own search."""
        if credentials is None and (access_key or secret_key):
            if not (access_key and secret_key):
                raise PermanentError("An access key needs its secret key, and the other way round.")
            credentials = Credentials(access_key, secret_key, session_token)
        self._credentials = credentials
        self._lock = threading.Lock()

    def resolve(self) -> RefreshableCredentials:
        """Find the credentials object. Raises PermanentError when there is none."""
        if self._credentials is None:
            # Several threads at once would each ask the instance's metadata service.
            with self._lock:
                if self._credentials is None:
                    self._credentials = _search()
        return self._credentials

    def keys(self) -> SigningKeys:
        """Keys for one signature, renewed if due. Raises TransientError when renewing failed."""
        try:
            frozen = self.resolve().get_frozen_credentials()
        except BotoCoreError as error:
            raise TransientError(f"AWS credentials could not be renewed: {error}") from error
        return SigningKeys(frozen.access_key or "", frozen.secret_key or "", frozen.token or "")


def _search() -> RefreshableCredentials:
    try:
        found = Session().get_credentials()
    except BotoCoreError as error:
        raise PermanentError(f"AWS credentials could not be read: {error}") from error
    if found is None:
        raise PermanentError("No AWS credentials found: give the account keys, or the server a role.")
    return found
