"""What Amazon counted for a whole account in one region.

Only the first version of the API tells it: GetSendStatistics has two weeks in steps of 15 minutes, whoever sent.
https://docs.aws.amazon.com/ses/latest/APIReference/API_GetSendStatistics.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

from delivery.providers.ses.aws_client import create_client, translated_errors
from delivery.providers.ses.credentials import CredentialSource, RefreshableCredentials
from delivery.providers.ses.endpoint import check_region


class SendStatistics(NamedTuple):
    """document: GetSendStatistics' answer as botocore reads it. The quota: per 24 hours (-1 is unlimited), per second."""

    document: dict[str, Any]
    max_24_hour_send: float
    max_send_rate: float
    sent_last_24_hours: float


class SesStatistics:
    """Takes the same arguments as SesProvider."""

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

    def read(self) -> SendStatistics:
        """Ask once. Raises ProviderError."""
        client = create_client(
            "ses", region=self._region, endpoint_url=self._endpoint_url, credentials=self._credentials
        )
        with translated_errors():
            document = dict(client.get_send_statistics())
            quota = client.get_send_quota()
        return SendStatistics(document, quota["Max24HourSend"], quota["MaxSendRate"], quota["SentLast24Hours"])
