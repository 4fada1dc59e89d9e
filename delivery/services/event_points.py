"""How what happens to mail comes back: configuration set, event destinations, and topic, queue or stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from amazonsender.core.loopback import is_loopback
from delivery.models import SendingAccount
from delivery.providers.base import PermanentError
from delivery.providers.ses.names import service_of
from delivery.providers.ses.sqs import parse_queue_url
from delivery.services.accounts import EVENT_TYPES, EVENTS_PATH
from delivery.services.points import NOTE, OK, STOP, Point
from delivery.services.standing_points import unanswered

Json = Mapping[str, Any]

NEEDED: Final = frozenset({"BOUNCE", "COMPLAINT"})
TWICE: Final = ("OPEN", "CLICK")
TYPE_NAMES: Final = {
    "SEND": gettext_lazy("sent emails"),
    "REJECT": gettext_lazy("refusals"),
    "BOUNCE": gettext_lazy("bounces"),
    "COMPLAINT": gettext_lazy("complaints"),
    "DELIVERY": gettext_lazy("deliveries"),
    "RENDERING_FAILURE": gettext_lazy("templates that failed"),
    "DELIVERY_DELAY": gettext_lazy("delays"),
}


def events_endpoint() -> str:
    """Where SNS posts to."""
    return f"{settings.PUBLIC_URL}{EVENTS_PATH}"


def queue_arns() -> list[str]:
    """The queues that `poll_events` reads; an address that is none of a queue is the system checks' to tell."""
    found = []
    for url in settings.EVENT_QUEUE_URLS:
        try:
            found.append(parse_queue_url(url).arn)
        except PermanentError:
            continue
    return found


def event_points(account: SendingAccount) -> Iterator[Point]:
    """All that events need. Before somebody looked at Amazon, what is known from the settings alone."""
    why = _("Without them bounces and complaints are never learned, and the brake is blind.")
    if not account.configuration_set or not account.topic_arns:
        about = _("Events")
        if account.is_local:
            yield Point(STOP, _("Events do not come back"), why, _("Set up Local SES again."), "local", about=about)
            return
        step = _(
            "Have it set up for you; or create a configuration set at Amazon that reports to an SNS topic, a queue or a "
            "Firehose stream, and enter its name and the ARN."
        )
        yield Point(STOP, _("Events do not come back"), why, step, "set_up", about=about)
        return
    yield from _configuration_set(account)
    yield from _destinations(account)
    yield from _ways(account, why)


def _configuration_set(account: SendingAccount) -> Iterator[Point]:
    asked = account.inspection.get("set")
    if asked is None:
        return
    about = _("Configuration set")
    why = _("Every email names it; Amazon refuses mail that names one that isn’t there.")
    name = {"name": account.configuration_set}
    if point := unanswered(asked, about=about, why=why):
        yield point
    elif asked["state"] == "missing":
        step = _("Have it set up for you, or correct its name.")
        yield Point(STOP, _("Amazon has no “%(name)s”") % name, why, step, "set_up", about=about)
    elif not asked["sending_enabled"]:
        step = _("In the Amazon SES console: Configuration sets, “%(name)s”, enable sending.") % name
        yield Point(STOP, _("“%(name)s” sends nothing: it is switched off") % name, why, step, about=about)
    else:
        yield Point(OK, _("“%(name)s” is there") % name, why, about=about)


def _destinations(account: SendingAccount) -> Iterator[Point]:
    asked = account.inspection.get("destinations")
    if asked is None or asked["state"] == "missing":  # then the set is missing, which is said already
        return
    about = _("Event destination")
    why = _("It says which events Amazon reports, and to whom.")
    if point := unanswered(asked, about=about, why=why):
        yield point
        return
    rows = [row for row in asked["rows"] if _is_heard(row, account)]
    types = {kind for row in rows if row["enabled"] for kind in row["types"]}
    missing = [kind for kind in EVENT_TYPES if kind not in types]
    step = _("Have it set up for you.")
    if not rows:
        yield Point(STOP, _("Amazon reports nowhere that we listen"), why, step, "set_up", about=about)
    elif not types:
        yield Point(STOP, _("Reporting is switched off"), why, step, "set_up", about=about)
    elif missing:
        names = ", ".join(str(TYPE_NAMES[kind]) for kind in missing)
        tone = STOP if NEEDED & set(missing) else NOTE
        yield Point(tone, _("Not reported: %(names)s") % {"names": names}, why, step, "set_up", about=about)
    elif types & set(TWICE):
        step = _("Take opens and clicks out of it: we count both, and Amazon would rewrite your links once more.")
        yield Point(NOTE, _("Amazon counts opens and clicks, too"), why, step, about=about)
    else:
        said = ngettext("%(n)s kind of event is reported", "%(n)s kinds of events are reported", len(types))
        yield Point(OK, said % {"n": len(types)}, why, about=about)


def _is_heard(row: Json, account: SendingAccount) -> bool:
    """Whether a destination leads to something that the account listens to. EventBridge fills queues by its own rules."""
    if row["kind"] == "eventbridge":
        return any(service_of(arn) == "sqs" for arn in account.topic_arns)
    return row["kind"] in ("sns", "firehose") and row["target"] in account.topic_arns


