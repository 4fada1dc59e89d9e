"""Looking at how an account is set up at SES: for people, on demand, never on the way of mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from delivery.providers.ses.administration import SesAdministration
from delivery.providers.ses.aws_client import translated_errors

# Where an event destination leads: the member of its definition, our name of the kind, and the member of the target.
TARGETS = {
    "SnsDestination": ("sns", "TopicArn"),
    "KinesisFirehoseDestination": ("firehose", "DeliveryStreamArn"),
    "EventBridgeDestination": ("eventbridge", "EventBusArn"),
    "PinpointDestination": ("pinpoint", "ApplicationArn"),
    "CloudWatchDestination": ("cloudwatch", ""),
}


class Standing(NamedTuple):
    """What GetAccount says beside limits. review_status: of the request for production access, "" without one."""

    suppressed_reasons: tuple[str, ...]
    review_status: str


class ConfigurationSet(NamedTuple):
    """Options of a configuration set. suppressed_reasons: None where the account's count."""

    sending_enabled: bool
    redirect_domain: str
    suppressed_reasons: tuple[str, ...] | None


class EventDestination(NamedTuple):
    """Where events of a configuration set go. kind: sns, firehose, eventbridge, pinpoint, cloudwatch or ""."""

    name: str
    is_enabled: bool
    event_types: tuple[str, ...]
    kind: str
    target: str


class IdentityDetails(NamedTuple):
    """An address or domain as GetEmailIdentity tells it.

    dkim_origin: EXTERNAL for keys of one's own (then `dkim_tokens` is their selector), else Amazon's.
    dkim_zone: where the keys behind the tokens stand. mail_from_status: "" without a MAIL FROM domain.
    trouble: why verification failed, such as HOST_NOT_FOUND, "" where nothing is said.
    """

    identity: str
    is_verified: bool
    dkim_status: str
    is_signing: bool
    dkim_origin: str
    dkim_tokens: tuple[str, ...]
    dkim_zone: str
    mail_from_domain: str
    mail_from_status: str
    on_mx_failure: str
    trouble: str


class SesInspection(SesAdministration):
    """Reads of one account. All raise ProviderError: NotFoundError for what isn't there, DeniedError where the keys may
    not look."""

    def standing(self) -> Standing:
        """Read the suppression settings, and how the last request for production access went."""
        with translated_errors():
            answer: Mapping[str, Any] = self._sesv2().get_account()
        suppression = answer.get("SuppressionAttributes") or {}
        review = (answer.get("Details") or {}).get("ReviewDetails") or {}
        return Standing(tuple(suppression.get("SuppressedReasons") or ()), str(review.get("Status") or ""))

    def configuration_set(self, name: str) -> ConfigurationSet:
        """Read the options of a configuration set."""
        with translated_errors():
            answer: Mapping[str, Any] = self._sesv2().get_configuration_set(ConfigurationSetName=name)
        suppressed = (answer.get("SuppressionOptions") or {}).get("SuppressedReasons")
        return ConfigurationSet(
            sending_enabled=bool((answer.get("SendingOptions") or {}).get("SendingEnabled", True)),
            redirect_domain=str((answer.get("TrackingOptions") or {}).get("CustomRedirectDomain") or ""),
            suppressed_reasons=None if suppressed is None else tuple(suppressed),
        )

    def event_destinations(self, configuration_set: str) -> list[EventDestination]:
        """Read where a configuration set reports to."""
        with translated_errors():
            answer: Mapping[str, Any] = self._sesv2().get_configuration_set_event_destinations(
                ConfigurationSetName=configuration_set
            )
        return [_destination(row) for row in answer.get("EventDestinations") or ()]

    def identity_details(self, identity: str) -> IdentityDetails:
        """Read everything about an address or domain."""
        with translated_errors():
            answer: Mapping[str, Any] = self._sesv2().get_email_identity(EmailIdentity=identity)
        dkim = answer.get("DkimAttributes") or {}
        mail_from = answer.get("MailFromAttributes") or {}
        return IdentityDetails(
            identity=identity,
            is_verified=bool(answer.get("VerifiedForSendingStatus")),
            dkim_status=str(dkim.get("Status") or "NOT_STARTED"),
            is_signing=bool(dkim.get("SigningEnabled")),
            dkim_origin=str(dkim.get("SigningAttributesOrigin") or "AWS_SES"),
            dkim_tokens=tuple(dkim.get("Tokens") or ()),
            dkim_zone=str(dkim.get("SigningHostedZone") or "").rstrip("."),
            mail_from_domain=str(mail_from.get("MailFromDomain") or ""),
            mail_from_status=str(mail_from.get("MailFromDomainStatus") or ""),
            on_mx_failure=str(mail_from.get("BehaviorOnMxFailure") or ""),
            trouble=str((answer.get("VerificationInfo") or {}).get("ErrorType") or ""),
        )


def _destination(row: Mapping[str, Any]) -> EventDestination:
    kind, target = next(
        ((kind, str(row[member].get(arn) or "")) for member, (kind, arn) in TARGETS.items() if row.get(member)),
        ("", ""),
    )
    return EventDestination(
        str(row.get("Name") or ""), bool(row.get("Enabled")), tuple(row.get("MatchingEventTypes") or ()), kind, target
    )
