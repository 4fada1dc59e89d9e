"""A service of Amazon's in one region, beside the provider: what its rare calls are made with."""

from __future__ import annotations

from typing import Any, ClassVar

from delivery.providers.ses.aws_client import create_client
from delivery.providers.ses.credentials import CredentialSource, RefreshableCredentials
from delivery.providers.ses.endpoint import check_region


class RegionalService:
    """Takes the same arguments as SesProvider."""

    service: ClassVar[str]  # botocore's name of it

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        credentials: RefreshableCredentials | None = None,
    ) -> None:
        check_region(region)
        self._region = region
        self._endpoint_url = endpoint_url
        self._credentials = CredentialSource(
            access_key=access_key, secret_key=secret_key, session_token=session_token, credentials=credentials
        )
        self._made: Any = None

    def _client(self) -> Any:
        """botocore's client, made when first used. Raises ProviderError."""
        if self._made is None:
            self._made = create_client(
                self.service, region=self._region, endpoint_url=self._endpoint_url, credentials=self._credentials
            )
        return self._made