def _ways(account: SendingAccount, why: str) -> Iterator[Point]:
    """The one that works, or what is wrong with the first; and what is to be said of topics beside that."""
    points = [_way(account, arn, why) for arn in account.topic_arns]
    working = [point for point in points if point.tone == OK]
    yield (working or points)[0]
    for topic in account.inspection.get("topics", ()):
        yield from _topic(topic)


def _way(account: SendingAccount, arn: str, why: str) -> Point:
    service = service_of(arn)
    if service == "firehose":
        about = _("Firehose")
        if settings.FIREHOSE_ACCESS_KEYS:
            return Point(OK, _("Events come by Firehose"), why, about=about)
        step = _("Set FIREHOSE_ACCESS_KEYS on the server, and give the stream the same key.")
        return Point(STOP, _("Firehose is not let in"), why, step, about=about)
    if service == "sqs":
        about = _("Queue")
        if arn in queue_arns():
            return Point(OK, _("Events come by the queue"), why, about=about)
        step = _("Set EVENT_QUEUE_URLS on the server to the queue’s address, and run “manage.py poll_events”.")
        return Point(STOP, _("Nobody reads the queue"), why, step, about=about)
    topic = next((one for one in account.inspection.get("topics", ()) if one["arn"] == arn), None)
    if topic is None:
        return _unseen_topic(account, why)
    return _subscription(account, topic["subscriptions"], why)


def _unseen_topic(account: SendingAccount, why: str) -> Point:
    about = _("SNS subscription")
    if not account.is_local and is_loopback(settings.PUBLIC_URL) and not queue_arns():
        return _unreachable(why)
    return Point(OK, _("Events have a way back"), why, about=about)


def _unreachable(why: str) -> Point:
    step = _(
        "Set PUBLIC_URL to the address under which Amazon and your readers reach this server, and restart it; or read "
        "events from a queue."
    )
    return Point(STOP, _("Amazon can’t reach this server"), why, step, about=_("SNS subscription"))


def _subscription(account: SendingAccount, asked: Json, why: str) -> Point:
    about = _("SNS subscription")
    if point := unanswered(asked, about=about, why=why):
        return point
    if asked["state"] == "missing":
        step = _("Have it set up for you, or correct the topic’s ARN.")
        return Point(STOP, _("Amazon has no such topic"), why, step, "set_up", about=about)
    rows: Sequence[Json] = asked["rows"]
    queued = [row for row in rows if row["protocol"] == "sqs" and row["endpoint"] in queue_arns()]
    if queued:
        if queued[0]["raw"] and queued[0]["endpoint"] not in account.topic_arns:
            step = _("Messages without envelope name no topic: list the queue’s ARN, too, or switch raw delivery off.")
            return Point(STOP, _("Raw message delivery is on"), why, step, "edit", about=about)
        return Point(OK, _("The topic fills the queue"), why, about=about)
    ours = [row for row in rows if row["endpoint"] == events_endpoint()]
    if not ours:
        return _nobody(account, rows, why)
    if not ours[0]["confirmed"]:
        step = _("SNS must reach %(url)s. Have it set up for you: that asks once more.") % {"url": events_endpoint()}
        return Point(STOP, _("SNS waits for this server to confirm"), why, step, "set_up", about=about)
    if ours[0]["raw"]:
        step = _("Raw messages carry no signature and are refused. Have it set up for you: that switches it off.")
        return Point(STOP, _("Raw message delivery is on"), why, step, "set_up", about=about)
    return Point(OK, _("The topic reports to this server"), why, about=about)


def _nobody(account: SendingAccount, rows: Sequence[Json], why: str) -> Point:
    if not account.is_local and is_loopback(settings.PUBLIC_URL) and not queue_arns():
        return _unreachable(why)
    about = _("SNS subscription")
    elsewhere = [row["endpoint"] for row in rows if row["endpoint"].endswith(EVENTS_PATH)]
    step = _("Have it set up for you.")
    if elsewhere:
        state = _("The topic reports to another address: %(url)s") % {"url": elsewhere[0]}
        return Point(STOP, state, why, step, "local" if account.is_local else "set_up", about=about)
    return Point(STOP, _("Nobody is subscribed to the topic"), why, step, "set_up", about=about)


def _topic(topic: Json) -> Iterator[Point]:
    """What a topic allows and how it signs; quiet where all is well, or where the subscription says it already."""
    asked = topic["attributes"]
    about = _("SNS topic")
    why = _("SES may publish to it, and signs what comes.")
    if asked["state"] == "denied" and (point := unanswered(asked, about=about, why=why)):
        yield point
    if asked["state"] != "known":
        return
    if not asked["lets_ses_publish"]:
        step = _("Have it set up for you, or let ses.amazonaws.com publish in the topic’s policy.")
        yield Point(NOTE, _("Its policy does not name SES"), why, step, "set_up", about=about)
    if asked["signature"] != "2":
        step = _("Have it set up for you, or set SignatureVersion to 2.")
        yield Point(NOTE, _("It signs with SHA-1"), why, step, "set_up", about=about)
