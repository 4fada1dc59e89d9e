from __future__ import annotations

import pytest

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Campaign, ContentFormat, Template, TemplateVersion
from campaigns.selectors.content import compose_email
from campaigns.services.reviewing import check_content
from campaigns.services.templates import create_template, ensure_starters, restore_version, save_template
from organizations.models import Organization, User
from tests.campaigns import world


def test_the_content_goes_where_the_template_says(campaign: Campaign, template: Template) -> None:
    campaign.template = template
    campaign.body = "<p>One</p>\n<p>Two</p>"

    composed = compose_email(campaign)

    assert composed.source.html == world.FRAME.replace("{{ content }}", campaign.body)
    assert (composed.first_line, composed.lines, composed.template_name) == (4, 2, "Frame")


def test_a_finding_is_placed_in_the_authors_lines_and_not_in_the_whole_document(
    campaign: Campaign, template: Template
) -> None:
    campaign.template = template
    campaign.body = "<p>One</p>\n<p>{{ fist_name }}</p>"

    check = check_content(campaign)

    finding = next(finding for finding in check.findings if "fist_name" in finding.message)
    assert finding.line == 5
    assert check.composition.author_place(finding) == (2, 4)
    assert check.composition.template_place(finding) == (0, 0)


def test_a_finding_in_the_template_is_said_to_be_there(campaign: Campaign, acme: Organization) -> None:
    html = "<!doctype html><html><body>\n{{ content }}\n<p>{{ fist_name }}</p></body></html>"
    campaign.template = create_template(organization=acme, name="Wrong", html=html)
    campaign.body = "<p>One</p>\n<p>Two</p>\n<p>Three</p>"

    check = check_content(campaign)

    finding = next(finding for finding in check.findings if "fist_name" in finding.message)
    assert check.composition.author_place(finding) == (0, 0)
    assert check.composition.template_place(finding) == (3, 4)


@pytest.mark.parametrize(
    ("body", "words", "place"),
    [
        ("# Hello\n\nDear {{ fist_name }}", "fist_name", (3, 6)),
        ("{{ city }}\n\n| {{ fist_name }} |\n\nAnd *{{ fist_name }}*", "fist_name", (3, 3)),
        ("# Hello\n\n{% if city %}lots{% endif\n\nBye", "never closed", (3, 18)),
        ("# Hello\n\n- {% if city %}lots", "syntax", (3, 3)),
    ],
)
def test_a_finding_about_markdown_is_placed_in_what_was_written(
    campaign: Campaign, template: Template, body: str, words: str, place: tuple[int, int]
) -> None:
    campaign.template, campaign.format, campaign.body = template, ContentFormat.MARKDOWN, body

    check = check_content(campaign)

    finding = next(finding for finding in check.findings if words in finding.message)
    assert check.composition.author_place(finding) == place
    assert check.composition.template_place(finding) == (0, 0)


def test_an_error_of_the_template_around_markdown_is_placed_in_the_template(
    campaign: Campaign, acme: Organization
) -> None:
    html = "<!doctype html><html><body>{{ lst_name }}\n{{ content }}\n<p>{{ fist_name }}</p></body></html>"
    campaign.template = create_template(organization=acme, name="Wrong", html=html)
    campaign.format, campaign.body = ContentFormat.MARKDOWN, "# One\n\nTwo {{ first_name }}\n\nThree"

    check = check_content(campaign)

    places = [
        (check.composition.author_place(finding), check.composition.template_place(finding))
        for finding in check.findings
        if finding.code == "unknown_variable"
    ]
    assert places == [((0, 0), (1, 28)), ((0, 0), (3, 4))]


def test_broken_liquid_of_the_template_is_not_looked_for_in_sound_markdown(
    campaign: Campaign, template: Template
) -> None:
    html = "<!doctype html><html><body>\n{{ content }}\n<p>{% if first_name %}</p></body></html>"
    version = template.versions.get()
    TemplateVersion.objects.filter(pk=version.pk).update(html=html)
    campaign.template, campaign.format, campaign.body = template, ContentFormat.MARKDOWN, "# One {{ first_name }}"

    check = check_content(campaign)

    (finding,) = [finding for finding in check.findings if finding.code == "syntax"]
    assert check.composition.author_place(finding) == (0, 0)
    assert check.composition.template_place(finding) == (3, 4)


def test_a_finding_on_the_line_that_author_and_template_share_counts_columns_from_the_author(
    campaign: Campaign, acme: Organization
) -> None:
    html = "<!doctype html><html><body>{{ lst_name }} {{ content }}</body></html>"
    campaign.template = create_template(organization=acme, name="Short", html=html)
    campaign.body = "<p>{{ fist_name }}</p>"

    check = check_content(campaign)

    places = [
        (check.composition.author_place(finding), check.composition.template_place(finding))
        for finding in check.findings
        if finding.code == "unknown_variable"
    ]
    assert places == [((0, 0), (1, 28)), ((1, 4), (0, 0))]


