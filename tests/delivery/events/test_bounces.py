from __future__ import annotations

from typing import Any

import pytest

from delivery.models import EventType
from delivery.services.events.bounces import bounce_meaning, complaint_meaning, is_dead_mailbox
from delivery.services.events.model import Consequence

FAILED = {"action": "failed"}


@pytest.mark.parametrize(
    ("kind", "subtype", "recipient", "type_", "consequence"),
    [
        ("Permanent", "General", FAILED | {"status": "5.1.1"}, EventType.BOUNCED, Consequence.HARD_BOUNCE),
        ("Permanent", "NoEmail", {}, EventType.BOUNCED, Consequence.HARD_BOUNCE),
        ("Permanent", "Suppressed", {}, EventType.BOUNCED, Consequence.HARD_BOUNCE),
        ("Permanent", "OnAccountSuppressionList", {}, EventType.REJECTED, Consequence.PROVIDER),
        ("Permanent", "OnTenantSuppressionList", {}, EventType.REJECTED, Consequence.PROVIDER),
        ("Permanent", "EmailValidationSuppressed", {}, EventType.REJECTED, Consequence.INVALID),
        ("Permanent", "UnsubscribedRecipient", {}, EventType.REJECTED, Consequence.UNSUBSCRIBE),
        ("Permanent", "SomethingNew", {}, EventType.BOUNCED, Consequence.HARD_BOUNCE),
        ("Transient", "General", {}, EventType.AUTORESPONDED, Consequence.NONE),
        ("Transient", "General", FAILED | {"status": "4.4.7"}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "General", FAILED | {"status": "5.1.1"}, EventType.BOUNCED, Consequence.HARD_BOUNCE),
        ("Transient", "MailboxFull", FAILED | {"status": "5.2.2"}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "MessageTooLarge", FAILED | {"status": "5.3.4"}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "ContentRejected", FAILED | {"status": "5.7.1"}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "ContentRejected", FAILED | {"status": "5.1.1"}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "AttachmentRejected", {}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Transient", "CustomTimeoutExceeded", {}, EventType.SOFT_BOUNCED, Consequence.NONE),
        ("Undetermined", "Undetermined", FAILED | {"status": "5.1.1"}, EventType.SOFT_BOUNCED, Consequence.NONE),
    ],
)
def test_a_bounce_means_what_ses_and_the_mail_server_say_together(
    kind: str, subtype: str, recipient: dict[str, Any], type_: EventType, consequence: Consequence
) -> None:
    assert bounce_meaning(kind, subtype, [recipient]) == (type_, consequence)


@pytest.mark.parametrize(
    ("recipient", "is_dead"),
    [
        ({"status": "5.1.1"}, True),
        ({"status": "5.1.10"}, True),
        ({"status": "5.2.1"}, True),
        ({"diagnosticCode": "smtp; 550 5.1.1 user unknown"}, True),
        ({"status": "5.0.0", "diagnosticCode": "smtp; 550 no such user"}, True),
        ({"status": "550"}, True),
        ({"diagnosticCode": "smtp; 550 5.7.1 blocked by policy"}, False),
        ({"status": "5.2.2", "diagnosticCode": "smtp; 550 mailbox full"}, False),
        ({"status": "5.1.7"}, False),
        ({"status": "4.4.7"}, False),
        ({"status": "5.1.1", "action": "delayed"}, False),
        ({"status": None, "diagnosticCode": None}, False),
        ({"diagnosticCode": "smtp; 451 try again, code 5501"}, False),
        ({}, False),
    ],
)
def test_only_mailbox_statuses_say_that_a_mailbox_is_dead(recipient: dict[str, Any], is_dead: bool) -> None:
    assert is_dead_mailbox(recipient) is is_dead


@pytest.mark.parametrize("feedback", ["abuse", "fraud", "virus", "other", ""])
def test_a_complaint_of_any_usual_kind_counts(feedback: str) -> None:
    assert complaint_meaning("", feedback) == (EventType.COMPLAINED, Consequence.COMPLAINT)


@pytest.mark.parametrize("feedback", ["not-spam", "auth-failure"])
def test_a_complaint_that_is_none_is_dropped(feedback: str) -> None:
    assert complaint_meaning("", feedback) is None


@pytest.mark.parametrize("subtype", ["OnAccountSuppressionList", "OnTenantSuppressionList"])
def test_a_complaint_from_a_suppression_list_is_no_new_complaint(subtype: str) -> None:
    assert complaint_meaning(subtype, "abuse") == (EventType.REJECTED, Consequence.PROVIDER)
