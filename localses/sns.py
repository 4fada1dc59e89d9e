"""The part of Amazon SNS that SES events need, in its query protocol with XML answers."""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

import orjson

from localses import topics
from localses.api import Answer
from localses.config import ACCOUNT_ID, DEFAULT_REGION
from localses.desk import Desk
from localses.disturbing import Conduct
from localses.envelopes import Subscription
from localses.errors import ServiceError
from localses.sigv4 import SignedRequest, verify
from localses.sns_wire import PROTOCOL, Params, attribute_map, entries
from localses.store import transaction

logger = logging.getLogger("localses")

_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ATTRIBUTES = frozenset({"SignatureVersion", "DisplayName", "Policy", "DeliveryPolicy", "TracingConfig"})
OPERATIONS = frozenset(
    {
        "CreateTopic",
        "ListTopics",
        "GetTopicAttributes",
        "SetTopicAttributes",
        "Subscribe",
        "ConfirmSubscription",
        "ListSubscriptionsByTopic",
        "GetSubscriptionAttributes",
        "SetSubscriptionAttributes",
        "Unsubscribe",
        "Publish",
    }
)
_UNSIGNED = frozenset({"ConfirmSubscription", "Unsubscribe"})  # links in messages, for people and simple programs


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameter", f"Invalid parameter: {message}")


def _no_topic() -> ServiceError:
    return ServiceError("NotFound", "Topic does not exist", status=404)


def _unknown(params: Params) -> str:
    raise ServiceError("InvalidAction", f"Local SES has no SNS operation {params.get('Action', '')!r}.")


