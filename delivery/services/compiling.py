"""Compile an organization's emails and keep them; load them again, once per process."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from hashlib import sha256

import orjson
from django.conf import settings
from django.utils.translation import gettext

from delivery.compiling import (
    Compilation,
    CompileError,
    EmailSource,
    Finding,
    Footer,
    Program,
    Schema,
    Tokens,
    compile_email,
)
from delivery.compiling.contract import AttributeType, Rendered
from delivery.compiling.messages import say
from delivery.models import CompiledEmail
from delivery.tokens import sign_remainder
from organizations.models import Organization
from subscribers.models import AttributeDefinition, Subscriber

# What a preview shows in place of a message's tokens: the links look right and lead nowhere.
PREVIEW_TOKENS = Tokens("preview", "preview")

SAMPLE_PERSON: dict[str, object] = {
    "email": "maria.ivanova@example.com",
    "first_name": "Maria",
    "last_name": "Ivanova",
    "locale": "en",
    "time_zone": "Europe/Riga",
    "attributes": {},
    "tags": [],
}


def check_source(*, organization: Organization, source: EmailSource, allow_raw: bool = False) -> Compilation:
    """Compile without keeping. Raises CompileError with the findings that stop it, in the language of the moment."""
    definitions = AttributeDefinition.objects.filter(organization=organization)
    try:
        compilation = compile_email(
            source,
            footer=Footer(organization.name, organization.postal_address, organization.locale),
            schema=Schema({definition.key: AttributeType(definition.type) for definition in definitions}),
            public_url=settings.PUBLIC_URL,
            allow_raw=allow_raw,
            organization={
                "name": organization.name,
                "postal_address": organization.postal_address,
                "website": organization.website,
            },
        )
    except CompileError as error:
        raise CompileError(_translated(error.findings)) from error
    return replace(compilation, findings=_translated(compilation.findings))


def _translated(findings: list[Finding]) -> list[Finding]:
    said = [(finding, say(finding.code, finding.params, gettext)) for finding in findings]
    return [replace(finding, message=message, hint=hint) for finding, (message, hint) in said]


def compile_and_store(*, organization: Organization, source: EmailSource, allow_raw: bool = False) -> CompiledEmail:
    """Compile and keep. What compiles to the same is one row. Raises CompileError."""
    compilation = check_source(organization=organization, source=source, allow_raw=allow_raw)
    digest = sha256(orjson.dumps(compilation.payload, option=orjson.OPT_SORT_KEYS)).hexdigest()
    compiled, _made = CompiledEmail.objects.get_or_create(
        organization=organization,
        digest=digest,
        defaults={
            "payload": compilation.payload,
            "links": [{"no": link.no, "url": link.url, "label": link.label} for link in compilation.links],
            "html_bytes": compilation.html_bytes,
            "subject": source.subject[:998],
        },
    )
    return compiled


def program_of(compiled: CompiledEmail) -> Program:
    """The loaded program, cached: compiled emails never change."""
    return _program(compiled.pk)


@lru_cache(maxsize=32)
def _program(compiled_id: int) -> Program:
    payload = CompiledEmail.objects.values_list("payload", flat=True).get(pk=compiled_id)
    return Program.load(payload, sign_remainder=sign_remainder)


def person_of(subscriber: Subscriber) -> dict[str, object]:
    """The compiler's view of a subscriber."""
    return {
        "email": subscriber.email,
        "first_name": subscriber.first_name,
        "last_name": subscriber.last_name,
        "locale": subscriber.locale,
        "time_zone": subscriber.time_zone,
        "attributes": subscriber.attributes,
        "tags": subscriber.tags,
    }


def preview(compilation: Compilation, subscriber: Subscriber | None) -> Rendered:
    """What this person would get, with tokens that name nobody. Raises RenderError."""
    program = Program.load(compilation.payload, sign_remainder=sign_remainder)
    return program.render(person_of(subscriber) if subscriber else SAMPLE_PERSON, PREVIEW_TOKENS)
