from __future__ import annotations

import base64
import json
import time

import pytest

from localses import mime, records
from tests.localses.conftest import TEMPLATE, Clock, Door, bulk, entry, stored
from tests.localses.running import Json

BULK = "/v2/email/outbound-bulk-emails"


def statuses(answer: Json) -> list[str]:
    return [result["Status"] for result in answer["BulkEmailEntryResults"]]


def test_a_bulk_call_is_answered_per_entry_in_order_and_recorded(door: Door) -> None:
    status, answer = door.bulk(
        [
            entry("ana@example.org", {"name": "Ana"}, ReplacementTags=[{"Name": "m", "Value": "m1"}]),
            entry("not an address"),
            entry("Ben <ben@example.org>", {"name": "Ben"}),
        ],
        DefaultEmailTags=[{"Name": "m", "Value": "none"}, {"Name": "campaign", "Value": "7"}],
    )

    assert status == 200
    first, second, third = answer["BulkEmailEntryResults"]
    assert first["Status"] == third["Status"] == "SUCCESS"
    assert second == {
        "Status": "INVALID_PARAMETER",
        "Error": "Missing final '@domain': 'not an address'.",
    }
    assert len({first["MessageId"], third["MessageId"]}) == 2
    page = records.messages_after(door.desk.store.db, 0, 10)
    assert page == {
        "messages": [
            {
                "id": 1,
                "message_id": first["MessageId"],
                "to": "ana@example.org",
                "tags": {"m": "m1", "campaign": "7"},
                "accepted_at": door.clock.now,
                "subject": "Hello Ana",
                "configuration_set": None,
                "outcome": "delivered",
                "reader": "",
                "answered": True,
                "faults": [],
            },
            {
                "id": 2,
                "message_id": third["MessageId"],
                "to": "Ben <ben@example.org>",
                "tags": {"m": "none", "campaign": "7"},
                "accepted_at": door.clock.now,
                "subject": "Hello Ben",
                "configuration_set": None,
                "outcome": "delivered",
                "reader": "",
                "answered": True,
                "faults": [],
            },
        ],
        "next": None,
    }


def test_fifty_destinations_are_accepted_and_fifty_one_refused(door: Door) -> None:
    assert door.bulk([entry(f"p{n}@example.org") for n in range(50)])[0] == 200

    status, answer = door.bulk([entry(f"p{n}@example.org") for n in range(51)])

    assert (status, answer["__type"]) == (400, "BadRequestException")
    assert answer["message"] == "A bulk call takes 1 to 50 destinations, not 51."
    assert door.rows("SELECT count(*) FROM message") == [(50,)]


def test_an_entry_has_fifty_recipients_at_most(door: Door) -> None:
    crowd = {"Destination": {"ToAddresses": [f"p{n}@example.org" for n in range(51)]}}

    assert statuses(door.bulk([{**entry("a@example.org"), **crowd}])[1]) == ["INVALID_PARAMETER"]


def test_the_constant_content_of_calls_is_stored_once(door: Door) -> None:
    for number in range(3):
        door.bulk([entry(f"p{number}@example.org")])

    assert door.rows("SELECT count(*) FROM content") == [(1,)]
    assert door.rows("SELECT count(*) FROM submission") == [(3,)]


def test_an_email_is_rendered_from_template_and_data_without_escaping(door: Door) -> None:
    door.bulk([entry("ana@example.org", {"name": "<b>Ana</b> {{x}}"})])

    rendered = mime.render(stored(door))

    assert rendered.subject == "Hello <b>Ana</b> {{x}}"
    assert rendered.html == "<p>Dear <b>Ana</b> {{x}}</p>"
    assert rendered.text == "Dear <b>Ana</b> {{x}}"


def test_headers_of_an_entry_replace_those_of_the_template(door: Door) -> None:
    template = {
        "TemplateContent": TEMPLATE,
        "Headers": [{"Name": "List-Id", "Value": "<all>"}, {"Name": "X-Kept", "Value": "yes"}],
    }
    own = [{"Name": "list-id", "Value": "<own>"}, {"Name": "X-New", "Value": "1"}]

    door.bulk([entry("ana@example.org", ReplacementHeaders=own)], template=template)

    assert mime.merged_headers(stored(door)) == [("list-id", "<own>"), ("X-Kept", "yes"), ("X-New", "1")]