def test_the_newest_version_is_used(campaign: Campaign, template: Template, alice: User) -> None:
    campaign.template = template
    save_template(
        template=template,
        name="Frame",
        description="",
        html="<!doctype html><html><body>new {{ content }}</body></html>",
        number=1,
        actor=alice,
    )

    assert compose_email(campaign).source.html.startswith("<!doctype html><html><body>new <p>")


def test_without_a_template_the_content_gets_a_bare_document(campaign: Campaign) -> None:
    composed = compose_email(campaign)

    assert composed.source.html.startswith('<!doctype html>\n<html lang="en">')
    assert composed.first_line == 3
    assert campaign.body in composed.source.html


def test_a_whole_document_is_not_put_into_another(campaign: Campaign, template: Template) -> None:
    campaign.template = template
    campaign.body = "<!DOCTYPE html><html><body>all mine</body></html>"

    composed = compose_email(campaign)

    assert composed.source.html == campaign.body
    assert composed.template_name == ""


def test_markdown_becomes_html_and_keeps_its_liquid(campaign: Campaign, template: Template) -> None:
    campaign.template = template
    campaign.format = ContentFormat.MARKDOWN
    campaign.body = '# Hello\n\nDear {{ first_name | default: "you" }}, *this* is it.'

    html = compose_email(campaign).source.html

    assert "<h1>Hello</h1>" in html
    assert '{{ first_name | default: "you" }}' in html
    assert "<em>this</em>" in html


def test_an_empty_campaign_has_nothing_to_say_yet(campaign: Campaign) -> None:
    campaign.subject = campaign.body = ""

    assert check_content(campaign).findings == []


def test_both_starters_compile_without_a_remark(campaign: Campaign, acme: Organization) -> None:
    for starter in ensure_starters(acme):
        campaign.template = starter

        check = check_content(campaign)

        assert check.findings == []
        assert check.compilation is not None


def test_the_starters_are_made_once(acme: Organization) -> None:
    ensure_starters(acme)
    ensure_starters(acme)

    assert sorted(Template.objects.values_list("name", flat=True)) == ["Letter", "Newsletter"]


@pytest.mark.parametrize("html", ["<p>no region</p>", "{{ content }} {{content}}"])
def test_a_template_names_its_region_exactly_once(acme: Organization, html: str) -> None:
    with pytest.raises(InvalidInput, match=r"Write \{\{ content \}\}"):
        create_template(organization=acme, name="Wrong", html=html)

    assert not Template.objects.exists()


def test_a_changed_template_gets_a_version_and_an_unchanged_one_does_not(template: Template, alice: User) -> None:
    def save(html: str, number: int) -> TemplateVersion:
        return save_template(template=template, name="Frame", description="", html=html, number=number, actor=alice)

    assert save(world.FRAME, 1).number == 1
    assert save(f"{world.FRAME}<!-- 2 -->", 1).number == 2
    assert template.versions.count() == 2


def test_two_people_cannot_save_over_each_others_template(template: Template, alice: User, bob: User) -> None:
    save_template(
        template=template, name="Frame", description="", html=f"{world.FRAME}<!-- a -->", number=1, actor=alice
    )

    with pytest.raises(Conflict, match="Alice saved another version"):
        save_template(
            template=template, name="Frame", description="", html=f"{world.FRAME}<!-- b -->", number=1, actor=bob
        )

    assert template.versions.count() == 2


def test_an_old_version_comes_back_as_a_new_one(template: Template, alice: User) -> None:
    save_template(
        template=template, name="Frame", description="", html=f"{world.FRAME}<!-- a -->", number=1, actor=alice
    )

    made = restore_version(version=template.versions.get(number=1), actor=alice)

    assert (made.number, made.html) == (3, world.FRAME)


def test_two_templates_cannot_have_one_name(acme: Organization, template: Template) -> None:
    with pytest.raises(Conflict, match="already"):
        create_template(organization=acme, name="Frame", html=world.FRAME)


def test_a_template_keeps_within_its_size_and_needs_a_name(acme: Organization) -> None:
    with pytest.raises(InvalidInput, match="at most 500 KB"):
        create_template(organization=acme, name="Big", html="{{ content }}" + "x" * 500_001)
    with pytest.raises(InvalidInput, match="Give the template a name"):
        create_template(organization=acme, name=" ", html=world.FRAME)

    assert not Template.objects.exists()


def test_renaming_a_template_to_a_taken_name_is_refused(acme: Organization, template: Template, alice: User) -> None:
    create_template(organization=acme, name="Other", html=world.FRAME)

    with pytest.raises(Conflict, match="already"):
        save_template(template=template, name="Other", description="", html=world.FRAME, number=1, actor=alice)

    template.refresh_from_db()
    assert template.name == "Frame"


def test_a_finding_about_the_subject_has_no_line_in_the_template(campaign: Campaign, template: Template) -> None:
    campaign.template = template
    campaign.subject = "{{ lst_name }}"

    check = check_content(campaign)

    finding = next(finding for finding in check.findings if finding.part == "subject")
    assert check.composition.author_place(finding) == (1, 1)
    assert check.composition.template_place(finding) == (0, 0)
