"""The pairs that `bench_providers` compares. Imported after Django's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from anymail.backends.mailgun import EmailBackend as MailgunBackend
from anymail.backends.postmark import EmailBackend as PostmarkBackend
from anymail.message import AnymailMessage
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend

from delivery.compiling import Program, Tokens, compile_email
from delivery.engine.emails import constant_headers
from delivery.providers.anymail import AnymailProvider
from delivery.providers.base import ACCEPTED, Entry, OutgoingEmail, Provider
from delivery.providers.smtp import SmtpProvider
from tests.benchmarks import newsletter
from tests.benchmarks.rivals.smtp_sink import SmtpSink
from tests.benchmarks.service_sink import ServiceSink

Pair = tuple[str, bool, Callable[[int], int], Callable[[int], int]]  # name, is slow, bare loop, provider


@cache
def _program() -> Program:
    compiled = compile_email(
        newsletter.newsletter(),
        footer=newsletter.FOOTER,
        schema=newsletter.SCHEMA,
        public_url=newsletter.PUBLIC_URL,
        organization=newsletter.ORGANIZATION,
    )
    return Program.load(compiled.payload)


@cache
def _email() -> OutgoingEmail:
    program = _program()
    headers = constant_headers(mailout_id=1, organization_id=1, kind="campaign", list_label="News", list_ids=[1])
    return OutgoingEmail(
        newsletter.SENDER,
        (),
        program.ses_subject,
        program.ses_html,
        program.ses_text,
        headers=headers,
        segments=program.segments,
    )


@cache
def _entries(count: int) -> list[Entry]:
    entries = []
    for number in range(count):
        track, manage = f"t{number:027}", f"m{number:035}"
        values = _program().values(newsletter.person(number), Tokens(track, manage))
        unsubscribe = f"<{newsletter.PUBLIC_URL}/u/{manage}?m={track}>"
        entries.append(Entry(f"reader{number}@example.com", values, (("List-Unsubscribe", unsubscribe),), track))
    return entries


def _filled(entry: Entry, part: str) -> str:
    pieces = _program().segments[part]
    return "".join([entry.values[piece] if index % 2 else piece for index, piece in enumerate(pieces)])


def _through(provider: Provider, size: int) -> Callable[[int], int]:
    def send(count: int) -> int:
        entries = _entries(count)
        prepared = provider.prepare(_email())
        taken = 0
        for start in range(0, count, size):
            call = provider.build(prepared, entries[start : start + size], f"{start:032x}")
            taken += sum(result.outcome == ACCEPTED for result in provider.send(call).entries)
        return taken

    return send


@contextmanager
def pairs() -> Iterator[Iterator[Pair]]:
    """Every pair, with its server running."""
    with SmtpSink() as mail, ServiceSink() as service:
        yield iter(
            [
                (
                    "smtp (a message each)",
                    True,
                    _bare_smtp(mail.port),
                    _through(SmtpProvider(host="127.0.0.1", port=mail.port, security="none"), 20),
                ),
                (
                    "mailgun (1,000 a request)",
                    False,
                    _bare_mailgun(service.url),
                    _through(_anymail("mailgun", service.url, api_key="k"), 1000),
                ),
                (
                    "postmark (a body each)",
                    True,
                    _bare_postmark(service.url),
                    _through(_anymail("postmark", service.url, server_token="k"), 500),
                ),
            ]
        )


def _anymail(variant: str, url: str, **options: Any) -> AnymailProvider:
    return AnymailProvider(variant=variant, api_url=url, **options)


def _bare_smtp(port: int) -> Callable[[int], int]:
    """Django's backend with one kept connection."""

    def send(count: int) -> int:
        headers = dict(_email().headers)
        taken = 0
        with SmtpBackend(host="127.0.0.1", port=port, username="", password="", use_tls=False) as backend:
            for entry in _entries(count):
                message = EmailMultiAlternatives(
                    _filled(entry, "subject"),
                    _filled(entry, "text"),
                    newsletter.SENDER,
                    [entry.address],
                    headers=headers | dict(entry.headers),
                )
                message.attach_alternative(_filled(entry, "html"), "text/html")
                taken += backend.send_messages([message]) or 0
        return taken

    return send


def _bare_mailgun(url: str) -> Callable[[int], int]:
    """anymail's batch with merge_data, cut by hand into what Mailgun takes."""
    subject, html, text = (
        "".join(f"%recipient.{piece}%" if index % 2 else piece for index, piece in enumerate(_program().segments[part]))
        for part in ("subject", "html", "text")
    )

    def send(count: int) -> int:
        taken = 0
        with MailgunBackend(api_key="k", api_url=url) as backend:
            entries = _entries(count)
            for start in range(0, count, 1000):
                people = entries[start : start + 1000]
                message = AnymailMessage(subject, text, newsletter.SENDER, [person.address for person in people])
                message.attach_alternative(html, "text/html")
                message.extra_headers = dict(_email().headers)
                message.merge_data = {person.address: dict(person.values) for person in people}
                message.merge_metadata = {person.address: {"m": person.tag} for person in people}
                message.merge_headers = {person.address: dict(person.headers) for person in people}
                message.metadata = {"c": f"{start:032x}"}
                backend.send_messages([message])
                statuses = message.anymail_status.recipients.values()
                taken += sum(status.status == "queued" for status in statuses)
        return taken

    return send


def _bare_postmark(url: str) -> Callable[[int], int]:
    """anymail has no body of one's own in a batch without a stored template: a message each on one connection."""

    def send(count: int) -> int:
        taken = 0
        with PostmarkBackend(server_token="k", api_url=url) as backend:
            headers = dict(_email().headers)
            for entry in _entries(count):
                message = AnymailMessage(
                    _filled(entry, "subject"), _filled(entry, "text"), newsletter.SENDER, [entry.address]
                )
                message.attach_alternative(_filled(entry, "html"), "text/html")
                message.extra_headers = headers | dict(entry.headers)
                message.metadata = {"m": entry.tag}
                taken += backend.send_messages([message])
        return taken

    return send