def test_a_missing_variable_is_accepted_and_then_fails_to_render(door: Door) -> None:
    status, answer = door.bulk([entry("ana@example.org", {"Name": "Ana"})])

    assert (status, statuses(answer)) == (200, ["SUCCESS"])
    assert door.rows("SELECT outcome FROM message") == [("rendering_failed",)]
    assert door.rows("SELECT kind, detail FROM event") == [("RENDERING_FAILURE", "name")]


def test_default_data_counts_only_for_an_entry_without_data(door: Door) -> None:
    template = {"TemplateContent": TEMPLATE, "TemplateData": json.dumps({"name": "friend"})}

    door.bulk([entry("a@example.org", {}), entry("b@example.org", {"other": "x"})], template=template)

    assert door.rows("SELECT subject, outcome FROM message") == [
        ("Hello friend", "delivered"),
        ("", "rendering_failed"),
    ]


@pytest.mark.parametrize("data", ["[]", "not json", '"text"'])
def test_data_that_is_no_object_fails_its_entry_alone(door: Door, data: str) -> None:
    _, answer = door.bulk([entry("a@example.org", data), entry("b@example.org")])

    assert statuses(answer) == ["INVALID_PARAMETER", "SUCCESS"]


def test_data_has_262144_characters_at_most(door: Door) -> None:
    fits = json.dumps({"name": "x" * (262144 - 12)})
    assert len(fits) == 262144

    assert door.bulk([entry("a@example.org", fits)])[0] == 200
    status, answer = door.bulk([entry("a@example.org", fits + " ")])
    assert status == 400
    assert "less than or equal to 262144" in answer["message"]


def test_a_request_with_an_inline_template_has_a_megabyte_at_most(door: Door) -> None:
    big = {"TemplateContent": {**TEMPLATE, "Html": "x" * 1024 * 1024}}

    status, answer = door.bulk([entry("a@example.org")], template=big)

    assert (status, answer["message"]) == (400, "A request with an inline template may have 1 MB.")


@pytest.mark.parametrize("broken", ["a{{{name}}", "a{{name}}}", "{{#if name}}x{{/if}}", "{{name"])
def test_a_template_that_does_not_parse_is_refused(door: Door, broken: str) -> None:
    status, answer = door.bulk([entry("a@example.org")], template={"TemplateContent": {**TEMPLATE, "Html": broken}})

    assert (status, answer["__type"]) == (400, "BadRequestException")
    assert "could not be parsed: Parse error on line 1" in answer["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DefaultContent": {}}, "DefaultContent.Template is required."),
        ({"BulkEmailEntries": []}, "A bulk call takes 1 to 50 destinations, not 0."),
        ({"FromEmailAddress": ""}, "FromEmailAddress is required."),
        ({"FromEmailAddress": "Ünïcode <a@example.com>"}, "FromEmailAddress: Address contains characters outside"),
        ({"ReplyToAddresses": ["nobody"]}, "ReplyToAddresses: Missing final '@domain'"),
        ({"DefaultContent": {"Template": {"TemplateContent": {"Html": "x"}}}}, "A template needs a subject"),
        (
            {"DefaultContent": {"Template": {"TemplateContent": TEMPLATE, "TemplateData": "[]"}}},
            "TemplateData is not a JSON object.",
        ),
        ({"Misspelled": 1}, "Unknown member 'Misspelled'"),
        ({"BulkEmailEntries": [{"ReplacementTags": []}]}, "Member must not be null"),
        ({"BulkEmailEntries": [{"Destination": {"ToAddresses": "a@b"}}]}, "Member must be a list"),
    ],
)
def test_calls_that_break_the_model_or_a_limit_are_refused(door: Door, change: Json, message: str) -> None:
    status, answer = door.call("POST", BULK, {**bulk([entry("a@example.org")]), **change})

    assert (status, answer["__type"]) == (400, "BadRequestException")
    assert message in answer["message"]


def test_the_place_of_a_violation_is_named_as_aws_does(door: Door) -> None:
    wrong = entry("b@example.org", ReplacementHeaders=[{"Name": "ok", "Value": "é"}])

    _, answer = door.bulk([entry("a@example.org"), wrong])

    assert answer["message"] == (
        "1 validation error detected: Value at 'bulkEmailEntries.2.member.replacementHeaders.1.member.value' failed to "
        "satisfy constraint: Member must satisfy regular expression pattern: [ -~]*"
    )


