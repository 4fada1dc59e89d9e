"""The account, its suppression list, configuration sets and their event destinations."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from localses import limits
from localses.desk import Call
from localses.errors import ServiceError, already_exists, bad_request, not_found
from localses.model import Json
from localses.store import ACCOUNT_REASONS

_SET_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_DESTINATIONS = 10  # event destinations of one configuration set
VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."


def page(call: Call, items: list[Json], name: str) -> Json:
    """Return one page of a listing; the token is the position of the next one."""
    size = call.params.get("PageSize") or 1000
    token = call.params.get("NextToken") or "0"
    if not token.isdecimal():
        raise ServiceError("InvalidNextTokenException", "The specified request includes an invalid or expired token.")
    start = int(token)
    answer: Json = {name: items[start : start + size]}
    if start + size < len(items):
        answer["NextToken"] = str(start + size)
    return answer


def get_account(call: Call) -> Json:
    """Return quota, rate and state of the account."""
    desk, settings, faults = call.desk, call.desk.settings, call.desk.faults
    standing = settings.enforcement_status
    if faults.shows("account_suspended"):
        standing = "SHUTDOWN"
    elif standing == "HEALTHY" and call.turn.is_under_review():
        standing = "PROBATION"
    sent = float(limits.sent_last_24_hours(desk.store.db, desk.clock()))
    suppression = desk.store.resource("account", "suppression") or {"SuppressedReasons": ACCOUNT_REASONS}
    return {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": standing,
        "ProductionAccessEnabled": settings.production_access,
        "SendQuota": {
            "Max24HourSend": settings.max_24_hour,
            "MaxSendRate": settings.max_send_rate,
            "SentLast24Hours": max(sent, settings.max_24_hour) if faults.shows("daily_quota") else sent,
        },
        "SendingEnabled": settings.sending_enabled and standing != "SHUTDOWN" and not faults.shows("account_paused"),
        "SuppressionAttributes": suppression,
    }


def put_account_suppression_attributes(call: Call) -> Json:
    """Say for which reasons addresses are added to the suppression list and refused by it."""
    reasons = call.params.get("SuppressedReasons") or []
    call.desk.store.put_resource("account", "suppression", {"SuppressedReasons": reasons}, call.desk.clock())
    return {}


def put_suppressed_destination(call: Call) -> Json:
    """Put an address on the account's suppression list."""
    address = call.params["EmailAddress"]
    limits.check_addresses([address], "EmailAddress")
    call.desk.store.db.execute(
        "INSERT INTO suppression (address, reason, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT (address) DO UPDATE SET reason = excluded.reason, created_at = excluded.created_at",
        (address.lower(), call.params["Reason"], call.desk.clock()),
    )
    return {}


def get_suppressed_destination(call: Call) -> Json:
    """Return why and since when an address is suppressed."""
    address = call.params["EmailAddress"].lower()
    row = call.desk.store.db.execute("SELECT * FROM suppression WHERE address = ?", (address,)).fetchone()
    if row is None:
        raise not_found(f"Email address {address} does not exist on your suppression list.")
    found: Json = {"EmailAddress": row["address"], "Reason": row["reason"], "LastUpdateTime": row["created_at"]}
    if row["message_id"]:
        found["Attributes"] = {"MessageId": row["message_id"], "FeedbackId": row["feedback_id"]}
    return {"SuppressedDestination": found}


def delete_suppressed_destination(call: Call) -> Json:
    """Take an address off the suppression list."""
    address = call.params["EmailAddress"].lower()
    if call.desk.store.db.execute("DELETE FROM suppression WHERE address = ?", (address,)).rowcount == 0:
        raise not_found(f"Email address {address} does not exist on your suppression list.")
    return {}


def list_suppressed_destinations(call: Call) -> Json:
    """List suppressed addresses, by reason and time where asked."""
    reasons = call.params.get("Reasons") or ["BOUNCE", "COMPLAINT"]
    first = _moment(call.params.get("StartDate"), 0.0)
    last = _moment(call.params.get("EndDate"), float("inf"))
    rows = call.desk.store.db.execute("SELECT * FROM suppression ORDER BY created_at, address")
    items = [
        {"EmailAddress": row["address"], "Reason": row["reason"], "LastUpdateTime": row["created_at"]}
        for row in rows
        if row["reason"] in reasons and first <= row["created_at"] <= last
    ]
    return page(call, items, "SuppressedDestinationSummaries")


