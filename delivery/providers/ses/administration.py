"""Setting SES up and keeping its suppression list: operations by people and by commands, not by the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from delivery.providers.base import IdentityStatus
from delivery.providers.ses import account
from delivery.providers.ses.aws_client import create_client, translated_errors

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sesv2.literals import EventTypeType, SuppressionListReasonType
    from mypy_boto3_sesv2.type_defs import EventDestinationDefinitionTypeDef, ListSuppressedDestinationsRequestTypeDef

    from delivery.providers.ses.credentials import CredentialSource

EVENT_DESTINATION = "amazonsender"


class SuppressedDestination(NamedTuple):
    """One address of the account's suppression list. reason: BOUNCE or COMPLAINT."""

    address: str
    reason: str
    updated_at: datetime


class SesAdministration:
    """Low-volume operations of one account. All raise ProviderError; all may be repeated."""

    def __init__(self, *, region: str, endpoint_url: str | None, credentials: CredentialSource) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self._client: SESV2Client | None = None

    def create_configuration_set(self, name: str) -> None:
        """Make sure that the configuration set exists."""
        with translated_errors():
            client = self._sesv2()
            with suppress(client.exceptions.AlreadyExistsException):
                client.create_configuration_set(ConfigurationSetName=name)

    def create_event_destination(
        self,
        configuration_set: str,
        topic_arn: str,
        event_types: Sequence[EventTypeType],
        *,
        name: str = EVENT_DESTINATION,
    ) -> None:
        """Publish these events of a configuration set to an SNS topic; an existing destination is brought in line.

        event_types: SEND, REJECT, BOUNCE, COMPLAINT, DELIVERY, OPEN, CLICK, RENDERING_FAILURE, DELIVERY_DELAY, …
        """
        destination: EventDestinationDefinitionTypeDef = {
            "Enabled": True,
            "MatchingEventTypes": event_types,
            "SnsDestination": {"TopicArn": topic_arn},
        }
        with translated_errors():
            client = self._sesv2()
            try:
                client.create_configuration_set_event_destination(
                    ConfigurationSetName=configuration_set, EventDestinationName=name, EventDestination=destination
                )
            except client.exceptions.AlreadyExistsException:
                client.update_configuration_set_event_destination(
                    ConfigurationSetName=configuration_set, EventDestinationName=name, EventDestination=destination
                )

    def put_identity(self, identity: str) -> IdentityStatus:
        """Make sure that an address or domain is registered, which starts its verification, and tell its state."""
        with translated_errors():
            client = self._sesv2()
            with suppress(client.exceptions.AlreadyExistsException):
                client.create_email_identity(EmailIdentity=identity)
            return account.parse_identity(identity, dict(client.get_email_identity(EmailIdentity=identity)))

    def put_mail_from(self, identity: str, domain: str) -> None:
        """Have bounces of an identity go to this subdomain of it. While its MX is missing, Amazon's own stands in."""
        with translated_errors():
            self._sesv2().put_email_identity_mail_from_attributes(
                EmailIdentity=identity, MailFromDomain=domain, BehaviorOnMxFailure="USE_DEFAULT_VALUE"
            )

    def list_suppressed_destinations(self, *, since: datetime | None = None) -> Iterator[SuppressedDestination]:
        """Walk the account's suppression list, a page per request."""
        query: ListSuppressedDestinationsRequestTypeDef = {"PageSize": 1000}
        if since:
            query["StartDate"] = since
        while True:
            with translated_errors():
                answer = self._sesv2().list_suppressed_destinations(**query)
            for row in answer.get("SuppressedDestinationSummaries", []):
                yield SuppressedDestination(row["EmailAddress"], row["Reason"], row["LastUpdateTime"])
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]

    def put_suppressed_destination(self, address: str, reason: SuppressionListReasonType) -> None:
        """Put an address on the account's suppression list."""
        with translated_errors():
            self._sesv2().put_suppressed_destination(EmailAddress=address, Reason=reason)

    def delete_suppressed_destination(self, address: str) -> None:
        """Take an address off the account's suppression list, if it is there."""
        with translated_errors():
            client = self._sesv2()
            with suppress(client.exceptions.NotFoundException):
                client.delete_suppressed_destination(EmailAddress=address)

    def _sesv2(self) -> SESV2Client:
        if self._client is None:
            self._client = create_client(
                "sesv2", region=self._region, endpoint_url=self._endpoint_url, credentials=self._credentials
            )
        return self._client
