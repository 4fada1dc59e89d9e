"""The two calls of SES's first API: read by Amazon's own client, and by django-ses' functions."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from django_ses.views import stats_to_list, sum_stats

from localses import counting
from localses.counting import CountingDoor
from tests.localses.conftest import Clock, Door, signed, simple
from tests.localses.running import Running

FORM = b"Action=GetSendStatistics&Version=2010-12-01"


def send(running: Running, *addresses: str) -> None:
    for address in addresses:
        running.client("sesv2").send_email(**simple(Destination={"ToAddresses": [address]}))
    running.settle()


def ask(door: Door, body: bytes = FORM, **keys: str) -> tuple[int, str]:
    answer = CountingDoor().answer(door.desk, signed("POST", "/", body, at=door.desk.clock(), **keys))
    return answer.status, answer.body.decode()


def test_what_was_sent_is_counted_by_quarters_of_an_hour(running: Running) -> None:
    send(
        running,
        "ana@example.org",
        "bounce@simulator.amazonses.com",
        "bounce+2@simulator.amazonses.com",
        "complaint@simulator.amazonses.com",
    )

    points = stats_to_list(running.client("ses").get_send_statistics(), localize=False)

    assert sum_stats(points) == {"DeliveryAttempts": 4, "Bounces": 2, "Complaints": 1, "Rejects": 0}
    assert all(point["Timestamp"].minute % 15 == point["Timestamp"].second == 0 for point in points)
    assert all(datetime.now(UTC) - point["Timestamp"] < timedelta(minutes=31) for point in points)


def test_a_rejected_email_counts_as_such(running: Running) -> None:
    virus = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    raw = f"From: news@example.com\r\nTo: ana@example.org\r\nSubject: x\r\n\r\n{virus}\r\n"
    running.client("sesv2").send_email(**simple(Content={"Raw": {"Data": raw.encode()}}))
    running.settle()

    points = stats_to_list(running.client("ses").get_send_statistics(), localize=False)

    assert sum_stats(points)["Rejects"] == 1


def test_an_account_that_sent_nothing_has_no_points(running: Running) -> None:
    assert running.client("ses").get_send_statistics()["SendDataPoints"] == []


def test_the_quota_is_the_one_that_the_second_api_says(running: Running) -> None:
    running.settings(max_24_hour=5000, max_send_rate=14)
    send(running, "ana@example.org")

    quota = running.client("ses").get_send_quota()

    told = running.client("sesv2").get_account()["SendQuota"]
    assert {name: quota[name] for name in told} == told
    assert (told["Max24HourSend"], told["MaxSendRate"], told["SentLast24Hours"]) == (5000, 14, 1)


def test_only_two_weeks_are_told(door: Door, clock: Clock) -> None:
    door.send()
    clock.now += 13 * 86_400
    door.send()

    assert ask(door)[1].count("<DeliveryAttempts>1</DeliveryAttempts>") == 2
    clock.now += 2 * 86_400
    assert ask(door)[1].count("<DeliveryAttempts>1</DeliveryAttempts>") == 1


def test_strangers_learn_nothing(running: Running) -> None:
    for keys in ({"aws_access_key_id": "other"}, {"aws_secret_access_key": "other"}):
        with pytest.raises(ClientError) as refusal:
            running.client("ses", **keys).get_send_statistics()
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert httpx.post(running.url, content=FORM).status_code == 403


def test_keys_without_the_permission_hear_of_it(running: Running) -> None:
    running.faults({"fault": "exception", "code": "AccessDeniedException", "operations": ["GetSendStatistics"]})

    with pytest.raises(ClientError) as refusal:
        running.client("ses").get_send_statistics()

    assert refusal.value.response["Error"]["Code"] == "AccessDenied"
    assert running.client("ses").get_send_quota()["MaxSendRate"] > 0


@pytest.mark.parametrize(
    "body",
    [
        b"Action=SendRawEmail&Version=2010-12-01",
        b"Version=2010-12-01",
        FORM + b"&Extra=1",
    ],
)
def test_what_is_not_there_says_so(door: Door, body: bytes) -> None:
    status, text = ask(door, body)

    assert status == 400
    assert "<Code>InvalidAction</Code>" in text


def test_an_answer_that_breaks_the_model_is_a_failure_of_ours(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(_desk: Any) -> dict[str, object]:
        return {"SendDataPoints": [{"Bounces": "many"}]}

    monkeypatch.setitem(counting.OPERATIONS, "GetSendStatistics", wrong)

    with caplog.at_level(logging.ERROR, "localses"):
        status, text = ask(door)

    assert status == 500
    assert "<Type>Receiver</Type><Code>InternalFailure</Code>" in text


def test_calls_of_sns_still_come_to_the_same_address(running: Running) -> None:
    assert "TopicArn" in running.client("sns").create_topic(Name="beside")
