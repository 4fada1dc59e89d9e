"""What Amazon counted for a whole account in one region.

Only the first version of the API tells it: GetSendStatistics has two weeks in steps of 15 minutes, whoever sent.
https://docs.aws.amazon.com/ses/latest/APIReference/API_GetSendStatistics.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

from delivery.providers.ses.aws_client import translated_errors
from delivery.providers.ses.regional import RegionalService


class SendStatistics(NamedTuple):
    """document: GetSendStatistics' answer as botocore reads it. The quota: per 24 hours (-1 is unlimited), per second."""

    document: dict[str, Any]
    max_24_hour_send: float
    max_send_rate: float
    sent_last_24_hours: float


class SesStatistics(RegionalService):
    """The first version of SES's API in one region."""

    service = "ses"

    def read(self) -> SendStatistics:
        """Ask once. Raises ProviderError."""
        client = self._client()
        with translated_errors():
            document = dict(client.get_send_statistics())
            quota = client.get_send_quota()
        return SendStatistics(document, quota["Max24HourSend"], quota["MaxSendRate"], quota["SentLast24Hours"])
