"""Each state of each DNS record of a sending domain."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from delivery.domains.checking import Findings
from delivery.domains.lookup import Answer, Question, State
from delivery.domains.spf import Spf, Trouble
from delivery.models import SendingAccount, SendingDomain
from delivery.services.domain_records import DomainReport, report_of
from delivery.services.record_rows import RecordRow
from tests.delivery.services.amazon import identity

NAME = "news.acme.io"
MX = "10 feedback-smtp.eu-west-1.amazonses.com"
AMAZON = Spf("v=spf1 include:amazonses.com ~all", 1, True, "~")
LATE, FAILED, NOTHING = Answer(State.LATE), Answer(State.FAILED), Answer(State.NOTHING)
FINE: dict[tuple[str, str], Answer] = {
    **{(f"t{n}._domainkey.acme.io", "CNAME"): Answer(State.FOUND, (f"t{n}.dkim.amazonses.com",)) for n in (1, 2, 3)},
    ("bounce.acme.io", "MX"): Answer(State.FOUND, (MX,)),
    ("bounce.acme.io", "TXT"): Answer(State.FOUND, (AMAZON.record,)),
    ("_dmarc.news.acme.io", "TXT"): Answer(State.FOUND, ("v=DMARC1; p=reject",)),
    ("click.acme.io", "CNAME"): Answer(State.FOUND, ("r.eu-west-1.awstrack.me",)),
    ("mail.acme.io", "A"): Answer(State.FOUND, ("198.51.100.7",)),
}


def found(*values: str) -> Answer:
    return Answer(State.FOUND, values)


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.io"


def report(
    answers: dict[tuple[str, str], Answer] | None = None,
    spf: dict[str, Spf] | None = None,
    asked: dict[str, Any] | None = None,
    redirect: str = "click.acme.io",
    **changes: object,
) -> DomainReport:
    """What is said of a domain that lacks nothing but what is given."""
    told = identity("acme.io", **changes)._asdict()
    details = {"name": told.pop("identity"), **told, "dkim_tokens": list(told["dkim_tokens"])}
    details.pop("trouble")
    all_answers = {Question(*question): answer for question, answer in (FINE | (answers or {})).items()}
    findings = Findings(all_answers, {"bounce.acme.io": AMAZON} if spf is None else spf)
    account = SendingAccount(region="eu-west-1", inspection={"set": {"redirect_domain": redirect}})
    domain = SendingDomain(
        name=NAME, identity=asked or {"state": "known", "details": details}, findings=findings.as_json()
    )
    return report_of(domain, account)


def row(purpose: str, **given: Any) -> RecordRow:
    return next(row for row in report(**given).rows if row.purpose == purpose)


def said(one: RecordRow) -> tuple[str, str]:
    return one.state, one.tone


def test_a_domain_that_lacks_nothing() -> None:
    whole = report()

    assert [(one.purpose, *said(one)) for one in whole.rows] == [
        ("dkim", "found", "ok"),
        ("dkim", "found", "ok"),
        ("dkim", "found", "ok"),
        ("mail_from_mx", "found", "ok"),
        ("mail_from_spf", "found", "ok"),
        ("dmarc", "found", "ok"),
        ("spf", "found", "ok"),
        ("tracking", "found", "ok"),
        ("links", "found", "ok"),
    ]
    assert (whole.tone, whole.to_mend, whole.trouble) == ("ok", 0, "")
    assert all(one.label and one.why and one.word == "Found" and one.pill == "passed" for one in whole.rows)
    assert [one.step for one in whole.rows] == [""] * 9


def test_every_record_that_is_missing_says_where_it_goes() -> None:
    nothing = report(dict.fromkeys(FINE, NOTHING), {}, is_verified=False, dkim_status="PENDING")

    assert [said(one) for one in nothing.rows] == [
        ("missing", "stop"),
        ("missing", "stop"),
        ("missing", "stop"),
        ("missing", "note"),
        ("missing", "note"),
        ("missing", "note"),
        ("found", "ok"),
        ("missing", "stop"),
        ("missing", "stop"),
    ]
    assert all(one.step for one in nothing.rows if one.state == "missing")
    assert (nothing.tone, nothing.to_mend) == ("stop", 8)
    assert nothing.trouble == "Amazon has not verified it yet"


@pytest.mark.parametrize(("answer", "words"), [(LATE, "in time"), (FAILED, "fail or refuse")])
def test_what_could_not_be_looked_up_is_never_missing(answer: Answer, words: str) -> None:
    unknown = report(dict.fromkeys(FINE, answer) | {(NAME, "TXT"): answer}, {})

    assert {said(one) for one in unknown.rows} == {("unknown", "note")}
    assert all(words in one.said and one.step and one.word == "Could not look" for one in unknown.rows)


T1 = "t1._domainkey.acme.io"


@pytest.mark.parametrize(
    ("answers", "changes", "state", "tone"),
    [
        ({(T1, "CNAME"): found("t9.dkim.amazonses.com")}, {}, "differs", "note"),
        ({(T1, "CNAME"): found("t9.dkim.amazonses.com")}, {"dkim_status": "FAILED"}, "differs", "stop"),
        ({(T1, "CNAME"): NOTHING}, {}, "missing", "note"),
        ({(T1, "CNAME"): NOTHING, (T1, "TXT"): LATE}, {}, "unknown", "note"),
        (
            {(T1, "CNAME"): NOTHING, (T1, "TXT"): found("p=A"), ("t1.dkim.amazonses.com", "TXT"): found("p=A")},
            {},
            "found",
            "ok",
        ),
        (
            {(T1, "CNAME"): NOTHING, (T1, "TXT"): found("p=B"), ("t1.dkim.amazonses.com", "TXT"): found("p=A")},
            {},
            "differs",
            "note",
        ),
    ],
)
def test_dkim(answers: dict[tuple[str, str], Answer], changes: dict[str, object], state: str, tone: str) -> None:
    one = row("dkim", answers=answers, **changes)

    assert said(one) == (state, tone)
    if state == "differs":
        assert one.found
        assert one.step


@pytest.mark.parametrize(
    ("answer", "dkim_status", "state", "tone"),
    [
        (found("v=DKIM1; k=rsa; p=KEY"), "SUCCESS", "found", "ok"),
        (found("v=DKIM1; p="), "SUCCESS", "differs", "note"),
        (found("something else"), "FAILED", "differs", "stop"),
        (NOTHING, "PENDING", "missing", "stop"),
        (LATE, "SUCCESS", "unknown", "note"),
    ],
)
def test_dkim_with_a_key_of_ones_own(answer: Answer, dkim_status: str, state: str, tone: str) -> None:
    own = {"dkim_origin": "EXTERNAL", "dkim_tokens": ("s1",), "dkim_status": dkim_status}

    one = row("own_dkim", answers={("s1._domainkey.acme.io", "TXT"): answer}, **own)

    assert said(one) == (state, tone)
    assert (one.kind, one.name, one.value) == ("TXT", "s1._domainkey.acme.io", "")


BOUNCE = ("bounce.acme.io", "MX")


@pytest.mark.parametrize(
    ("answer", "changes", "state", "tone", "words"),
    [
        (found("20 FEEDBACK".lower() + "-smtp.eu-west-1.amazonses.com"), {}, "found", "ok", ""),
        (found("10 feedback-smtp.us-east-1.amazonses.com"), {}, "differs", "note", "in the place"),
        (found(MX, "20 mx.acme.io"), {}, "differs", "note", "only one"),
        (NOTHING, {"on_mx_failure": "REJECT_MESSAGE"}, "missing", "stop", "Add it"),
        (NOTHING, {"mail_from_domain": ""}, "missing", "note", "Tell Amazon"),
        (found(MX), {"mail_from_domain": ""}, "missing", "note", "Tell Amazon"),
    ],
)
def test_mail_from(answer: Answer, changes: dict[str, object], state: str, tone: str, words: str) -> None:
    one = row("mail_from_mx", answers={BOUNCE: answer}, **changes)

    assert said(one) == (state, tone)
    assert words in one.step


@pytest.mark.parametrize(
    ("spf", "state", "tone"),
    [
        ({}, "missing", "note"),
        ({"bounce.acme.io": Spf("v=spf1 -all", 0, False, "-")}, "differs", "note"),
        ({"bounce.acme.io": Spf("v=spf1 -all", trouble=Trouble.SEVERAL)}, "differs", "note"),
        ({"bounce.acme.io": AMAZON._replace(trouble=Trouble.TOO_MANY)}, "differs", "note"),
        ({"bounce.acme.io": AMAZON._replace(trouble=Trouble.UNKNOWN)}, "found", "ok"),
    ],
)
def test_spf_of_mail_from(spf: dict[str, Spf], state: str, tone: str) -> None:
    assert said(row("mail_from_spf", spf=spf)) == (state, tone)


@pytest.mark.parametrize(
    ("judged", "state", "words"),
    [
        (None, "found", "needs none"),
        (Spf("v=spf1 a -all", 1, False, "-"), "found", "One record, 1 look-up of ten."),
        (Spf("v=spf1 -all", 0, False, "-"), "found", "One record, 0 look-ups of ten."),
        (Spf("v=spf1 +all", 0, False, "+"), "differs", "everybody"),
        (Spf("x", trouble=Trouble.SEVERAL), "differs", "several"),
        (Spf("x", trouble=Trouble.SYNTAX, culprit="ip5:1"), "differs", "“ip5:1”"),
        (Spf("x", trouble=Trouble.TOO_MANY), "differs", "ten look-ups"),
        (Spf("x", trouble=Trouble.LOST, culprit="gone.io"), "differs", "gone.io"),
        (Spf("x", trouble=Trouble.UNKNOWN, culprit="slow.io"), "unknown", "slow.io"),
    ],
)
def test_spf_of_the_domain(judged: Spf | None, state: str, words: str) -> None:
    texts = found("v=spf1 -all", "token", "v=spf1 a -all")

    one = row("spf", answers={(NAME, "TXT"): texts}, spf={NAME: judged} if judged else {})

    assert one.state == state
    assert words in one.said
    assert "token" not in one.found
    assert bool(one.step) == (state != "found")


OWN, ABOVE = (f"_dmarc.{NAME}", "TXT"), ("_dmarc.acme.io", "TXT")


@pytest.mark.parametrize(
    ("answers", "changes", "state", "tone", "words"),
    [
        ({OWN: found("v=DMARC1; p=none")}, {}, "found", "ok", "p=none. Your mail passes by DKIM and SPF."),
        ({OWN: found("v=DMARC1; p=none")}, {"dkim_status": "PENDING"}, "found", "ok", "passes by SPF."),
        ({OWN: found("v=DMARC1; p=none")}, {"mail_from_domain": ""}, "found", "ok", "passes by DKIM."),
        ({OWN: found("v=DMARC1; p=none; adkim=s; aspf=s")}, {}, "found", "note", "doesn’t pass"),
        ({OWN: found("v=DMARC1; p=quarantine; adkim=s; aspf=s")}, {}, "found", "stop", "doesn’t pass"),
        ({OWN: found("v=DMARC1; p=reject")}, {"is_signing": False}, "found", "ok", "by SPF"),
        ({OWN: NOTHING, ABOVE: found("v=DMARC1; p=none; sp=reject")}, {}, "found", "ok", "p=reject, by the record of"),
        ({OWN: NOTHING, ABOVE: LATE}, {}, "unknown", "note", "in time"),
        ({OWN: found("v=DMARC1; p=none", "v=DMARC1; p=reject")}, {}, "differs", "note", ""),
        ({OWN: found("v=DMARC1; p=rejct")}, {}, "differs", "note", "“p”"),
        ({OWN: found("hello")}, {}, "differs", "note", ""),
        ({OWN: NOTHING}, {}, "missing", "note", ""),
    ],
)
def test_dmarc(
    answers: dict[tuple[str, str], Answer], changes: dict[str, object], state: str, tone: str, words: str
) -> None:
    one = row("dmarc", answers=answers, **changes)

    assert said(one) == (state, tone)
    assert words in one.said
    if tone != "ok":
        assert one.step


CLICK = "click.acme.io"


@pytest.mark.parametrize(
    ("answers", "state", "tone"),
    [
        ({(CLICK, "CNAME"): found("d1.cloudfront.net")}, "differs", "note"),
        ({(CLICK, "CNAME"): NOTHING}, "missing", "stop"),
        ({(CLICK, "CNAME"): NOTHING, (CLICK, "A"): LATE}, "unknown", "note"),
        ({(CLICK, "CNAME"): NOTHING, (CLICK, "A"): found("192.0.2.1")}, "differs", "note"),
        (
            {
                (CLICK, "CNAME"): NOTHING,
                (CLICK, "A"): found("192.0.2.1", "192.0.2.2"),
                ("r.eu-west-1.awstrack.me", "A"): found("192.0.2.2"),
            },
            "found",
            "ok",
        ),
    ],
)
def test_amazons_tracked_links(answers: dict[tuple[str, str], Answer], state: str, tone: str) -> None:
    assert said(row("tracking", answers=answers)) == (state, tone)


@pytest.mark.parametrize(
    ("answers", "state", "tone"),
    [
        ({("mail.acme.io", "A"): NOTHING, ("mail.acme.io", "AAAA"): found("2001:db8::7")}, "found", "ok"),
        ({("mail.acme.io", "A"): NOTHING}, "missing", "stop"),
        ({("mail.acme.io", "A"): NOTHING, ("mail.acme.io", "AAAA"): LATE}, "unknown", "note"),
    ],
)
def test_links_of_emails(answers: dict[tuple[str, str], Answer], state: str, tone: str) -> None:
    assert said(row("links", answers=answers)) == (state, tone)


@pytest.mark.parametrize("url", ["http://localhost:8000", "https://192.0.2.7"])
def test_links_to_an_address_or_this_machine_have_no_record(url: str, settings: Settings) -> None:
    settings.PUBLIC_URL = url

    assert [one.purpose for one in report(redirect="").rows][-1] == "spf"


@pytest.mark.parametrize(
    ("asked", "trouble", "step"),
    [
        ({"state": "missing"}, "Amazon doesn’t know this domain", "Register it"),
        ({"state": "denied", "action": "ses:GetEmailIdentity"}, "The keys may not look", "ses:GetEmailIdentity"),
        ({"state": "failed", "error": "Timed out."}, "Amazon did not tell about this domain", "Timed out."),
    ],
)
def test_what_amazon_does_not_tell(asked: dict[str, Any], trouble: str, step: str) -> None:
    whole = report(asked=asked)

    assert whole.trouble == trouble
    assert step in whole.step
    assert whole.tone == "stop"  # no DKIM and p=reject: mailboxes refuse
    assert [one.purpose for one in whole.rows][:2] == ["mail_from_mx", "mail_from_spf"]


def test_of_local_ses_a_missing_domain_is_told_and_presses_nobody() -> None:
    domain = SendingDomain(name="acme.example", identity={"state": "missing"})

    whole = report_of(domain, SendingAccount(region="us-east-1", is_local=True))

    assert (whole.trouble, whole.tone) == ("Amazon doesn’t know this domain", "ok")


def test_where_amazon_has_given_up_looking_it_is_made_to_look_again() -> None:
    assert report(dkim_status="FAILED").trouble == "Amazon has given up looking for the DKIM records"
    one = row("mail_from_mx", mail_from_status="FAILED")
    assert said(one) == ("found", "note")
    assert "once more" in one.step


def test_an_identity_that_does_not_sign() -> None:
    assert report(is_signing=False).trouble == "Amazon doesn’t sign mail of this domain"
    assert report(is_signing=False, dkim_tokens=()).trouble == ""


def test_before_anybody_looked_and_where_nobody_will(settings: Settings) -> None:
    account = SendingAccount(region="eu-west-1")

    new = report_of(SendingDomain(name="acme.io"), account)
    reserved = report_of(SendingDomain(name="acme.example"), account)
    local = report_of(SendingDomain(name="acme.io"), SendingAccount(region="eu-west-1", is_local=True))

    assert {(one.state, one.word, one.pill) for one in new.rows} == {("unlooked", "Not looked up yet", "off")}
    assert {(one.state, one.word, one.pill) for one in reserved.rows} == {("skipped", "Not looked up", "off")}
    assert {one.state for one in local.rows} == {"skipped"}
    assert (new.tone, reserved.tone, local.tone) == ("ok", "ok", "ok")
    settings.DNS_RESOLVERS = ["127.0.0.1:5353"]
    assert {one.state for one in report_of(SendingDomain(name="acme.example"), account).rows} == {"unlooked"}
