from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from localses.settling import backoff
from tests.localses.conftest import bulk, entry
from tests.localses.running import Json, Running, Subscriber, free_port, start, stop, subscribe, wait_until

ALL = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "RENDERING_FAILURE", "DELIVERY_DELAY")
PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"


def send(running: Running, name: str, *addresses: str, data: Json | None = None) -> list[str]:
    tags = [{"Name": "m", "Value": "m1"}]
    entries = [entry(address, data, ReplacementTags=tags) for address in addresses]
    answer = running.client("sesv2").send_bulk_email(**bulk(entries, ConfigurationSetName=name))
    return [result["MessageId"] for result in answer["BulkEmailEntryResults"]]


def test_an_email_is_sent_and_delivered_with_its_tags(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, *ALL, name=name)

    [message_id] = send(running, name, "Ana <ana@example.org>")
    wait_until(lambda: len(listener.events()) == 2)

    [sent], [delivered] = listener.of_type("Send"), listener.of_type("Delivery")
    assert sent["send"] == {}
    assert (sent["mail"]["messageId"], sent["mail"]["destination"]) == (message_id, ["ana@example.org"])
    assert sent["mail"]["tags"] == {
        "m": ["m1"],
        "ses:operation": ["SendBulkTemplatedEmail"],
        "ses:configuration-set": [name],
        "ses:source-ip": ["127.0.0.1"],
        "ses:from-domain": ["example.com"],
        "ses:caller-identity": ["localses"],
    }
    assert sent["mail"]["source"] == "News <news@example.com>"
    assert sent["mail"]["commonHeaders"]["subject"] == "Hello Ana"
    assert delivered["delivery"]["recipients"] == ["ana@example.org"]
    assert delivered["mail"]["tags"]["ses:outgoing-ip"] == ["127.0.0.1"]


SIMULATED: dict[str, tuple[str, str, Json]] = {
    "bounce": ("Bounce", "bounce", {"bounceType": "Permanent", "bounceSubType": "General"}),
    "ooto": ("Bounce", "bounce", {"bounceType": "Transient", "bounceSubType": "General"}),
    "suppressionlist": ("Bounce", "bounce", {"bounceType": "Permanent", "bounceSubType": "Suppressed"}),
    "complaint": ("Complaint", "complaint", {"complaintFeedbackType": "abuse", "complaintSubType": None}),
}


@pytest.mark.parametrize("mailbox", SIMULATED)
def test_simulator_mailboxes_answer_as_amazons(running: Running, name: str, listener: Subscriber, mailbox: str) -> None:
    subscribe(running, listener, *ALL, name=name)
    kind, key, expected = SIMULATED[mailbox]
    address = f"{mailbox}+{name}@simulator.amazonses.com"

    send(running, name, address)
    running.settle()

    [event] = listener.of_type(kind)
    assert expected.items() <= event[key].items()
    [who] = event[key][{"bounce": "bouncedRecipients", "complaint": "complainedRecipients"}[key]]
    assert who["emailAddress"] == address
    assert who.get("status") == ("5.1.1" if mailbox in {"bounce", "suppressionlist"} else None)
    assert len(listener.of_type("Delivery")) == (mailbox in {"ooto", "complaint"})


