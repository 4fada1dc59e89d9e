from __future__ import annotations

import re
from pathlib import Path

import delivery.compiling
from delivery.compiling.messages import MESSAGES, say
from tests.delivery.compiling.emails import compiled


def test_every_finding_has_words_and_all_words_are_used() -> None:
    source = "".join(path.read_text() for path in Path(delivery.compiling.__file__).parent.glob("*.py"))

    used = set(re.findall(r'report\.(?:add|block)\(\s*"(\w+)"', source))

    assert used == set(MESSAGES)


def test_a_finding_can_be_said_in_another_language() -> None:
    [finding] = compiled("<p>{{ citi }}</p>").findings
    russian = {
        "Nobody has “{name}”.": "Ни у кого нет «{name}».",
        "Did you mean {suggestion}?": "Может быть, {suggestion}?",
    }

    assert say(finding.code, finding.params, russian.__getitem__) == ("Ни у кого нет «citi».", "Может быть, city?")
    assert (finding.message, finding.hint) == ("Nobody has “citi”.", "Did you mean city?")


def test_a_hint_without_its_suggestion_is_left_out() -> None:
    assert say("unknown_filter", {"name": "qqq", "suggestion": ""}) == ("There is no filter “qqq”.", "")
