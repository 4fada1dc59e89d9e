"""The sending services: how many people one request carries, how each gets a body of their own, what connecting takes.

anymail chunks nothing and refuses no call that is too large, so that the limits are kept here. Each has its source.

A body for each person comes about in one of three ways:
- FILLED: the service fills placeholders in one shared body with each person's values;
- WRITTEN: one request carries a body per person, joined here, so that no template language of the service reads it;
- ALONE: a request is about one person, where the service (or anymail for it) has no personal headers in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from delivery.providers.base import Option


def gettext_noop(text: str) -> str:
    """Mark a sentence for the catalogue of translations; the name is what its tools look for."""
    return text


class Bodies(Enum):
    """How each person gets a body of their own."""

    FILLED = "filled"
    WRITTEN = "written"
    ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Written:
    """Where a request's messages stand, one per person in the order of recipients, and what their parts are called.

    headers: where theirs stand, for services whose personal headers anymail does not write; has_header_list: as a list of
    names and values.
    """

    messages: Callable[[Any], list[dict[str, Any]] | None]
    subject: str
    html: str
    text: str
    headers: str = ""
    has_header_list: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """placeholder: a slot in the service's notation. opening: what begins one; it is kept out of constants.
    most_value_bytes: of one person's values, 0 for no limit. has_common: whether what all share may stand once in the
    request beside what is personal; elsewhere the personal takes its place as a whole, or nobody says.
    """

    placeholder: str
    opening: str
    most_value_bytes: int = 0
    has_common: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One of anymail's services.

    calls_per_second: below what it takes where it says a number; else few, so that requests are full.
    options: what its owner enters, by the keywords of anymail's backend. guards: those of them, or of anymail's webhook
    view, that tell genuine reports from forgeries; any one is enough. tag_field: where a message's token goes as a tag,
    for services without metadata. has_form: requests are forms, not JSON. is_unknown_accepted: its answer names no recipients, and "unknown" means taken.
    """

    label: str
    entries_per_call: int
    options: tuple[Option, ...]
    bodies: Bodies = Bodies.ALONE
    written: Written | None = None
    filled: Filled | None = None
    bytes_per_call: int = 20_000_000
    calls_per_second: float = 2.0
    guards: tuple[str, ...] = ("webhook_secret",)
    tag_field: str = ""
    is_unknown_accepted: bool = False
    has_form: bool = False
    constructor: Mapping[str, Any] = field(default_factory=dict)


_WEBHOOK_SECRET = Option(
    "webhook_secret",
    gettext_noop("Secret for reports"),
    gettext_noop(
        "Name and password, as name:password, of your own choice. Write them into the address that the service reports to: "
        "https://name:password@…"
    ),
    is_secret=True,
    is_required=False,
)


def _key(name: str, label: str = gettext_noop("API key")) -> Option:
    return Option(name, label, is_secret=True)


def _signing(name: str) -> Option:
    return Option(
        name,
        gettext_noop("Key for reports"),
        gettext_noop("The service signs its reports with it; it shows the key beside its webhooks."),
        is_secret=True,
        is_required=False,
    )


def _address(usual: str) -> Option:
    return Option("api_url", gettext_noop("Address of the API"), usual, is_required=False)