class SnsDoor:
    """Answers SNS calls. Called on the desk's thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._operations: dict[str, Callable[[Params], str]] = {
            "CreateTopic": self._create_topic,
            "ListTopics": self._list_topics,
            "GetTopicAttributes": self._get_topic_attributes,
            "SetTopicAttributes": self._set_topic_attributes,
            "Subscribe": self._subscribe,
            "ConfirmSubscription": self._confirm_subscription,
            "ListSubscriptionsByTopic": self._list_subscriptions_by_topic,
            "GetSubscriptionAttributes": self._get_subscription_attributes,
            "SetSubscriptionAttributes": self._set_subscription_attributes,
            "Unsubscribe": self._unsubscribe,
            "Publish": self._publish,
        }

    def answer(self, request: SignedRequest) -> Answer:
        """Answer a call in the form body, or in the query of a link."""
        text = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query
        params = dict(parse_qsl(text, keep_blank_values=True))
        action = params.get("Action", "")
        conduct = Conduct()
        try:
            params["_Region"], params["_Signed"] = self._verified(request, action)
            turn = self._desk.faults.turn(action, {}, b"")
            conduct = turn.conduct
            turn.refuse()
            with transaction(self._desk.store.db):
                result = self._operations.get(action, _unknown)(params)
        except ServiceError as error:
            return PROTOCOL.refusal(error, conduct)
        except Exception:
            logger.exception("localses.sns_failed")
            return PROTOCOL.refusal(
                ServiceError("InternalError", "Local SES failed; see its log.", status=500), conduct
            )
        return PROTOCOL.answer(action, result, conduct)

    def _verified(self, request: SignedRequest, action: str) -> tuple[str, str]:
        if action in _UNSIGNED and "authorization" not in request.headers:
            return DEFAULT_REGION, ""
        config = self._desk.config
        now = datetime.fromtimestamp(self._desk.clock(), UTC)
        region = verify(request, access_key=config.access_key, secret_key=config.secret_key, service="sns", now=now)
        return region, "yes"

    def _topic(self, params: Params) -> dict[str, str]:
        topic = self._desk.store.resource("topic", params.get("TopicArn", ""))
        if topic is None:
            raise _no_topic()
        return topic

    def _create_topic(self, params: Params) -> str:
        name = params.get("Name", "")
        if not _TOPIC_NAME.fullmatch(name):
            raise _invalid("Topic Name")
        arn = f"arn:aws:sns:{params['_Region']}:{ACCOUNT_ID}:{name}"
        if self._desk.store.resource("topic", arn) is None:
            attributes = {"SignatureVersion": "1", "Policy": _usual_policy(arn)}
            for key, value in entries(params, "Attributes").items():
                attributes[key] = _checked_attribute(key, value)
            self._desk.store.put_resource("topic", arn, attributes, self._desk.clock())
        return f"<TopicArn>{escape(arn)}</TopicArn>"

    def _list_topics(self, params: Params) -> str:
        arns = (name for name, _, _ in self._desk.store.resources("topic"))
        members = "".join(f"<member><TopicArn>{escape(arn)}</TopicArn></member>" for arn in arns)
        return f"<Topics>{members}</Topics>"

    def _get_topic_attributes(self, params: Params) -> str:
        topic = self._topic(params)
        rows = self._subscriptions(params["TopicArn"])
        confirmed = sum(row["confirmed"] for row in rows)
        attributes = {
            "TopicArn": params["TopicArn"],
            "Owner": ACCOUNT_ID,
            "DisplayName": "",
            "SubscriptionsConfirmed": str(confirmed),
            "SubscriptionsPending": str(len(rows) - confirmed),
            "SubscriptionsDeleted": "0",
            **topic,
        }
        return attribute_map(attributes)

    def _set_topic_attributes(self, params: Params) -> str:
        topic = self._topic(params)
        name, value = params.get("AttributeName", ""), params.get("AttributeValue", "")
        topic[name] = _checked_attribute(name, value)
        self._desk.store.put_resource("topic", params["TopicArn"], topic, self._desk.clock())
        return ""

    def _subscribe(self, params: Params) -> str:
        topic = self._topic(params)
        protocol, endpoint = params.get("Protocol", ""), params.get("Endpoint", "")
        if protocol not in {"http", "https"}:
            raise _invalid("Local SES delivers to http and https")
        parts = urlsplit(endpoint)
        if parts.scheme != protocol or not parts.hostname:
            raise _invalid("Endpoint must match the specified protocol")
        if entries(params, "Attributes").get("RawMessageDelivery", "false") != "false":
            raise _invalid("Raw delivery drops the signature; Local SES doesn't offer it")
        arn = f"{params['TopicArn']}:{uuid.uuid4()}"
        self._desk.store.db.execute(
            "INSERT OR IGNORE INTO subscription (arn, topic_arn, protocol, endpoint, confirmed, token)"
            " VALUES (?, ?, ?, ?, 0, ?)",
            (arn, params["TopicArn"], protocol, endpoint, secrets.token_hex(64)),
        )
        row = self._desk.store.db.execute(
            "SELECT * FROM subscription WHERE topic_arn = ? AND protocol = ? AND endpoint = ?",
            (params["TopicArn"], protocol, endpoint),
        ).fetchone()
        shown = row["arn"]
        if not row["confirmed"]:
            target = Subscription(row["arn"], params["TopicArn"], endpoint, topic["SignatureVersion"])
            self._confirmation(target, "SubscriptionConfirmation", row["token"])
            shown = row["arn"] if params.get("ReturnSubscriptionArn") == "true" else "pending confirmation"
        return f"<SubscriptionArn>{escape(shown)}</SubscriptionArn>"

    def _confirmation(self, target: Subscription, kind: str, token: str) -> None:
        now = self._desk.clock()
        post = self._desk.signer.confirmation(target, kind=kind, token=token, at=now)
        topics.enqueue(self._desk.store.db, post, now)

    def _confirm_subscription(self, params: Params) -> str:
        self._topic(params)
        row = self._desk.store.db.execute(
            "SELECT arn FROM subscription WHERE topic_arn = ? AND token = ?",
            (params["TopicArn"], params.get("Token", "")),
        ).fetchone()
        if row is None:
            raise _invalid("Token")
        # Only somebody with credentials may ask for this, or a link could lock its subscriber in.
        locked = params["_Signed"] and params.get("AuthenticateOnUnsubscribe") == "true"
        self._desk.store.db.execute(
            "UPDATE subscription SET confirmed = 1, authenticated_unsubscribe = ? WHERE arn = ?",
            (int(bool(locked)), row["arn"]),
        )
        return f"<SubscriptionArn>{escape(row['arn'])}</SubscriptionArn>"

    def _list_subscriptions_by_topic(self, params: Params) -> str:
        self._topic(params)
        members = "".join(
            "<member>"
            f"<SubscriptionArn>{escape(row['arn'] if row['confirmed'] else 'PendingConfirmation')}</SubscriptionArn>"
            f"<Owner>{ACCOUNT_ID}</Owner><Protocol>{row['protocol']}</Protocol>"
            f"<Endpoint>{escape(row['endpoint'])}</Endpoint><TopicArn>{escape(row['topic_arn'])}</TopicArn>"
            "</member>"
            for row in self._subscriptions(params["TopicArn"])
        )
        return f"<Subscriptions>{members}</Subscriptions>"

    def _subscription(self, params: Params) -> sqlite3.Row:
        arn = params.get("SubscriptionArn", "")
        found = self._desk.store.db.execute("SELECT * FROM subscription WHERE arn = ?", (arn,)).fetchone()
        if found is None:
            raise ServiceError("NotFound", "Subscription does not exist", status=404)
        row: sqlite3.Row = found
        return row

    def _get_subscription_attributes(self, params: Params) -> str:
        row = self._subscription(params)
        return attribute_map(
            {
                "SubscriptionArn": row["arn"],
                "TopicArn": row["topic_arn"],
                "Owner": ACCOUNT_ID,
                "Protocol": row["protocol"],
                "Endpoint": row["endpoint"],
                "PendingConfirmation": "false" if row["confirmed"] else "true",
                "ConfirmationWasAuthenticated": "true" if row["authenticated_unsubscribe"] else "false",
                "RawMessageDelivery": "false",
            }
        )

    def _set_subscription_attributes(self, params: Params) -> str:
        self._subscription(params)
        name, value = params.get("AttributeName", ""), params.get("AttributeValue", "")
        if name != "RawMessageDelivery":
            raise _invalid("AttributeName")
        if value != "false":
            raise _invalid("Raw delivery drops the signature; Local SES doesn't offer it")
        return ""

    def _unsubscribe(self, params: Params) -> str:
        arn = params.get("SubscriptionArn", "")
        row = self._desk.store.db.execute("SELECT * FROM subscription WHERE arn = ?", (arn,)).fetchone()
        if row is None:
            raise _invalid("SubscriptionArn")
        if row["authenticated_unsubscribe"] and not params["_Signed"]:
            raise ServiceError("AuthorizationError", "This subscription ends by a signed call only.", status=403)
        self._desk.store.db.execute("DELETE FROM subscription WHERE arn = ?", (arn,))
        if row["confirmed"]:
            topic = self._desk.store.resource("topic", row["topic_arn"]) or {}
            target = Subscription(arn, row["topic_arn"], row["endpoint"], topic.get("SignatureVersion", "1"))
            self._confirmation(target, "UnsubscribeConfirmation", row["token"])
        return ""

    def _publish(self, params: Params) -> str:
        self._topic(params)
        message_id = str(uuid.uuid4())
        topics.publish(
            self._desk.store.db,
            self._desk.signer,
            params["TopicArn"],
            params.get("Message", ""),
            message_id=message_id,
            at=self._desk.clock(),
        )
        return f"<MessageId>{message_id}</MessageId>"

    def _subscriptions(self, topic_arn: str) -> list[sqlite3.Row]:
        rows = self._desk.store.db.execute("SELECT * FROM subscription WHERE topic_arn = ? ORDER BY arn", (topic_arn,))
        return rows.fetchall()


def _usual_policy(arn: str) -> str:
    """Return the policy that Amazon gives a new topic: whoever is of the account may use it, its services too."""
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": ["SNS:Publish", "SNS:Subscribe", "SNS:GetTopicAttributes", "SNS:SetTopicAttributes"],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": ACCOUNT_ID}},
    }
    document = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    return orjson.dumps(document).decode()


def _checked_attribute(name: str, value: str) -> str:
    if name not in _ATTRIBUTES:
        raise _invalid("AttributeName")
    if name == "SignatureVersion" and value not in topics.SIGNATURE_VERSIONS:
        raise _invalid("SignatureVersion Reason: must be 1 or 2")
    return value