def shape(value: Any) -> Any:
    """Return the names in a document, whatever their values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__ if not isinstance(value, list) else [shape(value[0])] if value else []


def test_a_missing_variable_is_told_by_a_rendering_failure_alone(
    running: Running, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, *ALL, name=name)

    send(running, name, "ana@example.org", data={"Name": "x"})
    running.settle()

    [event] = listener.events()
    assert event["eventType"] == "Rendering Failure"
    assert event["failure"] == {
        "errorMessage": "Attribute 'name' is not present in the rendering data.",
        "templateName": "",
    }
    assert event["mail"]["tags"]["m"] == ["m1"]


def test_a_delay_comes_before_the_delivery(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, *ALL, name=name)
    running.settings(delay_rate=1, spread_seconds=0.5)

    send(running, name, "ana@example.org")
    running.settle()

    assert [event["eventType"] for event in listener.events()] == ["Send", "DeliveryDelay", "Delivery"]
    delay = listener.of_type("DeliveryDelay")[0]["deliveryDelay"]
    assert delay["delayType"] in {"MailboxFull", "TransientCommunicationFailure"}
    assert delay["delayedRecipients"][0]["emailAddress"] == "ana@example.org"


def test_a_virus_is_told_by_a_reject(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, *ALL, name=name)
    virus = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    raw = b"From: news@example.com\r\nTo: ana@example.org\r\nSubject: x\r\n\r\n" + virus

    running.client("sesv2").send_email(Content={"Raw": {"Data": raw}}, ConfigurationSetName=name)
    running.settle()

    [event] = listener.events()
    assert (event["eventType"], event["reject"]) == ("Reject", {"reason": "Bad content"})


def test_every_recipient_of_an_email_has_an_event_of_its_own(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, *ALL, name=name)
    running.client("sesv2").send_email(
        FromEmailAddress="news@example.com",
        Destination={"ToAddresses": ["ana@example.org"], "CcAddresses": ["bounce@simulator.amazonses.com"]},
        Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
        ConfigurationSetName=name,
    )
    running.settle()

    assert sorted(event["eventType"] for event in listener.events()) == ["Bounce", "Delivery", "Send"]
    assert listener.of_type("Bounce")[0]["mail"]["destination"] == ["ana@example.org", "bounce@simulator.amazonses.com"]
    assert [record["outcome"] for record in running.records()] == ["bounced"]


def test_only_matching_types_of_enabled_destinations_are_published(
    running: Running, name: str, listener: Subscriber
) -> None:
    arn = subscribe(running, listener, "BOUNCE", name=name)
    send(running, name, "ana@example.org", "bounce@simulator.amazonses.com")
    running.settle()
    assert [event["eventType"] for event in listener.events()] == ["Bounce"]

    running.client("sesv2").update_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName="sns",
        EventDestination={"Enabled": False, "MatchingEventTypes": ["BOUNCE"], "SnsDestination": {"TopicArn": arn}},
    )
    send(running, name, "bounce@simulator.amazonses.com")
    running.settle()

    assert len(listener.events()) == 1


def test_a_new_destination_hears_that_it_was_validated(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, "SEND", name=name)
    wait_until(lambda: len(listener.envelopes()) == 2)

    text = listener.envelopes()[1]["Message"]
    assert text == "Successfully validated SNS topic for Amazon SES event publishing."


def test_a_hard_bounce_and_a_complaint_suppress_the_address(running: Running, name: str) -> None:
    ses = running.client("sesv2")
    running.settings(bounce_rate=1)
    send_plain(running, f"{name}-b@example.org")
    running.settings(bounce_rate=0, complaint_rate=1)
    send_plain(running, f"{name}-c@example.org")
    running.settle()

    bounced = ses.get_suppressed_destination(EmailAddress=f"{name}-b@example.org")["SuppressedDestination"]
    complained = ses.get_suppressed_destination(EmailAddress=f"{name}-c@example.org")["SuppressedDestination"]
    assert (bounced["Reason"], complained["Reason"]) == ("BOUNCE", "COMPLAINT")
    assert bounced["Attributes"]["MessageId"] == running.records()[0]["message_id"]


def test_soft_bounces_and_the_simulator_suppress_nobody(running: Running, name: str) -> None:
    running.settings(soft_bounce_rate=1)
    send_plain(running, f"{name}@example.org")
    send_plain(running, f"bounce+{name}@simulator.amazonses.com")
    running.settle()

    found = running.client("sesv2").list_suppressed_destinations()["SuppressedDestinationSummaries"]
    assert [item for item in found if name in item["EmailAddress"]] == []


def test_nobody_is_suppressed_for_a_reason_that_the_account_does_not_have(running: Running, name: str) -> None:
    ses = running.client("sesv2")
    ses.put_account_suppression_attributes(SuppressedReasons=["COMPLAINT"])
    running.settings(bounce_rate=1)
    send_plain(running, f"{name}@example.org")
    running.settle()
    ses.put_account_suppression_attributes(SuppressedReasons=["BOUNCE", "COMPLAINT"])

    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_suppressed_destination(EmailAddress=f"{name}@example.org")


def send_plain(running: Running, address: str) -> None:
    running.client("sesv2").send_bulk_email(**bulk([entry(address)]))


def test_a_server_error_is_tried_again_under_the_same_id(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, "SEND", name=name)
    wait_until(lambda: len(listener.envelopes()) == 2)
    listener.status = 503

    send(running, name, "ana@example.org")
    wait_until(lambda: len(listener.envelopes()) >= 4)
    listener.status = 200
    running.settle()
    count = len(listener.envelopes())

    repeats = [(e["MessageId"], e["Signature"], e["Message"]) for e in listener.envelopes()[2:]]
    assert len(set(repeats)) == 1
    time.sleep(0.5)
    assert len(listener.envelopes()) == count


def test_a_refusal_by_the_subscriber_is_final(running: Running, name: str, listener: Subscriber) -> None:
    subscribe(running, listener, "SEND", name=name)
    wait_until(lambda: len(listener.envelopes()) == 2)
    listener.status = 404

    send(running, name, "ana@example.org")
    running.settle()
    time.sleep(0.8)

    assert len(listener.envelopes()) == 3


def test_the_wait_between_attempts_doubles_up_to_half_a_minute() -> None:
    assert [backoff(n) for n in (1, 2, 3, 4, 7, 50)] == [0.5, 1.0, 2.0, 4.0, 30.0, 30.0]


def test_the_certificate_is_served_and_lies_in_the_data_folder(
    running: Running, name: str, listener: Subscriber
) -> None:
    subscribe(running, listener, "SEND", name=name)

    served = httpx.get(listener.envelopes()[0]["SigningCertURL"])

    assert served.status_code == 200
    assert served.content == (running.data / "certificate.pem").read_bytes()
    assert x509.load_pem_x509_certificate(served.content)
    assert running.get("/SimpleNotificationService-0123.pem").status_code == 404


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_restart_loses_no_event(tmp_path: Path, listener: Subscriber, how: int) -> None:
    port = free_port()
    running = start(tmp_path, port, LOCALSES_IDENTITIES="example.com", LOCALSES_SPREAD_SECONDS="20")
    try:
        subscribe(running, listener, "DELIVERY")
        ids = send(running, "events", *(f"p{number}@example.org" for number in range(50)))
    finally:
        end(running, how)
    seen = len(listener.of_type("Delivery"))
    assert seen < 50

    running = start(tmp_path, port)
    try:
        wait_until(lambda: {e["mail"]["messageId"] for e in listener.of_type("Delivery")} == set(ids))
        running.settle()
        assert [record["message_id"] for record in running.records()] == ids
    finally:
        stop(running)
    delivered = [e for e in listener.envelopes() if '"Delivery"' in e.get("Message", "")]
    assert len({e["MessageId"] for e in delivered}) == 50


def test_a_kill_does_not_change_how_events_were_to_arrive(tmp_path: Path, listener: Subscriber) -> None:
    port = free_port()
    running = start(tmp_path, port, LOCALSES_IDENTITIES="example.com")
    try:
        subscribe(running, listener, "SEND", "DELIVERY")
        running.faults(
            {"fault": "missing_events", "events": ["SEND"]},
            {"fault": "late_events", "events": ["DELIVERY"], "ms": 4000},
            {"fault": "duplicate_events", "events": ["DELIVERY"]},
        )
        send(running, "events", "ana@example.org")
    finally:
        end(running, signal.SIGKILL)
    assert listener.events() == []

    running = start(tmp_path, port)
    try:
        running.settle()
        [record] = running.records()
        faults = running.get("/_localses/faults").json()["faults"]
    finally:
        stop(running)

    assert [event["eventType"] for event in listener.events()] == ["Delivery", "Delivery"]
    assert len({e["MessageId"] for e in listener.envelopes() if '"Delivery"' in e.get("Message", "")}) == 1
    assert record["faults"] == ["missing_events-1", "late_events-1", "duplicate_events-1"]
    assert faults == []


def end(running: Running, how: int) -> None:
    """End the server; killed, its worker is killed as well, as when the machine runs out of memory."""
    import psutil

    if how == signal.SIGKILL:
        for child in psutil.Process(running.process.pid).children(recursive=True):
            child.kill()
    stop(running, how)


def test_a_courier_that_dies_is_started_again(tmp_path: Path, listener: Subscriber) -> None:
    import psutil

    running = start(tmp_path, free_port(), LOCALSES_IDENTITIES="example.com")
    try:
        subscribe(running, listener, "DELIVERY")
        children = psutil.Process(running.process.pid).children(recursive=True)
        [courier] = [child for child in children if "localses.courier" in child.cmdline()]
        courier.kill()

        send(running, "events", "ana@example.org")
        wait_until(lambda: listener.of_type("Delivery"))
    finally:
        stop(running)
    assert running.process.returncode == 0


@pytest.mark.parametrize("kind", ["send", "delivery", "bounce", "complaint", "delivery_delay", "rendering_failure"])
def test_events_have_the_members_of_captured_ones(running: Running, name: str, listener: Subscriber, kind: str) -> None:
    subscribe(running, listener, *ALL, name=name)
    running.settings(delay_rate=1)
    send(running, name, "ana@example.org", "bounce@simulator.amazonses.com", "complaint@simulator.amazonses.com")
    send(running, name, "ana@example.org", data={"x": 1})
    running.settle()

    captured = json.loads((PAYLOADS / f"{kind}.json").read_text())
    ours = listener.of_type(captured["eventType"])[0]
    body = next(key for key in captured if key not in {"eventType", "mail"})
    assert body in ours
    assert set(captured[body]) <= set(ours[body])
    assert set(captured["mail"]) <= set(ours["mail"])
