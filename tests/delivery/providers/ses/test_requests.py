"""The JSON that goes out, against botocore's model of the service, and the limits that botocore does not check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from delivery.providers.base import Entry, Limits, OutgoingEmail, PermanentError
from delivery.providers.ses import SesProvider, limits
from delivery.providers.ses.provider import SesCall
from delivery.providers.ses.requests import PreparedEmail
from tests.delivery.providers.ses.conftest import REGION, entries, entry


@pytest.fixture
def provider() -> SesProvider:
    return SesProvider(REGION, access_key="AKIDEXAMPLE", secret_key="secret", session_token="token")


Build = Callable[..., dict[str, Any]]


@pytest.fixture
def build(provider: SesProvider, email: OutgoingEmail) -> Build:
    """Build a call and give its JSON, checked against the model."""

    def run(*recipients: Entry, email: OutgoingEmail = email) -> dict[str, Any]:
        call = provider.build(provider.prepare(email), recipients, "c0ffee")
        assert isinstance(call, SesCall)
        head, _, body = call.request.partition(b"\r\n\r\n")
        assert call.size == len(body)
        assert f"\r\nContent-Length: {len(body)}\r\n" in head.decode()
        document: dict[str, Any] = json.loads(body)
        operation = "SendBulkEmail" if len(recipients) > 1 else "SendEmail"
        model = botocore.session.get_session().get_service_model("sesv2")
        shape = model.operation_model(operation).input_shape
        assert shape is not None
        assert ParamValidator().validate(document, shape).generate_report() == ""
        assert unknown_members(document, shape) == []
        return document

    return run


def unknown_members(document: Any, shape: Any, path: str = "") -> list[str]:
    """Names that the model does not have; botocore would drop them silently."""
    if shape.type_name == "structure":
        found = [f"{path}.{name}" for name in document if name not in shape.members]
        for name, value in document.items():
            if name in shape.members:
                found += unknown_members(value, shape.members[name], f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [name for item in document for name in unknown_members(item, shape.member, f"{path}[]")]
    return []


def test_a_bulk_call_says_exactly_this(build: Build) -> None:
    document = build(entry(1), entry(2))

    assert document == {
        "FromEmailAddress": "Acme News <news@acme.test>",
        "ReplyToAddresses": ["desk@acme.test"],
        "ConfigurationSetName": "acme",
        "DefaultContent": {
            "Template": {
                "TemplateContent": {
                    "Subject": "Hello {{s0}}",
                    "Html": '<p>Hello {{s0}}, <a href="https://acme.test/{{s1}}">read</a></p>',
                    "Text": "Hello {{s0}}",
                },
                "TemplateData": "{}",
                "Headers": [{"Name": "List-Id", "Value": "<news.acme.test>"}],
            }
        },
        "DefaultEmailTags": [{"Name": "kind", "Value": "campaign"}, {"Name": "c", "Value": "c0ffee"}],
        "BulkEmailEntries": [
            {
                "Destination": {"ToAddresses": [f"person{number}@example.com"]},
                "ReplacementEmailContent": {
                    "ReplacementTemplate": {
                        "ReplacementTemplateData": json.dumps(
                            {"s0": f"Zoë &amp; <b>{number}</b>", "s1": f'{number}?q="\\\n'},
                            ensure_ascii=False,
                            separators=(",", ":"),
                        )
                    }
                },
                "ReplacementTags": [{"Name": "m", "Value": f"token-{number}_x"}],
                "ReplacementHeaders": [
                    {"Name": "List-Unsubscribe", "Value": f"<https://acme.test/u/{number}>"},
                    {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
                ],
            }
            for number in (1, 2)
        ],
    }


def test_a_single_call_says_exactly_this(build: Build) -> None:
    document = build(entry(1))

    assert document == {
        "FromEmailAddress": "Acme News <news@acme.test>",
        "ReplyToAddresses": ["desk@acme.test"],
        "ConfigurationSetName": "acme",
        "Content": {
            "Template": {
                "TemplateContent": {
                    "Subject": "Hello {{s0}}",
                    "Html": '<p>Hello {{s0}}, <a href="https://acme.test/{{s1}}">read</a></p>',
                    "Text": "Hello {{s0}}",
                },
                "TemplateData": '{"s0":"Zoë &amp; <b>1</b>","s1":"1?q=\\"\\\\\\n"}',
                "Headers": [
                    {"Name": "List-Id", "Value": "<news.acme.test>"},
                    {"Name": "List-Unsubscribe", "Value": "<https://acme.test/u/1>"},
                    {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
                ],
            }
        },
        "Destination": {"ToAddresses": ["person1@example.com"]},
        "EmailTags": [
            {"Name": "kind", "Value": "campaign"},
            {"Name": "c", "Value": "c0ffee"},
            {"Name": "m", "Value": "token-1_x"},
        ],
    }


def test_what_an_email_does_not_have_is_left_out(build: Build, email: OutgoingEmail) -> None:
    bare = replace(email, reply_to=(), text="", headers=(), tags=(), configuration_set="")

    bulk = build(entry(1, headers=(), values={}), entry(2), email=bare)
    single = build(entry(1, headers=()), email=replace(bare, html="", text="only text"))

    assert set(bulk) == {"FromEmailAddress", "DefaultContent", "DefaultEmailTags", "BulkEmailEntries"}
    assert set(bulk["DefaultContent"]["Template"]["TemplateContent"]) == {"Subject", "Html"}
    assert bulk["DefaultEmailTags"] == [{"Name": "c", "Value": "c0ffee"}]
    assert bulk["BulkEmailEntries"][0]["ReplacementHeaders"] == []
    assert set(single) == {"FromEmailAddress", "Content", "Destination", "EmailTags"}
    assert set(single["Content"]["Template"]["TemplateContent"]) == {"Subject", "Text"}


def test_a_recipients_header_replaces_the_shared_one_of_that_name(build: Build) -> None:
    document = build(entry(1, headers=(("list-id", "<mine.acme.test>"),)))

    assert document["Content"]["Template"]["Headers"] == [{"Name": "list-id", "Value": "<mine.acme.test>"}]


def test_the_signature_covers_the_body(provider: SesProvider, email: OutgoingEmail) -> None:
    for recipients in (entries(1), entries(50)):
        call = provider.build(provider.prepare(email), recipients, "c0ffee")
        assert isinstance(call, SesCall)
        head, _, body = call.request.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        path = head.decode().split(" ")[1]

        signed = provider._signer.headers(
            "POST",
            path,
            hashlib.sha256(body).hexdigest(),
            provider._credentials.keys(),
            content_type="application/json",
        )

        # Signed within the same second, or one later.
        if f"X-Amz-Date: {lines['X-Amz-Date']}" in signed:
            assert f"Authorization: {lines['Authorization']}\r\n" in signed
        assert lines["Host"] == "email.eu-central-1.amazonaws.com"
        assert lines["X-Amz-Security-Token"] == "token"


def test_a_value_that_cannot_be_encoded_is_refused_when_building(provider: SesProvider, email: OutgoingEmail) -> None:
    broken = entry(1, values={"s0": "\ud800"})

    with pytest.raises(PermanentError, match="a value cannot be encoded"):
        provider.build(provider.prepare(email), [broken, entry(2)], "c0ffee")


def test_the_limits_of_a_call_are_told(provider: SesProvider) -> None:
    assert provider.limits == Limits(entries_per_call=50, bytes_per_call=900_000)


def test_what_another_provider_prepared_is_refused(provider: SesProvider) -> None:
    with pytest.raises(TypeError):
        provider.build(object(), entries(1), "c0ffee")
    with pytest.raises(TypeError):
        provider.send(object())  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sender": ""}, "sender and Reply-To: printable ASCII"),
        ({"sender": "a@b.test\r\nBcc: c@d.test"}, "sender and Reply-To: printable ASCII"),
        ({"sender": "Zoë <a@b.test>"}, "sender and Reply-To: printable ASCII"),
        ({"reply_to": ("x" * 996,)}, "sender and Reply-To: printable ASCII"),
        ({"reply_to": ("a@b.test",) * 51}, "51 Reply-To addresses: SES takes 50"),
        ({"subject": ""}, "subject: empty"),
        ({"subject": "\ud800"}, "content cannot be encoded"),
        ({"html": "", "text": ""}, "neither an HTML nor a text part"),
        ({"html": "x" * 1_000_000}, "bytes: SES takes 1000000 in a request"),
        ({"configuration_set": "a b"}, "configuration set: a name is"),
        ({"configuration_set": "a" * 65}, "configuration set: a name is"),
        ({"tags": (("a b", "x"),)}, "tag 'a b': name and value are"),
        ({"tags": (("a", "x.y"),)}, "tag 'a': name and value are"),
        ({"tags": (("a", ""),)}, "tag 'a': name and value are"),
        ({"tags": (("a", "x" * 257),)}, "tag 'a': name and value are"),
        ({"tags": (("c", "x"),)}, "tag c: taken"),
        ({"tags": (("m", "x"),)}, "tag m: taken"),
        ({"tags": tuple((f"t{n}", "x") for n in range(49))}, "49 tags: SES takes 50 with the two of ours"),
        ({"headers": tuple((f"X-{n}", "x") for n in range(16))}, "16 headers: SES takes 15 in one message"),
        ({"headers": (("X-A", "x"), ("x-a", "y"))}, "header x-a: given twice"),
        ({"headers": (("X A", "x"),)}, "header 'X A': a name is printable ASCII"),
        ({"headers": (("X:A", "x"),)}, "header 'X:A': a name is printable ASCII"),
        ({"headers": (("", "x"),)}, "header '': a name is printable ASCII"),
        ({"headers": (("X" * 127, "x"),)}, "its name is longer than 126 characters"),
        ({"headers": (("Subject", "x"),)}, "header Subject: SES writes this one itself"),
        ({"headers": (("X-SES-MESSAGE-TAGS", "x"),)}, "SES writes this one itself"),
        ({"headers": (("X-A", ""),)}, "header X-A: a value is printable ASCII and not empty"),
        ({"headers": (("X-A", "a\r\nBcc: b@c.test"),)}, "header X-A: a value is printable ASCII"),
        ({"headers": (("X-A", "Zoë"),)}, "header X-A: a value is printable ASCII"),
        ({"headers": (("X-A", "x" * 996),)}, "header X-A: longer than 995 characters"),
        ({"headers": (("X-ABCDEF", "x" * 990),)}, "header X-ABCDEF: longer than 995 characters"),
    ],
)
def test_an_email_beyond_a_limit_is_refused_before_any_call(
    provider: SesProvider, email: OutgoingEmail, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        provider.prepare(replace(email, **changes))

    assert message in str(caught.value)


def test_an_email_at_its_limits_is_taken(build: Build, email: OutgoingEmail) -> None:
    full = replace(
        email,
        tags=tuple((f"t{n}", "x" * 256) for n in range(48)),
        headers=(("X" * 126, "x" * 870), *((f"X-{n}", "x" * 990) for n in range(12))),
        configuration_set="a" * 64,
    )

    document = build(entry(1), entry(2), email=full)

    assert len(document["DefaultContent"]["Template"]["Headers"]) == 13
    assert len(document["DefaultEmailTags"]) == 49


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"address": "a@b.test, c@d.test"}, "address: not a plain ASCII mailbox"),
        ({"address": "a@b.test\nBcc: c@d.test"}, "address: not a plain ASCII mailbox"),
        ({"address": "Ann <a@b.test>"}, "address: not a plain ASCII mailbox"),
        ({"address": "a@b@c.test"}, "address: not a plain ASCII mailbox"),
        ({"address": "a..b@c.test"}, "address: not a plain ASCII mailbox"),
        ({"address": "zoë@c.test"}, "address: not a plain ASCII mailbox"),
        ({"address": "a@"}, "address: not a plain ASCII mailbox"),
        ({"address": ""}, "address: not a plain ASCII mailbox"),
        ({"address": f"{'a' * 300}@{'b' * 30}.test"}, "address: not a plain ASCII mailbox"),
        ({"tag": ""}, "tag 'm': name and value are"),
        ({"tag": "a b"}, "tag 'm': name and value are"),
        ({"tag": "x" * 257}, "tag 'm': name and value are"),
        ({"headers": (("X-A", "a\r\nBcc: b@c.test"),)}, "header X-A: a value is printable ASCII"),
        ({"headers": (("X-A", "\x7f"),)}, "header X-A: a value is printable ASCII"),
        ({"headers": (("X-A", ""),)}, "header X-A: a value is printable ASCII"),
        ({"headers": (("X-A", "x" * 996),)}, "header X-A: longer than 995 characters"),
        ({"headers": (("To", "a@b.test"),)}, "header To: SES writes this one itself"),
        ({"headers": (("X-A", "x"), ("X-A", "y"))}, "header X-A: given twice"),
        ({"headers": tuple((f"X-{n}", "x") for n in range(15))}, "16 headers: SES takes 15 in one message"),
        ({"values": {"s0": "x" * 262_144}}, "SES takes 262144 per recipient"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("are_names_known", [False, True])
def test_an_entry_beyond_a_limit_is_named(
    provider: SesProvider,
    email: OutgoingEmail,
    changes: dict[str, Any],
    message: str,
    count: int,
    are_names_known: bool,
) -> None:
    prepared = provider.prepare(email)
    recipients = [*entries(count - 1), entry(count, **changes)]
    if are_names_known:
        learn_names(provider, prepared, recipients)

    with pytest.raises(PermanentError) as caught:
        provider.build(prepared, recipients, "c0ffee")

    assert str(caught.value).startswith(f"entry {count}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"address": '"odd, \\"one\\""@example.com'},
        {"address": "o'neil+tag@xn--bcher-kva.example"},
        {"address": f"{'a' * 64}@{'b' * 250}.test"},
        {"tag": "x" * 256},
        {"headers": (("X-A", "x" * 993),)},
        {"headers": tuple((f"X-{n}", 'quoted " and back\\slash, 100 %') for n in range(14))},
        {"headers": (("X-%s-{0}", "x"),)},
        {"values": {"s0": "x" * (262_144 - len('{"s0":""}'))}},
    ],
)
def test_an_entry_at_its_limits_is_taken(build: Build, changes: dict[str, Any]) -> None:
    odd = entry(2, **changes)

    bulk = build(entry(1), odd)["BulkEmailEntries"][1]
    single = build(odd)

    assert bulk["Destination"]["ToAddresses"] == single["Destination"]["ToAddresses"] == [odd.address]
    assert [(header["Name"], header["Value"]) for header in bulk["ReplacementHeaders"]] == list(odd.headers)
    assert bulk["ReplacementTags"] == [{"Name": "m", "Value": odd.tag}]
    assert json.loads(bulk["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]) == odd.values
    assert json.loads(single["Content"]["Template"]["TemplateData"]) == odd.values


def learn_names(provider: SesProvider, prepared: PreparedEmail, recipients: list[Entry]) -> None:
    """Build harmless calls with the same headers, after which strings are checked together."""
    for recipient in recipients:
        harmless = entry(1, headers=tuple((name, "x") for name, _ in recipient.headers))
        with suppress(PermanentError):
            provider.build(prepared, [harmless], "c0ffee")


def test_good_calls_look_at_header_names_once(
    provider: SesProvider, email: OutgoingEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[str, ...]] = []
    check = limits.HeaderSets.check

    def watched(self: limits.HeaderSets, names: tuple[str, ...]) -> None:
        looked.append(names)
        check(self, names)

    monkeypatch.setattr(limits.HeaderSets, "check", watched)
    prepared = provider.prepare(email)

    for _ in range(3):
        provider.build(prepared, entries(10), "c0ffee")

    assert looked == [("List-Unsubscribe", "List-Unsubscribe-Post")] * 10


@pytest.mark.parametrize("count", [0, 51])
def test_a_call_has_one_to_fifty_entries(provider: SesProvider, email: OutgoingEmail, count: int) -> None:
    with pytest.raises(PermanentError, match=f"{count} entries: SES takes 1 to 50 in a call"):
        provider.build(provider.prepare(email), entries(count), "c0ffee")


def test_a_call_id_must_be_a_tag(provider: SesProvider, email: OutgoingEmail) -> None:
    with pytest.raises(PermanentError, match="tag 'c': name and value are"):
        provider.build(provider.prepare(email), entries(2), 'x"')


def test_header_names_invented_per_message_are_not_remembered_without_bound(
    provider: SesProvider, email: OutgoingEmail
) -> None:
    prepared = provider.prepare(email)

    for number in range(150):
        provider.build(prepared, [entry(number, headers=((f"X-{number}", "x"),))], "c0ffee")

    assert len(prepared.header_sets._legal) == 100
