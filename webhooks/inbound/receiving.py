"""The receiver: verify, store raw, answer. What a message says is read later, by the processor.

1. Shape, certificate address and topic are checked before anything is fetched: a forgery costs no outbound request.
2. Messages of Local SES's topics are checked with its pinned certificate, all others by Amazon's rule; neither is ever
   checked by the other's.
3. A notification is stored once. A confirmation of one of our topics is confirmed through SNS's API, never by visiting
   the address in the message; that of an unsubscription is logged, since its address would subscribe again.
"""

from __future__ import annotations

from enum import Enum

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings

from delivery.providers.ses.sns import SnsTopics
from delivery.services.events import store_provider_message
from webhooks.inbound.certificates import Certificates, CertificateUnavailableError, PinnedCertificate
from webhooks.inbound.sns import (
    NOTIFICATION,
    SUBSCRIPTION,
    Envelope,
    ForgedError,
    certificate_address,
    parse_envelope,
    verify_signature,
)
from webhooks.inbound.topics import TopicAccount, Topics

logger = structlog.get_logger(__name__)

LOCAL_ACCOUNT = "000000000000"

certificates = Certificates()
pinned = PinnedCertificate()
topics = Topics()


class Receipt(Enum):
    """What became of a believed message."""

    STORED = "stored"
    REPEATED = "repeated"
    CONFIRMED = "confirmed"
    LOGGED = "logged"


def receive_sns(body: bytes) -> Receipt:
    """Take one request's body.

    Raises GarbageError and ForgedError for what must not come again; CertificateUnavailableError, ProviderError and
    database errors for what should.
    """
    envelope = parse_envelope(body)
    account = topics.find(envelope.topic.arn)
    if account is None:
        certificate_address(envelope.certificate_url, envelope.topic)
        raise ForgedError("a topic that is not ours")
    verify_signature(envelope, _key(envelope, account))
    if envelope.type == NOTIFICATION:
        is_new = store_provider_message(
            source="ses",
            unique_id=f"{envelope.topic.arn}/{envelope.message_id}",
            published_at=envelope.published_at,
            body=body,
        )
        return Receipt.STORED if is_new else Receipt.REPEATED
    if envelope.type == SUBSCRIPTION:
        _confirm(envelope, account)
        return Receipt.CONFIRMED
    logger.warning("webhooks.sns_unsubscribed", topic=envelope.topic.arn)
    return Receipt.LOGGED


def _key(envelope: Envelope, account: TopicAccount) -> RSAPublicKey:
    if not account.is_local:
        if envelope.topic.account == LOCAL_ACCOUNT:
            raise ForgedError("a local topic of an account that is not local")
        return certificates.key(certificate_address(envelope.certificate_url, envelope.topic))
    if not settings.LOCALSES_URL or envelope.topic.account != LOCAL_ACCOUNT:
        raise ForgedError("Local SES is not configured")
    if settings.LOCALSES_CERTIFICATE is None:
        raise CertificateUnavailableError("LOCALSES_CERTIFICATE is not set")
    return pinned.key(settings.LOCALSES_CERTIFICATE)


def _confirm(envelope: Envelope, account: TopicAccount) -> None:
    if account.is_local:
        api = SnsTopics(
            envelope.topic.region,
            endpoint_url=settings.LOCALSES_URL,
            access_key=settings.LOCALSES_ACCESS_KEY,
            secret_key=settings.LOCALSES_SECRET_KEY,
        )
    else:
        api = SnsTopics(envelope.topic.region)
    api.confirm_subscription(envelope.topic.arn, envelope.token)
    logger.info("webhooks.sns_confirmed", topic=envelope.topic.arn, account=account.account_id)
