"""All records of a domain, asked at once."""

from __future__ import annotations

from delivery.domains.checking import MOST_KEPT, look_up
from delivery.domains.lookup import Answer, DnsResolver, State
from delivery.domains.wanted import Identity, Purpose, Record, wanted_records
from tests.delivery.domains.nameserver import NameServer

EASY = Identity("acme.test", True, "SUCCESS", True, "AWS_SES", ("t1", "t2", "t3"), mail_from_domain="m.acme.test")


def records(identity: Identity, domain: str = "acme.test", region: str = "eu-west-1", **more: str) -> list[Record]:
    return wanted_records(
        domain,
        identity,
        region=region,
        redirect_domain=more.get("redirect_domain", ""),
        links_host=more.get("links_host", ""),
    )


def test_the_records_of_a_domain_are_those_of_its_region() -> None:
    assert [(record.purpose, record.name, record.kind, record.value) for record in records(EASY)] == [
        ("dkim", "t1._domainkey.acme.test", "CNAME", "t1.dkim.amazonses.com"),
        ("dkim", "t2._domainkey.acme.test", "CNAME", "t2.dkim.amazonses.com"),
        ("dkim", "t3._domainkey.acme.test", "CNAME", "t3.dkim.amazonses.com"),
        ("mail_from_mx", "m.acme.test", "MX", "10 feedback-smtp.eu-west-1.amazonses.com"),
        ("mail_from_spf", "m.acme.test", "TXT", "v=spf1 include:amazonses.com ~all"),
        ("dmarc", "_dmarc.acme.test", "TXT", "v=DMARC1; p=none; rua=mailto:dmarc@acme.test"),
        ("spf", "acme.test", "TXT", ""),
    ]


def test_other_zones_regions_and_what_is_switched_on() -> None:
    elsewhere = Identity("acme.test", dkim_tokens=("t",), dkim_zone="dkim.eu-south-1.amazonses.com")
    found = records(
        elsewhere, "news.acme.test", "cn-north-1", redirect_domain="click.acme.test", links_host="mail.acme.test"
    )

    assert [(record.purpose, record.name, record.value) for record in found] == [
        ("dkim", "t._domainkey.acme.test", "t.dkim.eu-south-1.amazonses.com"),
        ("mail_from_mx", "bounce.acme.test", "10 feedback-smtp.cn-north-1.amazonses.com.cn"),
        ("mail_from_spf", "bounce.acme.test", "v=spf1 include:amazonses.com.cn ~all"),
        ("dmarc", "_dmarc.news.acme.test", "v=DMARC1; p=none; rua=mailto:dmarc@news.acme.test"),
        ("spf", "news.acme.test", ""),
        ("tracking", "click.acme.test", "r.cn-north-1.awstrack.me"),
        ("links", "mail.acme.test", ""),
    ]


def test_own_keys_have_a_selector_and_no_value() -> None:
    own = Identity("acme.test", dkim_origin="EXTERNAL", dkim_tokens=("s2026",))

    assert records(own)[0] == Record(Purpose.OWN_DKIM, "s2026._domainkey.acme.test", "TXT", "")


def test_everything_is_asked_and_kept(nameserver: NameServer) -> None:
    nameserver.put("t1._domainkey.acme.test", "CNAME", "t1.dkim.amazonses.com.")
    nameserver.put("t2._domainkey.acme.test", "TXT", "v=DKIM1; p=KEY")
    nameserver.put("t2.dkim.amazonses.com", "TXT", "v=DKIM1; p=KEY")
    nameserver.put("acme.test", "TXT", *(f"token {n}" for n in range(30)), "v=spf1 include:_spf.acme.test -all")
    nameserver.put("_spf.acme.test", "TXT", "v=spf1 include:amazonses.com -all")
    nameserver.put("amazonses.com", "TXT", "v=spf1 ip4:192.0.2.0/24 -all")
    nameserver.put("_dmarc.acme.test", "TXT", "v=DMARC1; p=reject")
    nameserver.put("click.acme.test", "CNAME", "r.eu-west-1.awstrack.me.")
    nameserver.put("mail.acme.test", "AAAA", "2001:db8::7")

    wanted = records(EASY, "news.acme.test", redirect_domain="click.acme.test", links_host="mail.acme.test")
    found = look_up("acme.test", [*wanted, *records(EASY)], DnsResolver([nameserver.address]))

    assert found.of("t1._domainkey.acme.test", "CNAME").values == ("t1.dkim.amazonses.com",)
    assert found.of("t2._domainkey.acme.test", "CNAME").state is State.NOTHING
    assert found.of("t2._domainkey.acme.test", "TXT") == found.of("t2.dkim.amazonses.com", "TXT")
    assert found.of("_dmarc.acme.test", "TXT").values == ("v=DMARC1; p=reject",)
    assert found.of("acme.test", "TXT").values[0].startswith("v=spf1")
    assert len(found.of("acme.test", "TXT").values) == MOST_KEPT
    assert (found.spf["acme.test"].lookups, found.spf["acme.test"].allows_amazon) == (2, True)
    assert found.of("mail.acme.test", "AAAA").values == ("2001:db8::7",)
    assert found.of("never.asked.test", "A") == Answer(State.NOTHING)
    once = [question for question in nameserver.asked if question != ("acme.test", "TXT")]  # too long for UDP
    assert len(once) == len(set(once))
