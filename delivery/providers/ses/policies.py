"""Policies: who may publish to a topic, and what the server's own keys need to be allowed. All as JSON documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

Json = dict[str, Any]

SES: Final = "ses.amazonaws.com"
PUBLISH: Final = "sns:Publish"
OUR_STATEMENT: Final = "AmazonSenderLetsSesPublish"

# What the code asks of Amazon, by what it is for. docs/ses.md prints it, and a test holds it against the calls.
SENDING: Final = ("ses:SendEmail", "ses:SendBulkEmail", "ses:SendTemplatedEmail", "ses:SendBulkTemplatedEmail")
LOOKING: Final = (
    "ses:GetAccount",
    "ses:GetEmailIdentity",
    "ses:GetConfigurationSet",
    "ses:GetConfigurationSetEventDestinations",
    "ses:GetSendStatistics",
    "ses:GetSendQuota",
    "sns:GetSubscriptionAttributes",  # IAM knows no resource for what is done to a subscription
)
LOOKING_AT_TOPICS: Final = ("sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic")
CONFIRMING: Final = ("sns:ConfirmSubscription",)
SETTING_UP: Final = (
    "ses:CreateEmailIdentity",
    "ses:PutEmailIdentityMailFromAttributes",
    "ses:CreateConfigurationSet",
    "ses:CreateConfigurationSetEventDestination",
    "ses:UpdateConfigurationSetEventDestination",
    "sns:SetSubscriptionAttributes",
)
SETTING_UP_TOPICS: Final = ("sns:CreateTopic", "sns:SetTopicAttributes", "sns:Subscribe")
READING_QUEUES: Final = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def server_policy(
    *,
    region: str,
    account: str,
    identities: Sequence[str],
    configuration_set: str,
    topic: str,
    queue: str = "",
    may_set_up: bool = False,
) -> Json:
    """Return the least that IAM has to allow the server. account: Amazon's twelve digits; topic, queue: names.

    may_set_up: also what "Set it up for me" does. It may go again afterwards.
    """
    sender = f"arn:aws:ses:{region}:{account}"
    topic_arn = f"arn:aws:sns:{region}:{account}:{topic}"
    resources = [
        *(f"{sender}:identity/{name}" for name in identities),
        f"{sender}:configuration-set/{configuration_set}",
    ]
    statements = [
        _statement("Send", SENDING, resources),
        _statement("LookAtAccount", LOOKING, "*"),
        _statement("LookAtTopic", LOOKING_AT_TOPICS, topic_arn),
        _statement("ConfirmOurSubscription", CONFIRMING, topic_arn),
    ]
    if queue:
        statements.append(_statement("ReadEvents", READING_QUEUES, f"arn:aws:sqs:{region}:{account}:{queue}"))
    if may_set_up:
        statements.append(_statement("SetUp", SETTING_UP, "*"))
        statements.append(_statement("SetUpTopic", SETTING_UP_TOPICS, topic_arn))
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(name: str, actions: Sequence[str], resource: str | Sequence[str]) -> Json:
    shown = resource if isinstance(resource, str) else list(resource)
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": shown}


def lets_ses_publish(policy: str, topic_arn: str) -> bool:
    """Say whether a topic's policy lets SES publish: by name, or by the rule for all of the account that is usual."""
    return any(_allows(statement, topic_arn, by_name=False) for statement in _statements(policy))


def names_ses(policy: str, topic_arn: str) -> bool:
    """Say whether a topic's policy lets SES publish by name, which holds whatever becomes of the usual rule."""
    return any(_allows(statement, topic_arn, by_name=True) for statement in _statements(policy))


def with_ses_allowed(policy: str, topic_arn: str) -> str:
    """Add to a topic's policy that SES of the same account may publish; what else it says stays."""
    ours: Json = {
        "Sid": OUR_STATEMENT,
        "Effect": "Allow",
        "Principal": {"Service": SES},
        "Action": PUBLISH,
        "Resource": topic_arn,
        "Condition": {"StringEquals": {"AWS:SourceAccount": topic_arn.split(":")[4]}},
    }
    others = [statement for statement in _statements(policy) if statement.get("Sid") != OUR_STATEMENT]
    return orjson.dumps({"Version": "2012-10-17", "Statement": [*others, ours]}).decode()


def _statements(policy: str) -> list[Json]:
    try:
        document = orjson.loads(policy) if policy else {}
    except orjson.JSONDecodeError:
        return []
    found = document.get("Statement") if isinstance(document, dict) else None
    rows = found if isinstance(found, list) else [found]
    return [row for row in rows if isinstance(row, dict)]


def _allows(statement: Mapping[str, Any], topic_arn: str, *, by_name: bool) -> bool:
    principal = statement.get("Principal")
    services = _texts(principal.get("Service")) if isinstance(principal, dict) else []
    accounts = _texts(principal.get("AWS")) if isinstance(principal, dict) else _texts(principal)
    actions = {action.lower() for action in _texts(statement.get("Action"))}
    return (
        statement.get("Effect") == "Allow"
        and (SES in services or ("*" in accounts and not by_name))
        and bool(actions & {"sns:publish", "sns:*", "*"})
        and bool({topic_arn, "*"} & set(_texts(statement.get("Resource"))))
    )


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
