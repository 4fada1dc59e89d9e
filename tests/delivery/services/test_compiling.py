"""Compiled emails: kept once, loaded once."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from delivery.compiling import CompileError, EmailSource
from delivery.models import CompiledEmail
from delivery.services.compiling import check_source, compile_and_store, person_of, preview, program_of
from organizations.models import Organization
from subscribers.models import AttributeDefinition
from tests.factories import OrganizationFactory, SubscriberFactory

HTML = "<html><body><p>Hi {{ first_name }}, {{ attributes.city }}</p></body></html>"


def source(subject: str = "Hello", html: str = HTML) -> EmailSource:
    return EmailSource(subject=subject, html=html)


@pytest.fixture
def organization(db: None) -> Organization:
    made = OrganizationFactory.create()
    AttributeDefinition.objects.create(organization=made, key="city", type="text")
    return made


def test_what_compiles_to_the_same_is_kept_once_per_organization(organization: Organization) -> None:
    other = OrganizationFactory.create(name=organization.name)
    AttributeDefinition.objects.create(organization=other, key="city", type="text")

    first = compile_and_store(organization=organization, source=source())
    again = compile_and_store(organization=organization, source=source())
    changed = compile_and_store(organization=organization, source=source("Hello again"))
    foreign = compile_and_store(organization=other, source=source())

    assert again.pk == first.pk
    assert len({first.pk, changed.pk, foreign.pk}) == 3
    assert (first.subject, str(first)) == ("Hello", "Hello")
    assert first.html_bytes > 0


def test_links_are_kept_with_what_clicks_are_counted_by(organization: Organization) -> None:
    html = '<html><body><a href="https://acme.example/beans">Beans</a></body></html>'

    compiled = compile_and_store(organization=organization, source=source(html=html))

    assert {"url": "https://acme.example/beans", "label": "Beans"}.items() <= compiled.links[0].items()


def test_what_does_not_compile_is_not_kept(organization: Organization) -> None:
    with pytest.raises(CompileError):
        compile_and_store(organization=organization, source=source(html="<p>{% if %}</p>"))

    assert CompiledEmail.objects.count() == 0


def test_checking_keeps_nothing(organization: Organization) -> None:
    assert check_source(organization=organization, source=source()).payload
    assert CompiledEmail.objects.count() == 0


def test_a_program_is_loaded_once_per_process(organization: Organization) -> None:
    compiled = compile_and_store(organization=organization, source=source())
    program = program_of(compiled)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert program_of(CompiledEmail.objects.defer("payload").get(pk=compiled.pk)) is program

    assert not any("payload" in query["sql"] for query in queries)


def test_a_preview_shows_a_person_or_a_sample_one_and_its_links_lead_nowhere(organization: Organization) -> None:
    compilation = check_source(organization=organization, source=source())
    person = SubscriberFactory.create(
        organization=organization, first_name="Ana", attributes={"city": "Riga"}, locale="lv", tags=["vip"]
    )

    shown, sample = preview(compilation, person), preview(compilation, None)

    assert "Hi Ana, Riga" in shown.html
    assert "Hi Maria, " in sample.html
    assert "/u/preview" in shown.html
    assert person_of(person) == {
        "email": person.email,
        "first_name": "Ana",
        "last_name": "",
        "locale": "lv",
        "time_zone": "",
        "attributes": {"city": "Riga"},
        "tags": ["vip"],
    }
