"""From people to provider calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from delivery.compiling import EmailSource
from delivery.engine.calls import quoted_mailbox, wire_address
from delivery.engine.database import Connection
from delivery.engine.emails import CACHED_EMAILS, EmailCache, constant_headers
from delivery.engine.simulating import SimulatedCall, SimulatedProvider
from delivery.engine.ticking import tick
from delivery.models import MailoutEmail, Message, MessageState, SendCall
from delivery.providers.base import (
    CallResult,
    Entry,
    EntryResult,
    Limits,
    Outcome,
    OutgoingEmail,
    PermanentError,
)
from delivery.selectors.progress import mailout_progress
from delivery.services.compiling import compile_and_store
from delivery.tokens import read_manage_token, read_track_token
from tests.delivery.engine.world import ScriptedCall, ScriptedProvider, World, accept


@pytest.mark.parametrize(
    ("written", "canonical", "wire"),
    [
        ("ana@example.com", "ana@example.com", "ana@example.com"),
        ("Ana@Example.com", "ana@example.com", "Ana@Example.com"),
        ("Ana@Bücher.example", "ana@xn--bcher-kva.example", "Ana@xn--bcher-kva.example"),
        (" Ana@Bücher.example ", "ana@xn--bcher-kva.example", "Ana@xn--bcher-kva.example"),
        # written and canonical disagree: what people are found and suppressed by decides
        ("someone-else@example.com", "ana@example.com", "ana@example.com"),
    ],
)
def test_the_local_part_goes_out_as_written_and_the_domain_in_punycode(written: str, canonical: str, wire: str) -> None:
    assert wire_address(written, canonical) == wire


def test_an_address_in_a_mailto_keeps_its_plus_and_at() -> None:
    assert quoted_mailbox("news+list@example.com") == "news+list@example.com"
    assert quoted_mailbox("a?b&c@example.com") == "a%3Fb%26c@example.com"


class SmallProvider(ScriptedProvider):
    """A provider with narrow limits."""

    def __init__(self, *, entries: int = 50, size: int = 900_000, entry: int = 100, prepared: int = 0) -> None:
        super().__init__()
        self.limits = Limits(entries_per_call=entries, bytes_per_call=size)
        self.entry = entry
        self.prepared = prepared
        self.refuses: Callable[[Sequence[Entry]], bool] = lambda _entries: False

    def prepare(self, email: OutgoingEmail) -> Any:
        return super().prepare(email)

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> Any:
        if self.refuses(entries):
            raise PermanentError("a header is too long")
        return ScriptedCall(list(entries), size=self.prepared + self.entry * len(entries))


def sizes(world: World) -> list[int]:
    return sorted((len(call) for call in world.provider.calls), reverse=True)


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (SmallProvider(entries=7), [7] * 4 + [2]),
        (SmallProvider(size=3000, entry=100), [30]),
        (SmallProvider(size=2999, entry=100), [15, 15]),
        (SmallProvider(size=1000, entry=100), [8, 8, 7, 7]),  # halved where it is too large
        (SmallProvider(size=2000, entry=100, prepared=1300), [7, 7, 4, 4, 4, 4]),
        (SmallProvider(size=100, entry=5000), [1] * 30),
    ],
)
def test_calls_are_packed_by_count_and_by_bytes(world: World, provider: SmallProvider, expected: list[int]) -> None:
    world.provider = provider
    world.add_people(30)
    mailout = world.launch()

    world.run()

    assert sizes(world) == expected
    assert mailout_progress(mailout).sent == 30
    assert set(world.provider.handed_over.values()) == {1}
    # the ranges of the calls cover the batch without gap or overlap
    ranges = sorted(SendCall.objects.values_list("lo", "hi"))
    assert ranges[0][0] == 1
    assert [hi for _lo, hi in ranges] == [*(lo for lo, _hi in ranges[1:]), 31]


def test_the_ranges_of_a_retry_batch_are_positions_in_its_members(world: World, raw: Connection) -> None:
    world.provider = SmallProvider(entries=2)
    world.add_people(12)
    mailout = world.launch()
    raw.execute("UPDATE delivery_message_batch SET members = '{1,4,5,9,12}', lo = 0, hi = 5, armed_to = 0")

    world.run()

    assert sorted(SendCall.objects.values_list("lo", "hi")) == [(0, 2), (2, 4), (4, 5)]
    sent = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT).order_by("n")
    assert list(sent.values_list("n", flat=True)) == [1, 4, 5, 9, 12]


def test_somebody_whose_data_breaks_the_letter_fails_alone(world: World, raw: Connection) -> None:
    world.write_for_divisors()
    for number in range(10):
        world.add_person(f"p{number}", attributes={"parts": number % 5})
    mailout = world.launch()

    world.run()
    tick(raw, slots=2)

    assert len(world.provider.handed_over) == 8
    failed = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.FAILED)
    assert set(failed.values_list("error", flat=True)) == {"render: divided_by: can't divide by 0"}
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.failed, progress.state) == (8, 2, "finished")


def test_when_nobody_of_a_batch_can_be_sent_to_everybody_fails_and_it_finishes(world: World, raw: Connection) -> None:
    world.write_for_divisors()
    for number in range(3):
        world.add_person(f"p{number}", attributes={"parts": 0})
    mailout = world.launch()

    world.run()
    tick(raw, slots=2)

    assert SendCall.objects.count() == 0
    assert (mailout_progress(mailout).failed, mailout_progress(mailout).state) == (3, "finished")


def test_one_entry_that_breaks_a_limit_fails_alone_and_the_others_of_its_call_go(world: World, raw: Connection) -> None:
    provider = SmallProvider()
    provider.refuses = lambda entries: any(entry.address == "p3@example.com" for entry in entries)
    world.provider = provider
    world.add_people(10)
    mailout = world.launch()

    world.run()
    tick(raw, slots=2)

    assert sizes(world) == [9]
    failed = Message.objects.get(mailout_id=mailout.pk, state=MessageState.FAILED)
    assert (failed.n, failed.error) == (4, "limit: a header is too long")
    assert (mailout_progress(mailout).sent, mailout_progress(mailout).failed) == (9, 1)


def test_a_call_of_which_every_entry_breaks_a_limit_is_no_call(world: World, raw: Connection) -> None:
    provider = SmallProvider()
    provider.refuses = lambda _entries: True
    world.provider = provider
    world.add_people(4)
    mailout = world.launch()

    world.run()
    tick(raw, slots=2)

    assert SendCall.objects.count() == 0
    assert mailout_progress(mailout).failed == 4


def test_a_letter_that_the_provider_cannot_carry_fails_for_everybody_but_those_left_out(
    world: World, raw: Connection
) -> None:
    class Refusing(ScriptedProvider):
        def prepare(self, email: OutgoingEmail) -> object:
            raise PermanentError("the template is too large")

    world.provider = Refusing()
    people = world.add_people(3)
    mailout = world.launch()
    raw.execute("DELETE FROM subscribers_subscription WHERE subscriber_id = %s", [people[0].pk])
    raw.execute("DELETE FROM subscribers_subscriber WHERE id = %s", [people[0].pk])

    world.run()
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert (progress.failed, progress.excluded, progress.state) == (2, 1, "finished")
    errors = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.FAILED).values_list("error", flat=True)
    assert set(errors) == {"limit: the template is too large"}
    assert world.provider.handed_over == {}


def test_every_recipient_gets_headers_and_a_tag_of_their_own(world: World) -> None:
    entries: list[Entry] = []

    def look(found: list[Entry]) -> CallResult:
        entries.extend(found)
        return accept(found)

    world.provider.answer = look
    ana, ben = world.add_person("ana"), world.add_person("ben")
    mailout = world.launch(reply_to="Answers <answers+x@example.com>")

    world.run()

    for n, (entry, person) in enumerate(zip(entries, (ana, ben), strict=True), start=1):
        assert read_track_token(entry.tag) == (mailout.pk, n)
        ((name, value),) = entry.headers
        assert name == "List-Unsubscribe"
        url, mailto = value.split(", ")
        manage, _, track = url.removeprefix("<http://testserver/u/").removesuffix(">").partition("?m=")
        assert read_manage_token(manage) == (person.pk, world.list.pk)
        assert track == entry.tag
        assert mailto == "<mailto:answers+x@example.com?subject=unsubscribe>"


def test_what_all_recipients_share_is_encoded_once(world: World) -> None:
    world.account.configuration_set = "acme-set"
    world.account.save()
    world.add_people(120)
    mailout = world.launch(reply_to="answers@example.com", list_label='"Acme News"')

    world.run()

    (email,) = world.provider.emails
    assert (email.sender, email.reply_to) == ("News <news@example.com>", ("answers@example.com",))
    assert email.configuration_set == "acme-set"
    assert email.headers == (
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Feedback-ID", f"{mailout.pk}:{world.organization.pk}:campaign:amazonsender"),
        ("List-Id", f'"Acme News" <list-{world.list.pk}.{world.organization.pk}.testserver>'),
    )


def test_mail_without_a_list_has_no_list_id() -> None:
    headers = dict(constant_headers(mailout_id=1, organization_id=2, kind="test", list_label="", list_ids=[]))

    assert headers == {
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Feedback-ID": "1:2:test:amazonsender",
    }


def test_the_list_id_of_several_lists_is_that_of_the_first() -> None:
    headers = dict(constant_headers(mailout_id=1, organization_id=2, kind="campaign", list_label="", list_ids=[9, 4]))

    assert headers["List-Id"] == "<list-4.2.testserver>"


def test_a_worker_keeps_the_letters_used_last(world: World, raw: Connection) -> None:
    world.add_people(1)
    mailouts = [world.launch(f"campaign:{number}") for number in range(CACHED_EMAILS + 1)]
    cache = EmailCache(world.provider)

    first = cache.get(raw, mailouts[0].pk, 0)
    for mailout in mailouts[1:CACHED_EMAILS]:
        cache.get(raw, mailout.pk, 0)
    assert cache.get(raw, mailouts[0].pk, 0) is first
    cache.get(raw, mailouts[CACHED_EMAILS].pk, 0)  # one too many: the second goes

    loaded = len(world.provider.emails)
    assert cache.get(raw, mailouts[0].pk, 0) is first
    assert len(world.provider.emails) == loaded == CACHED_EMAILS + 1
    cache.get(raw, mailouts[1].pk, 0)
    assert len(world.provider.emails) == loaded + 1


def test_a_mailout_without_its_letter_is_an_error(world: World, raw: Connection) -> None:
    world.add_people(1)
    mailout = world.launch()
    MailoutEmail.objects.all().delete()

    with pytest.raises(LookupError, match=f"mailout {mailout.pk} has no email 0"):
        EmailCache(world.provider).get(raw, mailout.pk, 0)


def test_batches_of_two_letters_send_their_own_and_the_ledger_says_which(world: World, raw: Connection) -> None:
    second = compile_and_store(
        organization=world.organization,
        source=EmailSource(subject="Other subject", html="<html><body><p>Other</p></body></html>"),
    )
    world.add_people(6)
    mailout = world.launch(emails=[world.compiled, second])
    raw.execute("UPDATE delivery_message_batch SET hi = 4")
    raw.execute(
        "INSERT INTO delivery_message_batch (mailout_id, account_id, organization_id, lane, email_no, lo, hi, armed_to, due_at) "
        "SELECT mailout_id, account_id, organization_id, lane, 1, 4, 7, 4, due_at FROM delivery_message_batch"
    )

    world.run()

    rows = Message.objects.filter(mailout_id=mailout.pk).order_by("n").values_list("email_no", flat=True)
    assert list(rows) == [0, 0, 0, 1, 1, 1]
    assert {email.subject for email in world.provider.emails} >= {"Other subject"}


# the provider of dry runs


def test_a_dry_run_builds_everything_and_hands_nothing_over() -> None:
    provider = SimulatedProvider()
    entries = [Entry("a@example.com", {"s0": "xy"}, (), "t"), Entry("b@example.com", {"s0": ""}, (), "t")]

    prepared = provider.prepare(OutgoingEmail("n@example.com", (), "ab", "cde", "f"))
    call = provider.build(prepared, entries, "id")
    result = provider.send(call)
    provider.close()

    assert prepared == 6
    assert call == SimulatedCall(2, 2)
    assert list(result.entries) == [EntryResult(Outcome.ACCEPTED, "", "")] * 2
    assert provider.account_status().sending_enabled
    assert provider.identity_status("a@example.com").verified


def test_a_dry_run_refuses_a_request_that_could_leave() -> None:
    class RealCall:
        size = 1

    with pytest.raises(TypeError, match="a dry run can't hand over a real request"):
        SimulatedProvider().send(RealCall())