def _moment(value: object, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, int | float):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise bad_request(f"{value!r} is not a timestamp.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def create_configuration_set(call: Call) -> Json:
    """Create a configuration set with whatever options it is given."""
    name = call.params.get("ConfigurationSetName") or ""
    if not _SET_NAME.fullmatch(name):
        raise bad_request("A configuration set's name has 1 to 64 letters, digits, '_' or '-'.")
    if call.desk.store.resource("configuration_set", name) is not None:
        raise already_exists(f"Configuration set <{name}> already exists.")
    call.desk.store.put_resource("configuration_set", name, call.params, call.desk.clock())
    return {}


def _configuration_set(call: Call) -> tuple[str, Json]:
    name = call.params.get("ConfigurationSetName") or ""
    body = call.desk.store.resource("configuration_set", name)
    if body is None:
        raise not_found(f"Configuration set <{name}> does not exist.")
    return name, body


def get_configuration_set(call: Call) -> Json:
    """Return a configuration set as it was created."""
    return _configuration_set(call)[1]


def list_configuration_sets(call: Call) -> Json:
    """List the names of configuration sets."""
    names = [name for name, _, _ in call.desk.store.resources("configuration_set")]
    listing: list[Json] = [{"name": name} for name in names]
    answer = page(call, listing, "ConfigurationSets")
    answer["ConfigurationSets"] = [item["name"] for item in answer["ConfigurationSets"]]
    return answer


def delete_configuration_set(call: Call) -> Json:
    """Delete a configuration set and its event destinations."""
    name, _ = _configuration_set(call)
    for key, _, _ in call.desk.store.resources("event_destination", f"{name}/"):
        call.desk.store.delete_resource("event_destination", key)
    call.desk.store.delete_resource("configuration_set", name)
    return {}


def create_event_destination(call: Call) -> Json:
    """Add an event destination; an SNS topic hears at once that it was validated."""
    set_name, _ = _configuration_set(call)
    name = call.params.get("EventDestinationName") or ""
    if not _SET_NAME.fullmatch(name):
        raise bad_request("An event destination's name has 1 to 64 letters, digits, '_' or '-'.")
    key = f"{set_name}/{name}"
    if call.desk.store.resource("event_destination", key) is not None:
        raise already_exists(f"An event destination with the name {name} already exists.")
    if len(call.desk.store.resources("event_destination", f"{set_name}/")) >= _MAX_DESTINATIONS:
        raise ServiceError("LimitExceededException", f"A configuration set may have {_MAX_DESTINATIONS} destinations.")
    _store_destination(call, key, name)
    return {}


def update_event_destination(call: Call) -> Json:
    """Replace an event destination's definition."""
    set_name, _ = _configuration_set(call)
    key = f"{set_name}/{call.params['EventDestinationName']}"
    if call.desk.store.resource("event_destination", key) is None:
        raise not_found(f"An event destination with the name {call.params['EventDestinationName']} does not exist.")
    _store_destination(call, key, call.params["EventDestinationName"])
    return {}


def _store_destination(call: Call, key: str, name: str) -> None:
    definition = call.params.get("EventDestination") or {}
    kinds = [kind for kind in definition if kind.endswith("Destination")]
    if len(kinds) != 1:
        raise bad_request("An event destination has exactly one target.")
    if not definition.get("MatchingEventTypes"):
        raise bad_request("MatchingEventTypes must not be empty.")
    if kinds[0] == "SnsDestination":
        arn = definition["SnsDestination"]["TopicArn"]
        if call.desk.store.resource("topic", arn) is None:
            raise bad_request(f"Could not publish to SNS topic <{arn}>.")
        call.desk.announce(arn, VALIDATED)
    body = {"Enabled": True, **definition, "Name": name}
    call.desk.store.put_resource("event_destination", key, body, call.desk.clock())


def get_event_destinations(call: Call) -> Json:
    """Return the event destinations of a configuration set."""
    set_name, _ = _configuration_set(call)
    return {
        "EventDestinations": [body for _, body, _ in call.desk.store.resources("event_destination", f"{set_name}/")]
    }


def delete_event_destination(call: Call) -> Json:
    """Delete an event destination."""
    set_name, _ = _configuration_set(call)
    if not call.desk.store.delete_resource("event_destination", f"{set_name}/{call.params['EventDestinationName']}"):
        raise not_found(f"An event destination with the name {call.params['EventDestinationName']} does not exist.")
    return {}
