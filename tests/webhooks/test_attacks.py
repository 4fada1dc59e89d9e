"""Attacks on the doors of a real web process: whatever is refused leaves no row, and the next genuine event comes in."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Iterator
from threading import Thread
from typing import Any

import orjson
import pytest

from amazonsender.bodies import MOST_AWAITED
from amazonsender.core.sealing import seal
from delivery.models import DeliveryEvent, Inbox, InboxDead, InboxSeen, SendingAccount
from delivery.services.events import process_inbox
from organizations.models import AuditEntry, Organization
from subscribers.models import ConsentRecord, Subscriber, Suppression
from tests.cast import make_cast
from tests.delivery.events.notifications import event
from tests.factories import AccountFactory
from tests.webhooks.service_reports import REPORTERS, mailgun_report
from tests.webhooks.signer import CERTIFICATE_URL, Signer
from tests.webhooks.signer import TOPIC as AMAZONS_TOPIC
from tests.webhooks.web_process import STREAM, TEXT, TOPIC, Web, firehose_body, firehose_headers, signer

pytestmark = [pytest.mark.django_db(transaction=True)]

SES, FIREHOSE, ACCOUNT = "/webhooks/ses/", "/webhooks/firehose/", "/webhooks/account/{}/"
BODY_SECONDS = 4
TABLES = (Inbox, InboxSeen, InboxDead, DeliveryEvent, Suppression, ConsentRecord, Subscriber, AuditEntry)
LOOK_ALIKES = (
    CERTIFICATE_URL.replace("https://", "http://"),
    CERTIFICATE_URL.replace(".com/", ".com:444/"),
    CERTIFICATE_URL.replace(".com/", ".com:443/"),
    CERTIFICATE_URL.replace(".com/", ".com.evil.example/"),
    CERTIFICATE_URL.replace("https://", "https://evil.example/"),
    CERTIFICATE_URL.replace("https://", "https://evil.example#"),
    CERTIFICATE_URL.replace("https://", "https://user@"),
    CERTIFICATE_URL.replace(".com/", ".com@evil.example/"),
    CERTIFICATE_URL.replace(".com/", ".com\\@evil.example/"),
    CERTIFICATE_URL.replace("sns.eu-west-1", "sns.eu-west-1.s3"),
    CERTIFICATE_URL.replace("sns.eu-west-1", "bucket.s3.eu-west-1"),
    CERTIFICATE_URL.replace("sns.eu-west-1", "sns.us-east-1"),
    CERTIFICATE_URL.replace("sns.eu-west-1", "SNS.eu-west-1"),
    CERTIFICATE_URL.replace("sns.", "sns。"),
    CERTIFICATE_URL.replace("amazonaws.com", "amazonаws.com"),  # a Cyrillic letter
    CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.cn"),
    CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com."),
    CERTIFICATE_URL.replace("/Simple", "/../bucket/Simple"),
    CERTIFICATE_URL + "?redirect=https://evil.example/",
    CERTIFICATE_URL + "\r\nHost: evil.example",
    "https://127.0.0.1/SimpleNotificationService-56e67fcb41f6fec09b0196692625d385.pem",
    "file:///etc/passwd",
    "",
)


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    running = Web(tmp_path_factory.mktemp("web"), BODY_SECONDS=str(BODY_SECONDS))
    yield running
    running.kill()


@pytest.fixture(autouse=True)
def installation(transactional_db: None) -> Organization:
    """An organization with an account at Amazon, one at Local SES, and one at Mailgun."""
    organization = make_cast().acme
    SendingAccount.objects.create(organization=organization, name="SES", region="eu-west-1", topic_arns=[AMAZONS_TOPIC])
    SendingAccount.objects.create(organization=organization, name="L", is_local=True, topic_arns=[TOPIC, STREAM])
    return organization


@pytest.fixture
def mailgun(installation: Organization) -> SendingAccount:
    options = seal(orjson.dumps(REPORTERS["mailgun"].options).decode())
    return AccountFactory.create(
        organization=installation, is_local=False, provider="anymail", variant="mailgun", sealed_options=options
    )


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TABLES}


def genuine(number: int = 1, **changes: Any) -> bytes:
    document = orjson.dumps(event("bounce", mailout_id=7, n=1, messageId=f"m-{number}")).decode()
    return signer.notification(document, topic=TOPIC, message_id=f"sns-{number}", **changes)


def still_takes_events(web: Web) -> bool:
    before = Inbox.objects.count()
    return web.post(SES, genuine(999), {"Content-Type": TEXT}) == 200 and Inbox.objects.count() == before + 1


DEEP = b"[" * 200_000
FORGED = {
    "another's signature": (Signer().notification(topic=TOPIC), 403),
    "changed afterwards": (signer.notification(topic=TOPIC, Message="{}", MessageId="other"), 403),
    "an unknown version": (signer.notification(topic=TOPIC, SignatureVersion="3"), 403),
    "no signature": (signer.notification(topic=TOPIC, Signature=""), 403),
    "no base64": (signer.notification(topic=TOPIC, Signature="***"), 400),
    "anybody's topic": (signer.notification(topic="arn:aws:sns:us-east-1:000000000000:theirs"), 403),
    "anybody's topic at Amazon": (signer.notification(topic="arn:aws:sns:eu-west-1:999999999999:theirs"), 403),
    "Amazon's topic by our certificate": (
        signer.notification(topic=AMAZONS_TOPIC, SigningCertURL="http://127.0.0.1:1/SimpleNotificationService-aa.pem"),
        403,
    ),
    "anybody's subscription": (signer.confirmation(topic="arn:aws:sns:eu-west-1:999999999999:theirs"), 403),
    "a forged subscription": (Signer().confirmation(topic=TOPIC), 403),
    "no envelope": (orjson.dumps(event("bounce", mailout_id=7, n=1)), 403),
    "broken UTF-8": (b'{"Type": "\xff\xfe"}', 400),
    "a raw NUL": (b'{"Type": "Notification\x00"}', 400),
    "half a character": (b'{"Type": "\\ud800"}', 400),
    "deep arrays": (DEEP, 400),
    "deep objects": (b'{"a":' * 100_000, 400),
    "a deep field": (b'{"Type": "Notification", "Message": ' + DEEP, 400),
    "no object": (b'"Notification"', 400),
    "nothing": (b"", 400),
    "packed": (gzip.compress(genuine()), 400),
    "600 KB": (b"x" * 600_000, 413),
}


@pytest.mark.parametrize(("body", "status"), FORGED.values(), ids=FORGED)
def test_what_sns_did_not_send_writes_nothing(web: Web, body: bytes, status: int) -> None:
    before = rows()

    assert web.post(SES, body, {"Content-Type": TEXT}) == status

    assert rows() == before
    assert still_takes_events(web)


@pytest.mark.parametrize("url", LOOK_ALIKES, ids=range(len(LOOK_ALIKES)))
def test_a_look_alike_of_amazons_certificate_host_is_refused_unasked(web: Web, url: str) -> None:
    """To ask would take another try (503): the network ends at this machine."""
    before = rows()

    body = Signer().notification(topic=AMAZONS_TOPIC, SigningCertURL=url)

    assert web.post(SES, body, {"Content-Type": TEXT}) in (400, 403)
    assert rows() == before


def test_a_replay_is_answered_and_stored_once(web: Web, mailgun: SendingAccount) -> None:
    report = mailgun_report("", "<m@x>", "ada@example.com")
    headers = {"Content-Type": report.content_type}
    door = ACCOUNT.format(mailgun.pk)
    delivery = firehose_body("r-1", event("delivery", mailout_id=7, n=1, messageId="f-1"))

    assert [web.post(SES, genuine(), {"Content-Type": TEXT}) for _ in range(3)] == [200] * 3
    assert [web.post(FIREHOSE, delivery, firehose_headers("r-1")) for _ in range(3)] == [200] * 3
    assert [web.post(door, report.body, headers) for _ in range(3)] == [200] * 3

    assert (Inbox.objects.count(), InboxSeen.objects.count()) == (3, 3)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", ""],
)
def test_a_signature_counts_whatever_the_content_type_says(web: Web, kind: str) -> None:
    assert web.post(SES, genuine(), {"Content-Type": kind}) == 200
    assert web.post(SES, Signer().notification(topic=TOPIC), {"Content-Type": kind}) == 403

    assert Inbox.objects.count() == 1


BOMB = zlib.compressobj(9, wbits=31)
GZIP_BOMB = BOMB.compress(b" " * 64 * 1024 * 1024) + BOMB.flush()
EVENT = event("bounce", mailout_id=7, n=1)
STRANGE = {
    "no key": (firehose_body("r", EVENT), {"X-Amz-Firehose-Access-Key": ""}, 401),
    "a wrong key": (firehose_body("r", EVENT), {"X-Amz-Firehose-Access-Key": "k" * 39}, 401),
    "a key beyond ASCII": (
        firehose_body("r", EVENT),
        {"X-Amz-Firehose-Access-Key": "ключ".encode().decode("latin-1")},
        401,
    ),
    "anybody's stream": (firehose_body("r", EVENT), {"X-Amz-Firehose-Source-Arn": STREAM + "-theirs"}, 403),
    "a topic for a stream": (firehose_body("r", EVENT), {"X-Amz-Firehose-Source-Arn": TOPIC}, 400),
    "another id": (firehose_body("s", EVENT), {}, 400),
    "no id": (firehose_body("", EVENT), {"X-Amz-Firehose-Request-Id": ""}, 400),
    "a form": (b"requestId=r", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "another packing": (firehose_body("r", EVENT), {"Content-Encoding": "br"}, 415),
    "a bomb": (GZIP_BOMB, {"Content-Encoding": "gzip"}, 413),
    "half a packing": (gzip.compress(firehose_body("r", EVENT))[:-9], {"Content-Encoding": "gzip"}, 400),
    "not packed": (firehose_body("r", EVENT), {"Content-Encoding": "gzip"}, 400),
    "broken UTF-8": (b'{"requestId": "\xff"}', {}, 400),
    "deep": (b'{"requestId": "r", "records": ' + DEEP, {}, 400),
    "no base64": (b'{"requestId": "r", "records": [{"data": "***"}]}', {}, 400),
    "records that are none": (b'{"requestId": "r", "records": {"data": "e30="}}', {}, 400),
    "too many records": (firehose_body("r", *[b"{}"] * 20_001), {}, 400),
    "9 MB": (b"x" * 9_000_000, {}, 413),
}


@pytest.mark.parametrize(("body", "changes", "status"), STRANGE.values(), ids=STRANGE)
def test_what_firehose_did_not_send_writes_nothing(web: Web, body: bytes, changes: dict[str, str], status: int) -> None:
    before = rows()

    assert web.post(FIREHOSE, body, firehose_headers("r", **changes)) == status

    assert rows() == before
    assert still_takes_events(web)


def test_strange_texts_in_a_believed_delivery_end_among_the_dead_or_without_harm(web: Web) -> None:
    """Whoever has the key may send anything; nothing of it stops what comes behind."""
    strange = [
        event("bounce", mailout_id=7, n=1, messageId="a\0b"),
        orjson.dumps(event("bounce", mailout_id=7, n=1)).replace(b"Permanent", b"\\u0000"),
        b"\xff\xfe{}",
        DEEP,
        b'{"eventType": "Bounce", "mail": ' + DEEP,
        b'{"eventType": "Bounce", "mail": null}',
    ]
    body = firehose_body("r", *strange, event("delivery", mailout_id=7, n=1, messageId="good"))

    assert web.post(FIREHOSE, body, firehose_headers("r")) == 200
    process_inbox()

    assert not Inbox.objects.exists()
    assert InboxDead.objects.count() >= 4


def test_what_a_service_did_not_report_writes_nothing(web: Web, mailgun: SendingAccount) -> None:
    door = ACCOUNT.format(mailgun.pk)
    report = mailgun_report("", "<m@x>", "ada@example.com")
    fields = b"&".join(b"field=%d" % number for number in range(2000))
    attacks: list[tuple[str, bytes, str, tuple[int, ...]]] = [
        (
            door,
            report.body.replace(b"ada@", b"eve@").replace(b'"token": "', b'"token": "x'),
            "application/json",
            (403,),
        ),
        (door, b"{}", "application/json", (400, 403)),
        (door, DEEP, "application/json", (403,)),
        (door, b'{"signature": "\xff"}', "application/json", (400, 403)),
        (door, b'{"signature": "\0"}', "application/json", (400, 403)),
        (door, b"\x1f\x8b" + report.body, "application/json", (400, 403)),
        (door, fields, "application/x-www-form-urlencoded", (400, 403)),
        (door, b"--x\r\n" * 1000, "multipart/form-data; boundary=x", (400, 403)),
        (door, b"x", "multipart/form-data", (400, 403)),
        (door, b"x" * 4_000_000, "application/json", (413,)),
        (ACCOUNT.format(999_999_999), report.body, report.content_type, (404,)),
        (ACCOUNT.format(2**64), report.body, report.content_type, (404,)),
    ]
    before = rows()

    for path, body, kind, statuses in attacks:
        assert web.post(path, body, {"Content-Type": kind}) in statuses, (path, body[:60], kind)

    assert rows() == before
    assert web.post(door, report.body, {"Content-Type": report.content_type}) == 200


@pytest.mark.parametrize("path", [SES, FIREHOSE, "/webhooks/account/1/"])
def test_a_body_that_only_claims_its_length_is_refused_before_it_comes(web: Web, path: str) -> None:
    before = rows()

    with web.begin(path, firehose_headers("r"), length=10 * 1024**3) as connected:
        assert b" 413 " in connected.recv(100)

    assert rows() == before


@pytest.mark.parametrize("path", [SES, FIREHOSE, "/webhooks/account/1/"])
def test_a_body_without_end_is_refused_or_hung_up_on(web: Web, path: str) -> None:
    before = rows()

    assert web.post_in_chunks(path, (b"x" * 65_536 for _ in range(400)), firehose_headers("r")) in (413, 0)

    assert rows() == before
    assert still_takes_events(web)


def test_a_genuine_event_in_chunks_is_taken(web: Web) -> None:
    body = genuine()

    status = web.post_in_chunks(SES, (body[start : start + 100] for start in range(0, len(body), 100)), {})

    assert (status, Inbox.objects.count()) == (200, 1)


def test_bodies_that_come_byte_by_byte_are_ended_while_events_and_pages_go_on(
    web: Web, mailgun: SendingAccount
) -> None:
    before = rows()
    doors = (SES, FIREHOSE, ACCOUNT.format(mailgun.pk))
    slow = [web.begin(doors[n % 3], firehose_headers("r"), length=5000, sent=b"{") for n in range(12)]
    silent = [web.begin(door, firehose_headers("r"), length=5000) for door in doors]
    answers: list[bytes] = []
    drops = [Thread(target=_drop, args=(one, answers)) for one in slow]
    for drop in drops:
        drop.start()

    taken = [web.post(SES, genuine(number), {"Content-Type": TEXT}) for number in range(20)]
    for drop in drops:
        drop.join(60)
    answers += [_end_of(one) for one in silent]

    assert taken == [200] * 20
    assert len(answers) == 15
    assert not any(b" 200 " in answer for answer in answers)
    added = {"Inbox": before["Inbox"] + 20, "InboxSeen": before["InboxSeen"] + 20}
    assert rows() == before | added


def test_when_too_many_bodies_are_on_their_way_the_next_is_asked_to_come_again_and_pages_open(web: Web) -> None:
    slow = [web.begin(SES, {}, length=5000, sent=b"{") for _ in range(MOST_AWAITED)]
    drops = [Thread(target=_drop, args=(one, [])) for one in slow]
    for drop in drops:
        drop.start()

    statuses: list[int] = []
    while 503 not in statuses and any(drop.is_alive() for drop in drops):
        statuses.append(web.post(SES, genuine(len(statuses)), {"Content-Type": TEXT}))
    health = web.get("/health/live")
    for drop in drops:
        drop.join(60)

    assert statuses[-1] == 503
    assert set(statuses[:-1]) <= {200}
    assert health == 200
    assert still_takes_events(web)


def _drop(connected: socket.socket, answers: list[bytes]) -> None:
    """A byte every quarter of a second until somebody hangs up; then what was answered."""
    connected.settimeout(0.25)
    while True:
        try:
            connected.sendall(b" ")
            answers.append(connected.recv(200))
        except TimeoutError:
            continue
        except OSError:
            answers.append(b"")
        connected.close()
        return


def _end_of(connected: socket.socket) -> bytes:
    connected.settimeout(60)
    with connected:
        try:
            return connected.recv(200)
        except ConnectionResetError:
            return b""
