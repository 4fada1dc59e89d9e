"""The IAM policy in docs/ses.md is the one that the code needs."""

from __future__ import annotations

import json
import re
from typing import Any

from delivery.providers.ses.policies import READING_QUEUES, server_policy
from tests.docs.pages import PROJECT


def blocks() -> list[Any]:
    text = (PROJECT / "docs" / "ses.md").read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def policy(**more: Any) -> Any:
    return server_policy(
        region="eu-central-1",
        account="123456789012",
        identities=["example.com"],
        configuration_set="amazonsender",
        topic="amazonsender",
        **more,
    )


def test_the_page_prints_the_least_that_the_server_needs() -> None:
    usual, setting_up, reading = blocks()

    assert usual == policy()
    assert usual["Statement"] + setting_up == policy(may_set_up=True)["Statement"]
    assert reading == policy(queue="amazonsender-events")["Statement"][-1]
    assert reading["Action"] == list(READING_QUEUES)
