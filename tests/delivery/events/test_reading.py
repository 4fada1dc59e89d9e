from __future__ import annotations

from datetime import UTC, datetime

import pytest

from delivery.models import EventType, Verdict
from delivery.services.events.judging import Act, judge_acts, judge_agent
from delivery.services.events.model import MalformedEventError, discriminator, read_time
from delivery.services.events.privacy import truncate_address
from delivery.services.events.readers import read_act, write_act
from delivery.services.events.ses import read_event, read_notification, read_sns
from tests.delivery.events.notifications import TOPIC, envelope, event

AT = datetime(2026, 11, 3, 10, tzinfo=UTC)
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("somewhere", ""),
        ("", ""),
    ],
)
def test_only_the_network_of_an_address_is_kept(address: str, kept: str) -> None:
    assert truncate_address(address) == kept


@pytest.mark.parametrize("value", [None, 7, "", "yesterday", "2026-11-03T10:00:00"])
def test_a_time_without_sense_or_zone_is_refused(value: object) -> None:
    with pytest.raises(MalformedEventError):
        read_time(value)


def test_a_discriminator_is_a_signed_number_and_zero_for_nothing() -> None:
    numbers = {discriminator(f"feedback-{number}") for number in range(500)}

    assert len(numbers) == 500
    assert all(-(2**31) <= number < 2**31 for number in numbers)
    assert min(numbers) < 0
    assert discriminator("") == discriminator() == 0


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"type": 99, "mailout": 1, "n": 1, "at": 1, "link": null, "ip": "", "ua": ""}']
)
def test_a_readers_act_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEventError):
        read_act(body)


def test_a_readers_act_comes_back_as_it_was_written() -> None:
    body = write_act(
        type_=EventType.CLICKED, mailout_id=7, n=8, at=AT, ip="203.0.113.0", user_agent="a\ud800b\0", link_no=3
    )

    (act,) = read_act(body)

    assert (act.mailout_id, act.n, act.type, act.at, act.link_no, act.user_agent) == (7, 8, 10, AT, 3, "a?b")


def test_without_a_token_several_destinations_are_narrowed_by_the_named_recipients() -> None:
    document = event("complaint_identity", body={"complainedRecipients": [{"emailAddress": "b@example.com"}]})
    document["mail"]["destination"] = ["a@example.com", "b@example.com"]

    assert [found.address for found in read_notification(document, TOPIC)] == ["b@example.com"]


def test_a_bounce_that_names_nobody_still_concerns_its_destination() -> None:
    document = event("bounce", mailout_id=7, n=1, body={"bouncedRecipients": []})

    (found,) = read_sns(envelope(document))

    assert (found.address, found.type) == ("ana@example.com", EventType.BOUNCED)


def test_a_complaint_that_says_not_spam_is_no_event() -> None:
    assert read_notification(event("complaint", body={"complaintFeedbackType": "not-spam"}), TOPIC) == []


def test_a_tag_that_is_not_ours_places_nothing() -> None:
    document = event("delivery")
    document["mail"]["tags"]["m"] = ["somebody-elses"]

    assert read_notification(document, TOPIC)[0].mailout_id == 0


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "Mozilla/5.0",
        "Mozilla/5.0 (compatible; BarracudaLinkProtect/2.0)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "python-requests/2.32",
        "curl/8.5.0",
        "Go-http-client/1.1",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "SkypeUriPreview Preview/0.5",
    ],
)
def test_programs_are_machines(agent: str) -> None:
    assert judge_agent(agent) == Verdict.MACHINE


@pytest.mark.parametrize(
    "agent",
    [
        BROWSER,
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
    ],
)
def test_browsers_and_picture_proxies_are_people(agent: str) -> None:
    assert judge_agent(agent) == Verdict.HUMAN


def click(second: int, link_no: int | None, *, disc: int = 0, **fields: object) -> Act:
    values: dict[str, object] = {"verdict": 1, "ip": "203.0.113.0", "user_agent": BROWSER} | fields
    return Act(EventType.CLICKED, AT.replace(second=second), disc, link_no, **values)  # type: ignore[arg-type]


def test_two_links_at_once_are_a_hand_and_three_are_a_scanner() -> None:
    assert judge_acts([click(0, 1), click(1, 2)]) == [Verdict.HUMAN] * 2
    assert judge_acts([click(0, 1), click(1, 2), click(5, 3)]) == [Verdict.MACHINE] * 3
    assert judge_acts([click(0, 1), click(1, 2), click(6, 3)]) == [Verdict.HUMAN] * 3


def test_one_link_clicked_again_and_again_is_impatience() -> None:
    assert judge_acts([click(0, 1), click(1, 1, disc=1), click(2, 1, disc=2)]) == [Verdict.HUMAN] * 3


def test_links_without_a_number_are_told_apart_by_their_hash() -> None:
    assert judge_acts([click(0, None, disc=1), click(0, None, disc=2), click(0, None, disc=3)]) == [Verdict.MACHINE] * 3


def test_what_is_erased_keeps_its_verdict() -> None:
    assert judge_acts([click(0, 1, user_agent="", is_erased=True)]) == [Verdict.HUMAN]


def test_a_persons_open_beside_somebody_elses_scan_stays_a_persons() -> None:
    opened = Act(EventType.OPENED, AT, 0, None, 1, "198.51.100.0", BROWSER + " x")

    assert judge_acts([opened, click(0, 1), click(0, 2), click(0, 3)])[0] == Verdict.HUMAN


@pytest.mark.parametrize(
    "stored", [b"{", b"{}", b'{"TopicArn":"a","event":[]}', b'{"TopicArn":"a","event":{"eventType":"Send"}}']
)
def test_an_event_of_a_queue_that_cannot_be_read_is_malformed(stored: bytes) -> None:
    with pytest.raises(MalformedEventError):
        read_event(stored)