SERVICES: Final[dict[str, Service]] = {
    "mailgun": Service(
        "Mailgun",
        # https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/batch-sending
        entries_per_call=1000,
        bodies=Bodies.FILLED,
        has_form=True,
        filled=Filled("%recipient.{}%", "%recipient", has_common=True),
        options=(
            _key("api_key"),
            Option(
                "sender_domain",
                gettext_noop("Domain at Mailgun"),
                gettext_noop("Empty: the sender’s."),
                is_required=False,
            ),
            _address("https://api.eu.mailgun.net/v3"),
            _signing("webhook_signing_key"),
        ),
        guards=("webhook_signing_key",),
    ),
    "sendgrid": Service(
        "SendGrid",
        # 1,000 personalizations, 10,000 bytes of substitutions in each:
        # https://www.twilio.com/docs/sendgrid/for-developers/sending-email/personalizations
        entries_per_call=1000,
        bodies=Bodies.FILLED,
        filled=Filled("[[as:{}]]", "[[as:", most_value_bytes=10_000),
        constructor={"merge_field_format": "[[as:{}]]"},
        options=(
            _key("api_key"),
            _address("https://api.eu.sendgrid.com/v3/"),
            _signing("tracking_webhook_verification_key"),
            _WEBHOOK_SECRET,
        ),
        guards=("tracking_webhook_verification_key", "webhook_secret"),
    ),
    "sparkpost": Service(
        "SparkPost",
        # No number is published; a transmission "can send to a single recipient or thousands":
        # https://developers.sparkpost.com/api/transmissions/. Three braces: two would escape once more.
        entries_per_call=1000,
        bodies=Bodies.FILLED,
        filled=Filled("{{{{{{{}}}}}}}", "{{"),
        options=(_key("api_key"), _address("https://api.eu.sparkpost.com/api/v1/"), _WEBHOOK_SECRET),
    ),
    "postmark": Service(
        "Postmark",
        # 500 messages, 50 MB: https://postmarkapp.com/developer/user-guide/send-email-with-api/batch-emails
        entries_per_call=500,
        bytes_per_call=45_000_000,
        bodies=Bodies.WRITTEN,
        written=Written(lambda data: data if isinstance(data, list) else None, "Subject", "HtmlBody", "TextBody"),
        options=(
            _key("server_token", gettext_noop("Server token")),
            Option(
                "message_stream",
                gettext_noop("Message stream"),
                gettext_noop("The name of a stream for broadcasts."),
                default="broadcast",
            ),
            _address("https://api.postmarkapp.com/"),
            _WEBHOOK_SECRET,
        ),
    ),
    "brevo": Service(
        "Brevo",
        # 1,000 message versions, 100 requests a minute:
        # https://developers.brevo.com/docs/batch-send-transactional-emails
        entries_per_call=1000,
        calls_per_second=1.5,
        bodies=Bodies.WRITTEN,
        written=Written(
            lambda data: data.get("messageVersions") if isinstance(data, dict) else None,
            "subject",
            "htmlContent",
            "textContent",
        ),
        options=(_key("api_key"), _address("https://api.brevo.com/v3/"), _WEBHOOK_SECRET),
    ),
    "mailersend": Service(
        "MailerSend",
        # 500 emails, 50 MB, 10 requests a minute: https://developers.mailersend.com/api/v1/email.html#send-bulk-emails
        entries_per_call=500,
        calls_per_second=0.15,
        bytes_per_call=45_000_000,
        bodies=Bodies.WRITTEN,
        written=Written(
            lambda data: data if isinstance(data, list) else None,
            "subject",
            "html",
            "text",
            headers="headers",  # custom headers need a plan of MailerSend's that has them
            has_header_list=True,
        ),
        tag_field="tags",
        is_unknown_accepted=True,
        constructor={"batch_send_mode": "use-bulk-email"},
        options=(
            _key("api_token", gettext_noop("API token")),
            _address("https://api.mailersend.com/v1/"),
            _signing("signing_secret"),
        ),
        guards=("signing_secret",),
    ),
    "mailjet": Service(
        "Mailjet",
        # 50 messages: https://dev.mailjet.com/email/guides/send-api-v31/#send-in-bulk
        entries_per_call=50,
        bodies=Bodies.WRITTEN,
        written=Written(
            lambda data: data.get("Messages") if isinstance(data, dict) else None,
            "Subject",
            "HTMLPart",
            "TextPart",
            headers="Headers",  # of a batch of one anymail keeps what is set last, which is metadata
        ),
        options=(
            _key("api_key"),
            _key("secret_key", gettext_noop("Secret key")),
            _address("https://api.mailjet.com/v3.1/"),
            _WEBHOOK_SECRET,
        ),
    ),
    "resend": Service(
        "Resend",
        # 100 emails: https://resend.com/docs/api-reference/emails/send-batch-emails
        entries_per_call=100,
        bodies=Bodies.WRITTEN,
        written=Written(lambda data: data if isinstance(data, list) else None, "subject", "html", "text"),
        options=(_key("api_key"), _address("https://api.resend.com/"), _signing("signing_secret"), _WEBHOOK_SECRET),
        guards=("signing_secret", "webhook_secret"),
    ),
    "mailtrap": Service(
        "Mailtrap",
        # 500 messages, 50 MB: https://docs.mailtrap.io/developers/sending/send-email-batch
        entries_per_call=500,
        bytes_per_call=45_000_000,
        bodies=Bodies.WRITTEN,
        written=Written(
            lambda data: data.get("requests") if isinstance(data, dict) else None, "subject", "html", "text"
        ),
        options=(
            _key("api_token", gettext_noop("API token")),
            _address("https://bulk.api.mailtrap.io/api/"),
            _signing("tracking_secret"),
            _WEBHOOK_SECRET,
        ),
        guards=("tracking_secret", "webhook_secret"),
    ),
    # anymail has no personal headers for a batch of these, or no batch: one person a request.
    "mandrill": Service(
        "Mailchimp Transactional (Mandrill)",
        entries_per_call=1,
        calls_per_second=1000.0,
        options=(
            _key("api_key"),
            _address("https://mandrillapp.com/api/1.0"),
            _signing("webhook_key"),
        ),
        guards=("webhook_key",),
    ),
    "unisender_go": Service(
        "Unisender Go",
        entries_per_call=1,
        calls_per_second=1000.0,
        options=(_key("api_key"), Option("api_url", gettext_noop("Address of the API"))),
        guards=("api_key",),
    ),
    "postal": Service(
        "Postal",
        entries_per_call=1,
        calls_per_second=1000.0,
        tag_field="tags",
        options=(
            _key("api_key"),
            Option("api_url", gettext_noop("Address of the API")),
            _signing("webhook_key"),
        ),
        guards=("webhook_key",),
    ),
    "scaleway": Service(
        "Scaleway",
        entries_per_call=1,
        calls_per_second=1000.0,
        options=(
            _key("secret_key", gettext_noop("Secret key")),
            Option("project_id", gettext_noop("Project")),
            Option("region", gettext_noop("Region"), default="fr-par"),
            _address("https://api.scaleway.com/transactional-email/v1alpha1/regions/fr-par/"),
        ),
        guards=(),  # anymail reads no reports of it
    ),
}
