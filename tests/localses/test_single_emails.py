from __future__ import annotations

import base64
import json
from email.message import EmailMessage

import pytest

from localses import mime
from tests.localses.conftest import TEMPLATE, Door, entry, stored
from tests.localses.running import Json

SEND = "/v2/email/outbound-emails"


def test_a_simple_email_is_accepted_with_its_tags_and_headers(door: Door) -> None:
    content = {
        "Simple": {
            "Subject": {"Data": "Grüße"},
            "Body": {"Html": {"Data": "<p>Hi {{name}}</p>"}, "Text": {"Data": "Hi"}},
            "Headers": [{"Name": "X-A", "Value": "1"}],
            "Attachments": [
                {"FileName": "a.pdf", "RawContent": base64.b64encode(b"pdf").decode(), "ContentType": "application/pdf"}
            ],
        }
    }
    tags = [{"Name": "m", "Value": "m9"}]

    status, answer = door.send(Content=content, EmailTags=tags, ReplyToAddresses=["reply@example.com"])

    message = stored(door)
    assert (status, answer) == (200, {"MessageId": message["message_id"]})
    assert (message["subject"], message["tag_m"], message.tags) == ("Grüße", "m9", {"m": "m9"})
    assert mime.render(message).html == "<p>Hi {{name}}</p>"
    raw = mime.as_mime(message).decode()
    assert "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" in raw
    assert "X-A: 1\r\n" in raw
    assert "Reply-To: reply@example.com\r\n" in raw
    assert 'filename="a.pdf"' in raw
    assert f"Message-ID: <{answer['MessageId']}@email.amazonses.com>\r\n" in raw


def test_a_long_header_stays_whole_on_the_wire(door: Door) -> None:
    link = "<https://example.com/u/" + "x" * 300 + ">, <mailto:out@example.com>"

    door.bulk([entry("a@example.org", ReplacementHeaders=[{"Name": "List-Unsubscribe", "Value": link}])])

    assert f"List-Unsubscribe: {link}\r\n" in mime.as_mime(stored(door)).decode()


def test_a_templated_email_is_one_entry_of_a_bulk_call(door: Door) -> None:
    content = {"Template": {"TemplateContent": TEMPLATE, "TemplateData": json.dumps({"name": "Ana"})}}

    assert door.send(Content=content)[0] == 200
    assert stored(door)["subject"] == "Hello Ana"


def raw_email(**headers: str) -> Json:
    message = EmailMessage()
    for name, value in {"From": "news@example.com", "Subject": "Räw", **headers}.items():
        message[name.replace("_", "-")] = value
    message.set_content("plain words")
    message.add_alternative("<p>rich words</p>", subtype="html")
    return {"Raw": {"Data": base64.b64encode(message.as_bytes()).decode()}}


def test_a_raw_email_brings_recipients_set_and_tags_in_its_headers(door: Door) -> None:
    door.call("POST", "/v2/email/configuration-sets", {"ConfigurationSetName": "set"})
    content = raw_email(
        To="Ana <ana@example.org>, ben@example.org",
        Bcc="eve@example.org",
        X_SES_CONFIGURATION_SET="set",
        X_SES_MESSAGE_TAGS="m=m3, campaign=7",
    )

    status, _ = door.call("POST", SEND, {"Content": content})

    message = stored(door)
    assert status == 200
    assert message.destination == ["ana@example.org", "ben@example.org", "eve@example.org"]
    assert (message.configuration_set, message.tags) == ("set", {"m": "m3", "campaign": "7"})
    assert mime.render(message).html.strip() == "<p>rich words</p>"
    written = mime.as_mime(message).decode().lower()
    assert "bcc:" not in written
    assert "x-ses-" not in written
    assert f"message-id: <{message['message_id']}@email.amazonses.com>" in written.replace("\n ", "")


def test_tags_of_the_call_win_over_those_of_raw_headers(door: Door) -> None:
    content = raw_email(To="ana@example.org", X_SES_MESSAGE_TAGS="m=header")

    door.call("POST", SEND, {"Content": content, "EmailTags": [{"Name": "m", "Value": "call"}]})

    assert stored(door).tags == {"m": "call"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"Content": {}}, "BadRequestException", "exactly one of Simple, Raw and Template"),
        ({"Content": {"Raw": {"Data": "§"}}}, "BadRequestException", "not base64"),
        (
            {"Content": {"Raw": {"Data": base64.b64encode(b"Subject: x\r\n\r\n" + b"x" * 1001).decode()}}},
            "BadRequestException",
            "longer than 1000 characters",
        ),
        ({"Content": {"Simple": {"Subject": {"Data": "x"}, "Body": {}}}}, "BadRequestException", "needs a subject"),
        ({"Destination": {}}, "BadRequestException", "Recipient count must be 1 to 50, not 0."),
        (
            {"Destination": {"ToAddresses": ["a@example.org"] * 30, "CcAddresses": ["b@example.org"] * 21}},
            "BadRequestException",
            "Recipient count must be 1 to 50, not 51.",
        ),
        ({"Destination": {"ToAddresses": ["nobody"]}}, "BadRequestException", "Missing final"),
        ({"EmailTags": [{"Name": "a b", "Value": "x"}]}, "BadRequestException", "Invalid tag"),
        ({"FromEmailAddress": "a@other.example"}, "MessageRejected", "failed the check in region US-EAST-1: a@other"),
        ({"ConfigurationSetName": "nope"}, "NotFoundException", "Configuration set <nope> does not exist."),
        ({"Content": {"Template": {"TemplateName": "nope"}}}, "NotFoundException", "Template nope does not exist."),
    ],
)
def test_a_single_email_that_cannot_be_accepted_says_why(door: Door, change: Json, code: str, message: str) -> None:
    status, answer = door.send(**change)

    assert (status, answer["__type"]) == (404 if code == "NotFoundException" else 400, code)
    assert message in answer["message"]
    assert door.rows("SELECT count(*) FROM message") == [(0,)]
