from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from localses.errors import EXCEPTIONS
from localses.fault_addresses import WHATS, fault_of
from localses.faults import ENTRY_FAILURES, KINDS, SENDS, Fault, FaultError, read_faults
from tests.localses.conftest import Door, entry
from tests.localses.running import Json, Running

OPERATIONS = SENDS | {"GetAccount"}


def read(*faults: Any, taken: tuple[str, ...] = ()) -> list[Fault]:
    return read_faults({"faults": list(faults)}, taken=taken, seed="seed", operations=OPERATIONS)


def model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("sesv2", "service-2"), "sesv2")


def test_every_status_of_a_bulk_entry_but_success_can_be_asked_for() -> None:
    documented = model().shape_for("BulkEmailStatus").metadata["enum"]

    assert set(ENTRY_FAILURES) == set(documented) - {"SUCCESS"}
    assert {code for _, code in ENTRY_FAILURES.values() if code} <= set(EXCEPTIONS)


@pytest.mark.parametrize("operation", sorted(SENDS))
def test_every_exception_of_sending_can_be_asked_for_with_its_own_status(operation: str) -> None:
    documented = {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for shape in model().operation_model(operation).error_shapes
    }

    assert documented == {name: EXCEPTIONS[name][0] for name in documented}


def test_what_is_left_out_has_its_documented_default() -> None:
    [fault] = read({"fault": "error", "when": "after"})

    assert fault.as_json() == {
        "name": "error-1",
        "fault": "error",
        "when": "after",
        "status": 500,
        "operations": ["SendBulkEmail", "SendEmail"],
        "to": "*",
        "share": 1,
        "seed": "seed",
        "times": None,
        "for_seconds": None,
        "matched": 0,
        "fired": 0,
        "active": True,
    }


def test_names_that_are_not_given_are_free_ones() -> None:
    faults = read(
        {"fault": "throttle"}, {"fault": "throttle", "name": "throttle-2"}, {"fault": "throttle"}, taken=("x",)
    )

    assert [fault.name for fault in faults] == ["throttle-1", "throttle-2", "throttle-3"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("throttle", "Fault 1: fault must be one of throttle, "),
        ({"fault": ["throttle"]}, "Fault 1: fault must be one of throttle, "),
        ({"fault": "throttle", "name": 7}, "Fault 1: name must be a text."),
        ({"fault": "unknown"}, "Fault 1: fault must be one of throttle, "),
        ({"fault": "throttle", "ms": 3}, "Fault 1: throttle has no member 'ms'. Known: name, "),
        ({"fault": "latency"}, "Fault 1: latency needs ms."),
        ({"fault": "latency", "ms": -1}, "Fault 1: ms must be a number from 0."),
        ({"fault": "latency", "ms": True}, "Fault 1: ms must be a number from 0."),
        ({"fault": "throttle", "share": 1.1}, "Fault 1: share must be a number from 0 to 1."),
        ({"fault": "throttle", "times": 0}, "Fault 1: times must be a whole number from 1 to "),
        ({"fault": "throttle", "times": 1.5}, "Fault 1: times must be a whole number from 1 to "),
        ({"fault": "throttle", "name": ""}, "Fault 1: name must be a text."),
        ({"fault": "throttle", "name": "taken"}, "Fault 1: there is another one called 'taken'."),
        ({"fault": "throttle", "operations": []}, "Fault 1: operations must be a list of GetAccount, "),
        ({"fault": "throttle", "operations": ["Send"]}, "Fault 1: operations must be a list of GetAccount, "),
        ({"fault": "missing_events", "operations": ["GetAccount"]}, "must be a list of SendBulkEmail, SendEmail."),
        ({"fault": "account_under_review", "operations": ["SendEmail"]}, "must be a list of GetAccount."),
        ({"fault": "missing_events", "events": ["OPEN"]}, "Fault 1: events must be a list of BOUNCE, "),
        ({"fault": "exception", "code": "Unknown"}, "Fault 1: code must be one of AccountSuspendedException, "),
        ({"fault": "entry_failure", "status": "SUCCESS"}, "Fault 1: status must be one of MESSAGE_REJECTED, "),
        ({"fault": "error", "when": "before", "status": 501}, "Fault 1: status must be one of 500, 502, 503, 504."),
        ({"fault": "error", "when": "answering"}, "Fault 1: when must be one of before, after."),
        ({"fault": "duplicate_events", "same_id": 1}, "Fault 1: same_id must be one of True, False."),
    ],
)
def test_a_wrong_description_is_refused_with_its_place(fault: Any, message: str) -> None:
    with pytest.raises(FaultError) as caught:
        read(fault, taken=("taken",))

    assert message in str(caught.value)


