"""Looking up, also from servers that lie, stall or answer nonsense."""

from __future__ import annotations

import threading

import dns.resolver
import pytest

from delivery.domains.lookup import (
    LONGEST_VALUE,
    MOST_VALUES,
    Answer,
    DnsResolver,
    Lookups,
    Question,
    ServerError,
    State,
    are_loopback,
    parse_server,
)
from tests.delivery.domains import nameserver as misbehaviour
from tests.delivery.domains.nameserver import NameServer


@pytest.fixture
def resolver(nameserver: NameServer) -> DnsResolver:
    return DnsResolver([nameserver.address], timeout_seconds=0.5, lifetime_seconds=1.0)


def test_records_are_told_as_people_write_them(nameserver: NameServer, resolver: DnsResolver) -> None:
    nameserver.put("acme.test", "TXT", "v=spf1 -all", "token")
    nameserver.put("acme.test", "MX", "20 Mail.Acme.test.", "10 feedback-smtp.eu-west-1.amazonses.com.")
    nameserver.put("t.acme.test", "CNAME", "T.DKIM.amazonses.com.")
    nameserver.put("acme.test", "A", "192.0.2.7")
    nameserver.put("acme.test", "AAAA", "2001:db8::7")

    said = {
        kind: resolver.ask(Question(name, kind)).values
        for name, kind in [
            ("acme.test", "TXT"),
            ("ACME.test", "MX"),
            ("t.acme.test", "CNAME"),
            ("acme.test", "A"),
            ("acme.test", "AAAA"),
        ]
    }

    assert said == {
        "TXT": ("token", "v=spf1 -all"),
        "MX": ("10 feedback-smtp.eu-west-1.amazonses.com", "20 mail.acme.test"),
        "CNAME": ("t.dkim.amazonses.com",),
        "A": ("192.0.2.7",),
        "AAAA": ("2001:db8::7",),
    }


def test_a_text_in_several_strings_is_one(nameserver: NameServer, resolver: DnsResolver) -> None:
    key = "v=DKIM1; p=" + "A" * 700
    nameserver.put("k.acme.test", "TXT", key)

    assert resolver.ask(Question("k.acme.test", "TXT")) == Answer(State.FOUND, (key,))


def test_huge_answers_are_cut(nameserver: NameServer, resolver: DnsResolver) -> None:
    nameserver.put("long.test", "TXT", "x" * 60_000)
    nameserver.put("many.test", "TXT", *(f"value {number}" for number in range(MOST_VALUES + 50)))

    assert [len(value) for value in resolver.ask(Question("long.test", "TXT")).values] == [LONGEST_VALUE]
    assert len(resolver.ask(Question("many.test", "TXT")).values) == MOST_VALUES


def test_what_cannot_be_printed_is_replaced(nameserver: NameServer, resolver: DnsResolver) -> None:
    nameserver.put("evil.test", "TXT", "<script>\x1b[2J\u202eevil\r\nSet-Cookie: a=b</script>")
    nameserver.zone["bytes.test", "TXT"] = [r'"\255\254"']

    assert resolver.ask(Question("evil.test", "TXT")).values == ("<script>�[2J�evil��Set-Cookie: a=b</script>",)
    assert resolver.ask(Question("bytes.test", "TXT")).values == ("��",)


@pytest.mark.parametrize(
    ("how", "states"),
    [
        (misbehaviour.servfail, {State.LATE, State.FAILED}),  # some are asked again until the time is up
        (misbehaviour.silence, {State.LATE}),
        (misbehaviour.garbage, {State.LATE, State.FAILED}),
        (misbehaviour.loop, {State.FAILED}),
        (misbehaviour.wrong_type, {State.NOTHING}),
    ],
)
def test_what_is_not_answered_is_never_taken_for_an_answer(
    nameserver: NameServer, resolver: DnsResolver, how: misbehaviour.Misbehaviour, states: set[State]
) -> None:
    nameserver.misbehaving["bad.test"] = how

    answer = resolver.ask(Question("bad.test", "TXT"))

    assert answer.values == ()
    assert answer.state in states


def test_names_and_types_that_are_not_there(nameserver: NameServer, resolver: DnsResolver) -> None:
    nameserver.put("acme.test", "TXT", "x")

    assert resolver.ask(Question("acme.test", "MX")).state is State.NOTHING
    assert resolver.ask(Question("nowhere.test", "TXT")).state is State.NOTHING


@pytest.mark.parametrize("name", ["x" * 64 + ".test", "a..test", ".".join(["long" * 10] * 8)])
def test_a_name_that_cannot_be_one_is_no_crash(resolver: DnsResolver, name: str) -> None:
    assert resolver.ask(Question(name, "TXT")).state is State.FAILED


def test_nobody_listens(nameserver: NameServer) -> None:
    nameserver.stop()

    answer = DnsResolver([nameserver.address], timeout_seconds=0.2, lifetime_seconds=0.4).ask(Question("a.test", "A"))

    assert answer.state in (State.LATE, State.FAILED)


def test_a_machine_without_dns_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object, **options: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", missing)

    assert DnsResolver().ask(Question("acme.test", "TXT")) == Answer(State.FAILED)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_servers_are_addresses(text: str, parsed: tuple[str, int]) -> None:
    assert parse_server(text) == parsed


@pytest.mark.parametrize("text", ["dns.example.com", "192.0.2.1:x", "192.0.2.1:0", "192.0.2.1:65536", ""])
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ServerError):
        parse_server(text)


def test_servers_of_this_machine() -> None:
    assert are_loopback(["127.0.0.1:5353", "::1"])
    assert not are_loopback(["127.0.0.1", "192.0.2.1"])
    assert not are_loopback([])


class Slow:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        if question.name == "slow.test":
            self.released.wait(30)
        return Answer(State.FOUND, ("x",))


def test_each_question_is_asked_once_and_the_late_ones_are_told_as_late() -> None:
    slow = Slow()
    lookups = Lookups(slow, seconds=0.3)

    lookups.ask_all([Question("slow.test", "A"), Question("quick.test", "A"), Question("quick.test", "A")])
    late = lookups.ask("later.test", "A")
    slow.released.set()

    assert lookups.ask("quick.test", "A") == Answer(State.FOUND, ("x",))
    assert lookups.ask("slow.test", "A") == Answer(State.LATE)
    assert late == Answer(State.LATE)
    assert sorted(question.name for question in slow.asked) == ["quick.test", "slow.test"]
