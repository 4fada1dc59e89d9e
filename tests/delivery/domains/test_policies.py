"""SPF, DMARC and the names they stand at."""

from __future__ import annotations

import pytest

from delivery.domains import dmarc, spf
from delivery.domains.dmarc import DmarcError, is_aligned
from delivery.domains.lookup import Answer, State
from delivery.domains.names import domains_above, is_address, is_reserved, is_within
from delivery.domains.spf import Trouble

ZONE = {
    "amazonses.com": Answer(State.FOUND, ("v=spf1 ip4:199.255.192.0/22 -all",)),
    "one.test": Answer(State.FOUND, ("v=spf1 a mx include:amazonses.com -all", "other text")),
    "deep.test": Answer(State.FOUND, ("v=spf1 " + " ".join(f"a:h{n}.test" for n in range(9)) + " -all",)),
    "circle.test": Answer(State.FOUND, ("v=spf1 include:circle.test -all",)),
    "late.test": Answer(State.LATE),
    "two.test": Answer(State.FOUND, ("v=spf1 -all", "v=spf1 ~all")),
    "strict.test": Answer(State.FOUND, ("v=spf1 -all",)),
}


def judged(*texts: str) -> spf.Spf:
    found = spf.judge(texts, lambda name: ZONE.get(name, Answer(State.NOTHING)))
    assert found is not None
    return found


def test_a_record_that_follows_an_include() -> None:
    found = judged("v=spf1 include:one.test ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all", "unrelated")

    assert (found.lookups, found.allows_amazon, found.all, found.trouble) == (4, True, "~", "")


def test_no_record_is_none() -> None:
    assert spf.judge(["spf1 include:x", "v=spf10 -all", ""], lambda name: Answer(State.NOTHING)) is None
    assert spf.records_of(["V=SPF1", "v=spf1 -all", "v=spf1-all"]) == ["V=SPF1", "v=spf1 -all"]


@pytest.mark.parametrize(
    ("record", "trouble", "culprit"),
    [
        ("v=spf1 a mx include:deep.test -all", Trouble.TOO_MANY, "a:h7.test"),
        ("v=spf1 include:nowhere.test -all", Trouble.LOST, "nowhere.test"),
        ("v=spf1 include:two.test -all", Trouble.LOST, "two.test"),
        ("v=spf1 include:late.test -all", Trouble.UNKNOWN, "late.test"),
        ("v=spf1 ip5:1.2.3.4 -all", Trouble.SYNTAX, "ip5:1.2.3.4"),
        ("v=spf1 <script> -all", Trouble.SYNTAX, "<script>"),
        ("v=spf1 include -all", Trouble.SYNTAX, "include"),
        ("v=spf1 redirect:one.test", Trouble.SYNTAX, "redirect:one.test"),
    ],
)
def test_what_makes_receivers_ignore_it(record: str, trouble: Trouble, culprit: str) -> None:
    found = judged(record)

    assert (found.trouble, found.culprit) == (trouble, culprit)
    assert found.lookups <= spf.MOST_LOOKUPS + 1


def test_two_records_are_none() -> None:
    assert judged("v=spf1 -all", "v=spf1 include:amazonses.com ~all").trouble is Trouble.SEVERAL


def test_circles_macros_and_other_modifiers_end() -> None:
    assert judged("v=spf1 include:circle.test -all").lookups == 2
    assert judged("v=spf1 exists:%{i}.test include:%{d}.test exp=why.test +all") == spf.Spf(
        "v=spf1 exists:%{i}.test include:%{d}.test exp=why.test +all", 2, False, "+", "", ""
    )


def test_a_redirect_says_what_becomes_of_the_others() -> None:
    assert judged("v=spf1 redirect=strict.test").all == "-"
    assert judged("v=spf1 ?all redirect=strict.test").all == "?"
    assert judged("v=spf1 all").all == "+"
    assert judged("v=spf1 a").all == ""


def test_a_dmarc_record_is_read() -> None:
    found = dmarc.parse("v=DMARC1; p=Quarantine; sp=reject; adkim=s; aspf=s; pct=50; rua=mailto:a@b.test")

    assert found == ("quarantine", True, True, 50, "mailto:a@b.test")
    assert dmarc.parse("v=DMARC1;p=none;").percent == 100
    assert dmarc.parse("v=DMARC1; p=none; pct=200").percent == 100
    assert dmarc.parse("v=DMARC1; p=none; sp=reject", is_above=True).policy == "reject"
    assert dmarc.parse("v=DMARC1; p=reject", is_above=True).policy == "reject"


def test_a_record_without_a_wish_counts_when_it_asks_for_reports() -> None:
    assert dmarc.parse("v=DMARC1; p=quarantin; rua=mailto:a@b.test").policy == "none"
    for record, tag in (("v=DMARC1", "p"), ("v=DMARC1; p=x", "p")):
        with pytest.raises(DmarcError, match=tag):
            dmarc.parse(record)
    with pytest.raises(DmarcError, match="sp"):
        dmarc.parse("v=DMARC1; p=none; sp=x", is_above=True)


def test_which_texts_are_dmarc_records() -> None:
    texts = ["v=DMARC1; p=none", "v = DMARC1;p=none", "v=DMARC1", "v=DMARC10; p=none", "p=none; v=DMARC1", "v=dmarc1;"]

    assert dmarc.records_of(texts) == texts[:3]


@pytest.mark.parametrize(
    ("domain", "other", "is_strict", "aligned"),
    [
        ("acme.test", "acme.test", True, True),
        ("acme.test", "bounce.acme.test", True, False),
        ("acme.test", "bounce.acme.test", False, True),
        ("news.acme.test", "acme.test", False, True),
        ("news.acme.test", "bounce.acme.test", False, True),
        ("acme.test", "otheracme.test", False, False),
        ("acme.test", "amazonses.com", False, False),
    ],
)
def test_alignment(domain: str, other: str, is_strict: bool, aligned: bool) -> None:
    assert is_aligned(domain, other, owner="acme.test", is_strict=is_strict) is aligned
    assert not is_aligned("acme.test", "acme.test", owner="", is_strict=False)


def test_names() -> None:
    assert is_reserved("Shop.Acme.EXAMPLE.")
    assert is_reserved("example.com")
    assert not is_reserved("myexample.com")
    assert not is_reserved("acme.io")
    assert domains_above("a.b.acme.co.uk") == ["b.acme.co.uk", "acme.co.uk", "co.uk"]
    assert domains_above("acme.io") == []
    assert is_within("a.acme.io", "acme.io")
    assert not is_within("xacme.io", "acme.io")
    assert is_address("[::1]")
    assert is_address("192.0.2.1")
    assert not is_address("mail.acme.io")