@pytest.mark.parametrize("body", [[], {}, {"faults": {}}, {"faults": [], "more": 1}])
def test_faults_come_as_a_list_in_an_object(body: object) -> None:
    with pytest.raises(FaultError, match="Faults are given as"):
        read_faults(body, taken=(), seed="seed", operations=OPERATIONS)


def test_two_faults_of_one_name_are_refused() -> None:
    with pytest.raises(FaultError, match="Fault 2: there is another one called 'twice'"):
        read({"fault": "throttle", "name": "twice"}, {"fault": "cut", "when": "after", "name": "twice"})


def test_a_share_is_kept_and_the_same_seed_hits_the_same_positions() -> None:
    def hits(seed: str) -> list[bool]:
        [fault] = read({"fault": "throttle", "share": 0.2, "seed": seed})
        return [fault.fires() for _ in range(4000)]

    assert hits("7") == hits("7") != hits("8")
    assert sum(hits("7")) / 4000 == pytest.approx(0.2, abs=0.02)


def test_a_fault_ends_after_its_times() -> None:
    [fault] = read({"fault": "throttle", "times": 2})

    assert [fault.fires() for _ in range(4)] == [True, True, False, False]
    assert (fault.matched, fault.fired, fault.is_active) == (2, 2, False)


def test_a_fault_ends_after_its_seconds() -> None:
    [fault] = read({"fault": "throttle", "for_seconds": 0.1})

    fired = [fault.fires()]
    time.sleep(0.11)
    fired.append(fault.fires())

    assert fired == [True, False]
    assert (fault.matched, fault.fired, fault.is_active) == (1, 1, False)


@pytest.mark.parametrize(
    ("pattern", "concerned"),
    [
        ("*", True),
        ("ANA@example.org", True),
        ("*@example.org", True),
        ("a?a@*", True),
        ("*.org.*", False),
        ("a@*", False),
    ],
)
def test_patterns_of_recipients(pattern: str, concerned: bool) -> None:
    [fault] = read({"fault": "throttle", "to": pattern})

    assert fault.concerns(["ben@example.com", "ana@Example.org"]) is concerned


@pytest.mark.parametrize("what", WHATS)
def test_every_word_in_an_address_is_a_whole_fault(what: str) -> None:
    fault = fault_of(f"Ana+Fault-{what}@example.org")

    assert fault is not None
    assert fault.name == f"address:{what}"
    assert set(fault.own) == set(KINDS[fault.kind])
    for name, member in KINDS[fault.kind].items():
        if fault.own[name] is not None:
            member.check(list(fault.own[name]) if name == "events" else fault.own[name])


@pytest.mark.parametrize("address", ["ana@example.org", "ana+fault-unknown@example.org", "ana@x+fault-throttle.org"])
def test_other_addresses_are_ordinary(address: str) -> None:
    assert fault_of(address) is None


def test_a_number_in_an_address_says_how_often(door: Door) -> None:
    entries = [entry("ben@example.org"), entry("ana+fault-throttle.2@example.org")]

    answers = [door.bulk(entries)[0] for _ in range(3)]

    assert answers == [429, 429, 200]
    assert door.desk.faults.listing()["addresses"] == [
        {"address": "ana+fault-throttle.2@example.org", "name": "address:throttle", "fired": 2}
    ]


def test_a_single_entry_meets_the_failure_of_its_address(door: Door) -> None:
    entries = [entry("a@example.org"), entry("b+fault-entry-failed@example.org"), entry("c@example.org")]

    _, answer = door.bulk(entries)

    results = answer["BulkEmailEntryResults"]
    assert [result["Status"] for result in results] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert results[1]["Error"] == "The message could not be accepted."
    assert door.rows("SELECT recipient FROM message") == [("a@example.org",), ("c@example.org",)]


def test_an_entry_failure_says_what_it_was_told_to(door: Door) -> None:
    door.desk.faults.replace({"faults": [{"fault": "entry_failure", "status": "MESSAGE_REJECTED", "error": "Spam."}]})

    assert door.bulk([entry("a@example.org")])[1]["BulkEmailEntryResults"] == [
        {"Status": "MESSAGE_REJECTED", "Error": "Spam."}
    ]
    assert door.send() == (400, {"__type": "MessageRejected", "message": "Spam."})


