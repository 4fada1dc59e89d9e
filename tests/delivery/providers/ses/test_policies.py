"""Policies: of topics, and of the server's own keys."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

import delivery.providers.ses
from delivery.providers.ses import policies
from delivery.providers.ses.policies import lets_ses_publish, names_ses, server_policy, with_ses_allowed

TOPIC = "arn:aws:sns:eu-central-1:123456789012:amazonsender"
FOLDER = Path(delivery.providers.ses.__file__).parent


def policy(**statement: object) -> str:
    usual = {
        "Effect": "Allow",
        "Principal": {"Service": "ses.amazonaws.com"},
        "Action": "SNS:Publish",
        "Resource": TOPIC,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [usual | statement]})


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"Principal": {"Service": ["lambda.amazonaws.com", "ses.amazonaws.com"]}},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}, "Condition": {"StringEquals": {"AWS:SourceOwner": "123456789012"}}},
        {"Action": ["sns:Subscribe", "sns:*"]},
        {"Resource": "*"},
    ],
)
def test_a_policy_that_lets_ses_publish(statement: dict[str, object]) -> None:
    assert lets_ses_publish(policy(**statement), TOPIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        '{"Statement": "x"}',
        policy(Effect="Deny"),
        policy(Principal={"Service": "lambda.amazonaws.com"}),
        policy(Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        policy(Principal=7),
        policy(Action="sns:Subscribe"),
        policy(Resource=TOPIC + "-other"),
    ],
)
def test_a_policy_that_does_not(text: str) -> None:
    assert not lets_ses_publish(text, TOPIC)


def test_the_usual_rule_lets_ses_publish_without_naming_it() -> None:
    usual = policy(Principal={"AWS": "*"}, Condition={"StringEquals": {"AWS:SourceOwner": "123456789012"}})

    assert (lets_ses_publish(usual, TOPIC), names_ses(usual, TOPIC)) == (True, False)
    assert names_ses(with_ses_allowed(usual, TOPIC), TOPIC)


def test_ses_is_allowed_beside_whatever_else_there_is() -> None:
    single = json.dumps({"Statement": {"Sid": "theirs", "Effect": "Allow"}})

    once = with_ses_allowed(single, TOPIC)
    twice = with_ses_allowed(once, TOPIC)

    assert lets_ses_publish(once, TOPIC)
    assert json.loads(once) == json.loads(twice)
    statements = json.loads(once)["Statement"]
    assert [statement["Sid"] for statement in statements] == ["theirs", "AmazonSenderLetsSesPublish"]
    assert statements[1]["Condition"] == {"StringEquals": {"AWS:SourceAccount": "123456789012"}}


def allowed(**given: object) -> set[str]:
    document = server_policy(
        region="eu-central-1",
        account="123456789012",
        identities=["example.com"],
        configuration_set="amazonsender",
        topic="amazonsender",
        **given,  # type: ignore[arg-type]  # what a test leaves out
    )
    return {action for statement in document["Statement"] for action in statement["Action"]}


def called(service: str) -> set[str]:
    """Operations of botocore's client that the SES adapter names, in the modules that make a client of the service."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    names = {xform_name(name): name for name in model.operation_names}
    found: set[str] = set()
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        words = texts | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if service in texts or (service == "sesv2" and path.name == "inspection.py"):  # it has the client of its base
            found |= {names[word] for word in words & names.keys()}
    return found


# Kept for a person's hand and for commands to come; nothing of the running product asks for them.
BY_HAND = {"ListSuppressedDestinations", "PutSuppressedDestination", "DeleteSuppressedDestination", "Unsubscribe"}


def test_the_policy_allows_what_the_code_asks_and_nothing_else() -> None:
    may = allowed(may_set_up=True, queue="events")
    over_http = {"ses:SendEmail", "ses:SendBulkEmail"}
    older_names = {"ses:SendTemplatedEmail", "ses:SendBulkTemplatedEmail"}
    ses = {f"ses:{name}" for name in (called("sesv2") | called("ses")) - BY_HAND}
    sns = {f"sns:{name}" for name in called("sns") - BY_HAND}
    sqs = {f"sqs:{name}" for name in _queue_operations()}

    assert may - older_names == ses | sns | sqs | over_http


def _queue_operations() -> set[str]:
    text = (FOLDER / "sqs.py").read_text(encoding="utf-8")
    names = set(re.findall(r'_call\(\s*"(\w+)"', text))
    return {name.removesuffix("Batch") for name in names}  # IAM has no name of its own for batches


def test_without_setting_up_it_only_sends_and_looks() -> None:
    assert not any(
        action.split(":")[1].startswith(("Create", "Put", "Update", "Set", "Subscribe")) for action in allowed()
    )


def test_everything_in_the_table_is_an_action_of_amazons() -> None:
    known: set[str] = set()
    for service, prefix in (("ses", "ses"), ("sesv2", "ses"), ("sns", "sns")):
        model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
        known |= {f"{prefix}:{name}" for name in model.operation_names}

    tables = (policies.LOOKING, policies.LOOKING_AT_TOPICS, policies.SETTING_UP, policies.SETTING_UP_TOPICS)
    assert {action for table in tables for action in table} <= known
