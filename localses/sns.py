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

from localses import topics
from localses.api import Answer
from localses.config import ACCOUNT_ID, DEFAULT_REGION
from localses.desk import Desk
from localses.envelopes import Subscription
from localses.errors import ServiceError
from localses.sigv4 import SignedRequest, verify
from localses.store import transaction

logger = logging.getLogger("localses")

_NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ATTRIBUTES = frozenset({"SignatureVersion", "DisplayName", "Policy", "DeliveryPolicy", "TracingConfig"})
_UNSIGNED = frozenset({"ConfirmSubscription", "Unsubscribe"})  # links in messages, for people and simple programs
# The names that the query protocol has for refusals of the signature.
_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
}

Params = dict[str, str]


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
            "Unsubscribe": self._unsubscribe,
            "Publish": self._publish,
        }

    def answer(self, request: SignedRequest) -> Answer:
        """Answer a call in the form body, or in the query of a link."""
        text = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query
        params = dict(parse_qsl(text, keep_blank_values=True))
        action = params.get("Action", "")
        try:
            params["_Region"], params["_Signed"] = self._verified(request, action)
            with transaction(self._desk.store.db):
                result = self._operations.get(action, _unknown)(params)
        except ServiceError as error:
            return _error(error)
        except Exception:
            logger.exception("localses.sns_failed")
            return _error(ServiceError("InternalError", "Local SES failed; see its log.", status=500))
        body = f"<{action}Result>{result}</{action}Result>" if result else ""
        return _xml(200, f"{action}Response", body)

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
            attributes = {"SignatureVersion": "1"}
            for key, value in _entries(params, "Attributes").items():
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
        entries = "".join(
            f"<entry><key>{escape(key)}</key><value>{escape(value)}</value></entry>"
            for key, value in attributes.items()
        )
        return f"<Attributes>{entries}</Attributes>"

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
        if _entries(params, "Attributes").get("RawMessageDelivery", "false") != "false":
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


def _entries(params: Params, name: str) -> Params:
    """Read a map of the query protocol: `Attributes.entry.1.key`, `Attributes.entry.1.value`."""
    found = {}
    position = 1
    while (key := params.get(f"{name}.entry.{position}.key")) is not None:
        found[key] = params.get(f"{name}.entry.{position}.value", "")
        position += 1
    return found


def _checked_attribute(name: str, value: str) -> str:
    if name not in _ATTRIBUTES:
        raise _invalid("AttributeName")
    if name == "SignatureVersion" and value not in topics.SIGNATURE_VERSIONS:
        raise _invalid("SignatureVersion Reason: must be 1 or 2")
    return value


def _error(error: ServiceError) -> Answer:
    code = _CODES.get(error.code, error.code)
    kind = "Sender" if error.status < 500 else "Receiver"
    body = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
    return _xml(error.status, "ErrorResponse", body)


def _xml(status: int, element: str, body: str) -> Answer:
    request_id = str(uuid.uuid4())
    meta = f"<RequestId>{request_id}</RequestId>"
    if element != "ErrorResponse":
        meta = f"<ResponseMetadata>{meta}</ResponseMetadata>"
    text = f'<{element} xmlns="{_NAMESPACE}">{body}{meta}</{element}>'
    return Answer(status, text.encode(), {"content-type": "text/xml", "x-amzn-requestid": request_id})