def test_faults_are_tried_in_order_and_a_refused_call_meets_no_other(door: Door) -> None:
    door.desk.faults.replace(
        {
            "faults": [
                {"fault": "entry_failure", "status": "FAILED"},
                {"fault": "exception", "code": "NotFoundException", "message": "Nothing here.", "times": 1},
                {"fault": "throttle", "to": "*@elsewhere.example"},
                {"fault": "throttle", "name": "last"},
                {"fault": "error", "when": "after"},
            ]
        }
    )

    answers = [door.bulk([entry("a@example.org")]) for _ in range(2)]

    assert answers[0] == (404, {"__type": "NotFoundException", "message": "Nothing here."})
    assert answers[1][0] == 429
    counts = {fault["name"]: (fault["matched"], fault["fired"]) for fault in door.desk.faults.listing()["faults"]}
    assert counts == {
        "entry_failure-1": (0, 0),
        "exception-1": (1, 1),
        "throttle-1": (0, 0),
        "last": (1, 1),
        "error-1": (0, 0),
    }


def test_what_comes_after_accepting_does_not_fire_when_nothing_was_accepted(door: Door) -> None:
    door.desk.faults.replace({"faults": [{"fault": "error", "when": "after"}]})

    status, _ = door.bulk([entry("no address")])

    assert status == 200
    assert door.desk.faults.listing()["faults"][0]["matched"] == 0


def call(running: Running, method: str, body: object = None, query: str = "") -> httpx.Response:
    return httpx.request(method, f"{running.url}/_localses/faults{query}", json=body)


def test_faults_are_set_added_listed_and_cleared(running: Running) -> None:
    running.faults({"fault": "throttle", "times": 1}, {"fault": "cut", "when": "after", "name": "wire", "share": 0})
    added = call(running, "POST", {"faults": [{"fault": "throttle"}]}).json()

    one = call(running, "DELETE", query="?name=wire").json()
    left = running.fired()
    rest = call(running, "DELETE").json()

    assert [fault["name"] for fault in added["faults"]] == ["throttle-1", "wire", "throttle-2"]
    assert [fault["name"] for fault in one["faults"]] == ["wire"]
    assert left == {"throttle-1": 0, "throttle-2": 0}
    assert [fault["name"] for fault in rest["faults"]] == ["throttle-1", "throttle-2"]
    assert running.get("/_localses/faults").json() == {"faults": [], "addresses": []}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_list_with_something_wrong_changes_nothing(running: Running, method: str) -> None:
    running.faults({"fault": "throttle"})

    answer = call(running, method, {"faults": [{"fault": "cut", "when": "after"}, {"fault": "cut"}]})

    assert (answer.status_code, answer.json()) == (400, {"error": "Fault 2: cut needs when."})
    assert list(running.fired()) == ["throttle-1"]


def test_only_json_and_known_names_are_taken(running: Running) -> None:
    form = httpx.put(
        f"{running.url}/_localses/faults", content=b'{"faults": []}', headers={"content-type": "text/plain"}
    )
    broken = httpx.put(
        f"{running.url}/_localses/faults", content=b"{", headers={"content-type": "application/json; charset=utf-8"}
    )
    unknown = call(running, "DELETE", query="?name=none")

    assert (form.status_code, broken.status_code, unknown.status_code) == (415, 400, 400)
    assert unknown.json() == {"error": "There is no fault called 'none'."}


def test_any_operation_can_be_disturbed(running: Running) -> None:
    client = running.client("sesv2")
    running.faults({"fault": "throttle", "operations": ["ListConfigurationSets"]})

    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.list_configuration_sets()
    client.get_account()

    assert running.fired() == {"throttle-1": 1}


def wanted(**members: Any) -> Json:
    return {"fault": "entry_failure", "status": "FAILED", **members}


def test_the_settings_of_the_same_purpose_and_faults_live_side_by_side(door: Door) -> None:
    door.desk.settings.change({"entry_failure_rate": 1})
    door.desk.faults.replace({"faults": [wanted(to="a@example.org")]})

    _, answer = door.bulk([entry("a@example.org"), entry("b@example.org")])

    assert [result["Status"] for result in answer["BulkEmailEntryResults"]] == ["FAILED", "TRANSIENT_FAILURE"]


def test_jitter_spreads_a_wait_evenly_and_repeats_with_its_seed() -> None:
    def waits(seed: str) -> list[float]:
        [fault] = read({"fault": "latency", "ms": 100, "jitter_ms": 400, "seed": seed})
        return [fault.seconds() for _ in range(2000)]

    assert waits("7") == waits("7") != waits("8")
    assert all(0.1 <= wait < 0.5 for wait in waits("7"))
    assert sum(waits("7")) / 2000 == pytest.approx(0.3, abs=0.02)