@pytest.mark.parametrize("body", [b"{", b"[1]"])
def test_a_body_that_is_no_json_object_is_refused(door: Door, body: bytes) -> None:
    from localses.errors import ServiceError
    from localses.model import ServiceModelSes, parse

    operation, labels = ServiceModelSes(frozenset({"SendBulkEmail"})).route("POST", BULK)

    with pytest.raises(ServiceError) as caught:
        parse(operation, labels, "", body)
    assert caught.value.code == "SerializationException"


def test_an_unverified_sender_fails_every_entry(door: Door) -> None:
    _, answer = door.bulk([entry("a@example.org")] * 2, FromEmailAddress="x@other.example")

    assert statuses(answer) == ["MAIL_FROM_DOMAIN_NOT_VERIFIED"] * 2


@pytest.mark.parametrize(
    "sender", ["x@example.com", "X <x@EXAMPLE.com>", "x@mail.example.com"], ids=["domain", "name", "subdomain"]
)
def test_a_domain_identity_covers_its_addresses(door: Door, sender: str) -> None:
    assert statuses(door.bulk([entry("a@example.org")], FromEmailAddress=sender)[1]) == ["SUCCESS"]


def test_a_missing_configuration_set_or_template_fails_every_entry(door: Door) -> None:
    _, without_set = door.bulk([entry("a@example.org")], ConfigurationSetName="nope")
    _, without_template = door.bulk([entry("a@example.org")], template={"TemplateName": "nope"})

    assert statuses(without_set) == ["CONFIGURATION_SET_NOT_FOUND"]
    assert statuses(without_template) == ["TEMPLATE_NOT_FOUND"]


def test_a_paused_configuration_set_accepts_nothing(door: Door) -> None:
    body = {"ConfigurationSetName": "paused", "SendingOptions": {"SendingEnabled": False}}
    assert door.call("POST", "/v2/email/configuration-sets", body)[0] == 200

    _, several = door.bulk([entry("a@example.org")], ConfigurationSetName="paused")
    _, one = door.send(ConfigurationSetName="paused")

    assert statuses(several) == ["CONFIGURATION_SET_SENDING_PAUSED"]
    assert one["__type"] == "SendingPausedException"


@pytest.mark.parametrize(
    ("setting", "status", "code"),
    [
        ({"sending_enabled": False}, 400, "SendingPausedException"),
        ({"enforcement_status": "SHUTDOWN"}, 400, "AccountSuspendedException"),
        ({"throttle_rate": 1}, 429, "TooManyRequestsException"),
        ({"error_rate": 1}, 500, "InternalServiceErrorException"),
    ],
)
def test_faults_on_demand_accept_nothing(door: Door, setting: Json, status: int, code: str) -> None:
    door.desk.settings.change(setting)

    for answer in (door.bulk([entry("a@example.org")]), door.send()):
        assert (answer[0], answer[1]["__type"]) == (status, code)
    assert door.rows("SELECT count(*) FROM message") == [(0,)]


def test_a_lost_answer_is_an_error_for_the_client_although_the_mail_is_accepted(door: Door) -> None:
    door.desk.settings.change({"lost_answer_rate": 1})

    assert door.bulk([entry("a@example.org"), entry("b@example.org")])[0] == 500
    assert door.send()[0] == 500

    assert door.rows("SELECT count(*) FROM message") == [(3,)]


def test_entries_can_fail_for_a_while(door: Door) -> None:
    door.desk.settings.change({"entry_failure_rate": 1})

    assert statuses(door.bulk([entry("a@example.org")])[1]) == ["TRANSIENT_FAILURE"]


def test_entries_beyond_the_rate_of_a_second_are_throttled(door: Door, clock: Clock) -> None:
    door.desk.settings.change({"max_send_rate": 14})

    _, answer = door.bulk([entry(f"p{n}@example.org") for n in range(20)])
    refused, error = door.send()

    assert statuses(answer) == ["SUCCESS"] * 14 + ["ACCOUNT_THROTTLED"] * 6
    assert (refused, error["__type"]) == (429, "TooManyRequestsException")
    assert error["message"] == "Maximum sending rate exceeded."


