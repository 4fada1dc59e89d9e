"""What is said of the ways that events come back, and of what Amazon thinks of an account."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from delivery.models import SendingAccount
from delivery.services.accounts import EVENT_TYPES
from delivery.services.event_points import event_points, queue_arns
from delivery.services.points import Point
from delivery.services.standing_points import standing_points

TOPIC = "arn:aws:sns:eu-west-1:123456789012:news"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:events"
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
STREAM = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/events"
ENDPOINT = "https://mail.acme.io/webhooks/ses/"
SET = {"state": "known", "sending_enabled": True, "redirect_domain": "", "suppressed": None}
DENIED = {"state": "denied", "action": "ses:GetConfigurationSet"}
FAILED = {"state": "failed", "error": "Timed out."}


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.io"
    settings.EVENT_QUEUE_URLS = []
    settings.FIREHOSE_ACCESS_KEYS = []


def destination(**changes: object) -> dict[str, object]:
    return {"name": "x", "enabled": True, "types": list(EVENT_TYPES), "kind": "sns", "target": TOPIC} | changes


def subscribed(**changes: object) -> dict[str, object]:
    return {"confirmed": True, "protocol": "https", "endpoint": ENDPOINT, "raw": False} | changes


def topic(*rows: dict[str, object], attributes: dict[str, Any] | None = None, asked: Any = None) -> dict[str, Any]:
    usual = {"state": "known", "signature": "2", "lets_ses_publish": True}
    return {
        "arn": TOPIC,
        "attributes": attributes or usual,
        "subscriptions": asked or {"state": "known", "rows": list(rows)},
    }


def account(inspection: dict[str, Any] | None = None, **given: object) -> SendingAccount:
    """One that lacks nothing."""
    fine = {
        "set": SET,
        "destinations": {"state": "known", "rows": [destination()]},
        "topics": [topic(subscribed())],
        "standing": {"state": "known", "suppressed": ["BOUNCE", "COMPLAINT"], "review": ""},
    }
    usual: dict[str, object] = {"region": "eu-west-1", "configuration_set": "news", "topic_arns": [TOPIC]}
    return SendingAccount(inspection=fine | (inspection or {}), **(usual | given))


def told(points: list[Point]) -> list[tuple[str, str, str]]:
    assert all(point.why and point.about for point in points)
    assert all(point.step for point in points if point.tone != "ok")
    return [(point.tone, point.about, point.state) for point in points]


def events(one: SendingAccount) -> list[tuple[str, str, str]]:
    return told(list(event_points(one)))


def test_an_account_whose_events_come_by_sns() -> None:
    assert events(account()) == [
        ("ok", "Configuration set", "“news” is there"),
        ("ok", "Event destination", "7 kinds of events are reported"),
        ("ok", "SNS subscription", "The topic reports to this server"),
    ]


@pytest.mark.parametrize(
    ("asked", "tone", "state"),
    [
        (DENIED, "note", "The keys may not look"),
        (FAILED, "note", "Amazon did not tell"),
        ({"state": "missing"}, "stop", "Amazon has no “news”"),
        (SET | {"sending_enabled": False}, "stop", "“news” sends nothing: it is switched off"),
    ],
)
def test_the_configuration_set(asked: dict[str, Any], tone: str, state: str) -> None:
    point = next(iter(event_points(account({"set": asked}))))

    assert (point.tone, point.state) == (tone, state)
    if asked is DENIED:
        assert "Allow them ses:GetConfigurationSet in IAM" in point.step


@pytest.mark.parametrize(
    ("rows", "tone", "state"),
    [
        ([], "stop", "Amazon reports nowhere that we listen"),
        ([destination(target=TOPIC + "-other")], "stop", "Amazon reports nowhere that we listen"),
        ([destination(kind="cloudwatch", target="")], "stop", "Amazon reports nowhere that we listen"),
        ([destination(kind="eventbridge", target="arn:bus")], "stop", "Amazon reports nowhere that we listen"),
        ([destination(enabled=False)], "stop", "Reporting is switched off"),
        ([destination(types=["SEND", "DELIVERY", "BOUNCE"])], "stop", "complaints"),
        ([destination(types=[kind for kind in EVENT_TYPES if kind != "DELIVERY_DELAY"])], "note", "delays"),
        ([destination(types=["SEND"]), destination(types=list(EVENT_TYPES[1:]))], "ok", "7 kinds of events"),
        ([destination(types=[*EVENT_TYPES, "OPEN"])], "note", "Amazon counts opens and clicks, too"),
    ],
)
def test_event_destinations(rows: list[dict[str, object]], tone: str, state: str) -> None:
    point = list(event_points(account({"destinations": {"state": "known", "rows": rows}})))[1]

    assert point.tone == tone
    assert state in point.state


def test_destinations_nobody_may_look_at_and_those_of_a_set_that_is_missing() -> None:
    denied = DENIED | {"action": "ses:GetConfigurationSetEventDestinations"}

    assert ("note", "Event destination", "The keys may not look") in events(account({"destinations": denied}))
    about = [row[1] for row in events(account({"set": {"state": "missing"}, "destinations": {"state": "missing"}}))]
    assert about == ["Configuration set", "SNS subscription"]


@pytest.mark.parametrize(
    ("rows", "tone", "state"),
    [
        ([], "stop", "Nobody is subscribed to the topic"),
        ([subscribed(confirmed=False, raw=None)], "stop", "SNS waits for this server to confirm"),
        ([subscribed(raw=True)], "stop", "Raw message delivery is on"),
        ([subscribed(raw=None)], "ok", "The topic reports to this server"),
        (
            [subscribed(endpoint="https://old.acme.io/webhooks/ses/")],
            "stop",
            "The topic reports to another address: https://old.acme.io/webhooks/ses/",
        ),
        ([subscribed(protocol="sqs", endpoint=QUEUE)], "stop", "Nobody is subscribed to the topic"),
    ],
)
def test_subscriptions(rows: list[dict[str, object]], tone: str, state: str) -> None:
    assert events(account({"topics": [topic(*rows)]}))[-1] == (tone, "SNS subscription", state)


def test_what_is_said_of_the_topic_itself() -> None:
    old = {"state": "known", "signature": "1", "lets_ses_publish": False}
    missing = topic(attributes={"state": "missing"}, asked={"state": "missing"})
    denied = {"state": "denied", "action": "sns:GetTopicAttributes"}
    silent = topic(attributes=FAILED, asked=FAILED)

    assert events(account({"topics": [topic(subscribed(), attributes=old)]}))[-2:] == [
        ("note", "SNS topic", "Its policy does not name SES"),
        ("note", "SNS topic", "It signs with SHA-1"),
    ]
    assert events(account({"topics": [missing]}))[-1] == ("stop", "SNS subscription", "Amazon has no such topic")
    assert events(account({"topics": [topic(subscribed(), attributes=denied)]}))[-1] == (
        "note",
        "SNS topic",
        "The keys may not look",
    )
    assert events(account({"topics": [silent]}))[-1] == ("note", "SNS subscription", "Amazon did not tell")


def test_events_by_a_queue_need_no_topic_and_no_public_address(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    settings.EVENT_QUEUE_URLS = [QUEUE_URL, "nonsense"]
    rules = {"destinations": {"state": "known", "rows": [destination(kind="eventbridge", target="arn:bus")]}}
    filled = topic(subscribed(protocol="sqs", endpoint=QUEUE))
    raw = topic(subscribed(protocol="sqs", endpoint=QUEUE, raw=True))

    assert queue_arns() == [QUEUE]
    assert events(account(rules, topic_arns=[QUEUE])) == [
        ("ok", "Configuration set", "“news” is there"),
        ("ok", "Event destination", "7 kinds of events are reported"),
        ("ok", "Queue", "Events come by the queue"),
    ]
    assert events(account({"topics": [filled]}))[-1] == ("ok", "SNS subscription", "The topic fills the queue")
    assert events(account({"topics": [raw]}))[-1][2] == "Raw message delivery is on"
    assert events(account({"topics": [raw]}, topic_arns=[TOPIC, QUEUE]))[-1][0] == "ok"
    settings.EVENT_QUEUE_URLS = []
    assert events(account(rules, topic_arns=[QUEUE]))[-1] == ("stop", "Queue", "Nobody reads the queue")


def test_events_by_firehose(settings: Settings) -> None:
    rows = {"state": "known", "rows": [destination(kind="firehose", target=STREAM)]}
    streaming = account({"destinations": rows}, topic_arns=[STREAM])

    assert events(streaming)[-1] == ("stop", "Firehose", "Firehose is not let in")
    settings.FIREHOSE_ACCESS_KEYS = ["x" * 32]
    assert events(streaming)[-1] == ("ok", "Firehose", "Events come by Firehose")
    assert events(streaming)[1][0] == "ok"


def test_one_way_that_works_is_enough(settings: Settings) -> None:
    settings.EVENT_QUEUE_URLS = [QUEUE_URL]

    both = events(account({"topics": [topic()]}, topic_arns=[TOPIC, QUEUE]))

    assert [row for row in both if row[1] in ("Queue", "SNS subscription")] == [
        ("ok", "Queue", "Events come by the queue")
    ]


def test_a_server_that_amazon_cannot_reach(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    unreachable = ("stop", "SNS subscription", "Amazon can’t reach this server")

    assert events(account({"topics": [topic()]}))[-1] == unreachable
    assert events(SendingAccount(configuration_set="news", topic_arns=[TOPIC])) == [unreachable]
    settings.EVENT_QUEUE_URLS = [QUEUE_URL]
    assert events(SendingAccount(configuration_set="news", topic_arns=[TOPIC]))[0][0] == "ok"
    assert events(account({"topics": [topic()]}))[-1][2] == "Nobody is subscribed to the topic"


def test_a_local_account_that_reports_elsewhere_is_set_up_again(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    old = topic(subscribed(protocol="http", endpoint="http://localhost:9000/webhooks/ses/"))

    point = list(event_points(account({"topics": [old]}, is_local=True)))[-1]

    assert (point.tone, point.act) == ("stop", "local")


# ---- Amazon's standing -----------------------------------------------------------------------------------------


def standing(**given: Any) -> list[tuple[str, str, str]]:
    inspection = given.pop("inspection", None)
    usual = {"enforcement_status": "HEALTHY", "checked_at": timezone.now(), "max_24_hour_send": 1000}
    return told(list(standing_points(account(inspection, **(usual | given)))))


def test_an_account_in_good_standing() -> None:
    assert standing() == [
        ("ok", "Amazon’s standing", "Amazon has no objections"),
        ("ok", "Sandbox", "It may mail anyone"),
        ("ok", "Quota", "0 % of the day’s quota is used"),
        ("ok", "Suppression list", "It takes bounces and complaints"),
    ]


@pytest.mark.parametrize(
    ("status", "tone", "state"),
    [
        ("PROBATION", "stop", "Amazon is reviewing the account"),
        ("SHUTDOWN", "stop", "Amazon shut sending down"),
        ("NEW", "note", "Amazon says NEW"),
    ],
)
def test_enforcement(status: str, tone: str, state: str) -> None:
    assert standing(enforcement_status=status)[0] == (tone, "Amazon’s standing", state)


def test_before_the_first_answer_nothing_is_said_of_it() -> None:
    new = SendingAccount(production_access=True)

    assert told(list(standing_points(new))) == [("ok", "Sandbox", "It may mail anyone")]


@pytest.mark.parametrize(
    ("review", "state"),
    [
        ("", "It is in Amazon’s sandbox"),
        ("PENDING", "Amazon is deciding about production access"),
        ("DENIED", "Amazon refused production access"),
        ("FAILED", "Amazon refused production access"),
    ],
)
def test_the_sandbox(review: str, state: str) -> None:
    asked = {"standing": {"state": "known", "suppressed": ["BOUNCE", "COMPLAINT"], "review": review}}

    assert standing(production_access=False, inspection=asked)[1] == ("note", "Sandbox", state)
    assert standing(production_access=False, is_local=True, inspection=asked)[1][1] == "Sandbox"
    assert "Sandbox" not in [row[1] for row in standing(is_local=True)]


@pytest.mark.parametrize(
    ("inspection", "tone", "state"),
    [
        (
            {"standing": {"state": "known", "suppressed": [], "review": ""}},
            "note",
            "It doesn’t take bounces and complaints",
        ),
        ({"set": SET | {"suppressed": ["BOUNCE"]}}, "note", "It doesn’t take complaints"),
        ({"set": SET | {"suppressed": ["BOUNCE", "COMPLAINT"]}}, "ok", "It takes bounces and complaints"),
        ({"standing": {"state": "denied", "action": "ses:GetAccount"}}, "note", "The keys may not look"),
    ],
)
def test_the_suppression_list(inspection: dict[str, Any], tone: str, state: str) -> None:
    assert standing(inspection=inspection)[-1] == (tone, "Suppression list", state)