def test_the_daily_quota_counts_recipients_of_a_rolling_day(door: Door, clock: Clock) -> None:
    door.desk.settings.change({"max_24_hour": 3})

    _, first = door.bulk([entry(f"p{n}@example.org") for n in range(5)])
    status, second = door.bulk([entry("late@example.org")])
    single_status, single = door.send()
    account = door.call("GET", "/v2/email/account")[1]
    clock.now += 24 * 3600 + 60
    _, third = door.bulk([entry("late@example.org")])

    assert statuses(first) == ["SUCCESS"] * 3 + ["ACCOUNT_DAILY_QUOTA_EXCEEDED"] * 2
    assert (status, second["__type"], second["message"]) == (
        400,
        "LimitExceededException",
        "Daily message quota exceeded.",
    )
    assert (single_status, single["__type"]) == (400, "LimitExceededException")
    assert account["SendQuota"] == {"Max24HourSend": 3.0, "MaxSendRate": 500.0, "SentLast24Hours": 3.0}
    assert statuses(third) == ["SUCCESS"]


def test_mail_to_the_simulator_does_not_count_against_the_day(door: Door) -> None:
    door.desk.settings.change({"max_24_hour": 1})

    _, answer = door.bulk([entry("success+1@simulator.amazonses.com"), entry("ana@example.org")])

    assert statuses(answer) == ["SUCCESS", "SUCCESS"]


def test_an_unlimited_quota_is_written_as_minus_one(door: Door) -> None:
    door.desk.settings.change({"max_24_hour": -1})

    assert statuses(door.bulk([entry("a@example.org")])[1]) == ["SUCCESS"]
    assert door.call("GET", "/v2/email/account")[1]["SendQuota"]["Max24HourSend"] == -1.0


def test_the_antivirus_test_string_is_rejected_after_acceptance(door: Door) -> None:
    virus = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    content = {
        "Simple": {
            "Subject": {"Data": "x"},
            "Body": {"Text": {"Data": "x"}},
            "Attachments": [{"FileName": "a.txt", "RawContent": base64.b64encode(virus).decode()}],
        }
    }

    assert door.send(Content=content)[0] == 200
    assert door.rows("SELECT kind, detail FROM event") == [("REJECT", "Bad content")]


def test_accepting_fifty_emails_costs_little(door: Door) -> None:
    """Measured 40 µs of CPU per email; ten times that would still be 2,500 a second."""
    door.desk.settings.change({"max_send_rate": 1_000_000})
    entries = [entry(f"p{number}@example.org", {"name": "x" * 500}) for number in range(50)]
    door.clock.now += 1
    door.bulk(entries)

    begun = time.process_time()
    answers = [door.bulk(entries) for _ in range(10)]
    spent = time.process_time() - begun

    assert {status for answer in answers for status in statuses(answer[1])} == {"SUCCESS"}
    assert spent / 500 < 0.0004


def test_duplicates_are_counted_by_tag_and_recipient(door: Door) -> None:
    same = entry("ana@example.org", ReplacementTags=[{"Name": "m", "Value": "m1"}])
    door.bulk([same, entry("ben@example.org", ReplacementTags=[{"Name": "m", "Value": "m2"}])])
    door.bulk([same])

    found = records.stats(door.desk.store.db)

    assert (found["accepted"], found["duplicates"]) == (3, 1)
    assert found["duplicate_examples"] == [{"m": "m1", "to": "ana@example.org", "times": 2}]


def test_a_suppressed_address_is_accepted_and_bounces(door: Door) -> None:
    door.call("PUT", "/v2/email/suppression/addresses", {"EmailAddress": "Ana@example.org", "Reason": "COMPLAINT"})

    door.bulk([entry("ANA@example.org"), entry("ben@example.org")])

    assert door.rows("SELECT recipient, outcome FROM message") == [
        ("ANA@example.org", "suppressed"),
        ("ben@example.org", "delivered"),
    ]
    assert door.rows("SELECT detail FROM event WHERE kind = 'BOUNCE'") == [("Permanent/OnAccountSuppressionList",)]


def test_suppression_follows_the_reasons_of_account_and_configuration_set(door: Door) -> None:
    door.call("PUT", "/v2/email/suppression/addresses", {"EmailAddress": "ana@example.org", "Reason": "BOUNCE"})
    options = {"ConfigurationSetName": "none", "SuppressionOptions": {"SuppressedReasons": []}}
    door.call("POST", "/v2/email/configuration-sets", options)

    door.bulk([entry("ana@example.org")], ConfigurationSetName="none")
    door.call("PUT", "/v2/email/account/suppression", {"SuppressedReasons": ["COMPLAINT"]})
    door.bulk([entry("ana@example.org")])
    door.call("PUT", "/v2/email/account/suppression", {"SuppressedReasons": ["BOUNCE"]})
    door.bulk([entry("ana@example.org")])

    assert door.rows("SELECT outcome FROM message") == [("delivered",), ("delivered",), ("suppressed",)]
