"""What is known of those without an answer, and the command that tells it and sends to them."""

from __future__ import annotations

import io
import json
from datetime import UTC

import pytest
from django.core.management import CommandError, call_command

from delivery.engine.database import Connection
from delivery.models import (
    EventType,
    StatEmail,
)
from delivery.selectors.unanswered import knowledge_words, unanswered_call, unanswered_of
from tests.delivery.engine.world import World
from tests.delivery.services.unanswered import (
    decide,
    end,
    message,
    unanswered,
)


def test_what_is_known_names_call_time_and_words(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 120, loses=lambda entry: entry.address in ("p3@example.com", "p70@example.com"))

    known = unanswered_of(mailout)

    assert (known.people, known.sent, known.reported) == (2, 118, 0)
    assert [(call.people, call.error) for call in known.calls] == [(1, "answer_lost: read timed out")] * 2
    calls = {n: unanswered_call(mailout, n=n, attempt=0) for n in (4, 71)}
    assert {call.call_id for call in known.calls} == {call.call_id for call in calls.values() if call is not None}


def test_what_is_known_outlives_the_calls(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    raw.execute("DELETE FROM delivery_send_call")

    known = unanswered_of(mailout)

    assert [(call.call_id, call.handed_over_at, call.people) for call in known.calls] == [(None, None, 2)]
    assert unanswered_call(mailout, n=1, attempt=0) is None
    assert decide(mailout) == 2


@pytest.mark.parametrize(
    ("reported", "said"), [(0, "silence says nothing"), (10, "not complete"), (98, "did not get it")]
)
def test_what_silence_is_worth_depends_on_the_others(world: World, raw: Connection, reported: int, said: str) -> None:
    mailout = unanswered(world, raw, 101, loses=lambda entry: entry.address == "p3@example.com")
    if reported:
        StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=EventType.DELIVERED, uniq=reported)

    words = knowledge_words(unanswered_of(mailout))

    assert said in words


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("resend_unknown", *arguments, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_tells_and_asks_before_it_sends(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)

    code, said = run(str(mailout.pk))
    assert code == 1
    assert "3 without an answer" in said
    assert "some may get it twice" in said
    assert "The connection broke before the answer came." in said
    assert message(mailout).attempt == 0

    code, said = run(str(mailout.pk), "--yes")
    assert (code, "3 are tried again" in said) == (0, True)
    world.run(seconds=1)
    end(mailout, raw)
    assert run(str(mailout.pk), "--yes")[0] == 0  # nobody is left
    assert set(world.provider.handed_over.values()) == {2}


def test_the_command_answers_in_json(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    call = unanswered_call(mailout, n=1, attempt=0)
    assert call is not None
    assert call.handed_over_at is not None

    code, said = run(str(mailout.pk), "--yes", "--format", "json")

    assert code == 0
    assert json.loads(said) == {
        "mailout_id": mailout.pk,
        "name": "Letter",
        "state": "sending",
        "unanswered": 3,
        "calls": [
            {
                "call": str(call.call_id),
                "handed_over_at": call.handed_over_at.astimezone(UTC).isoformat(),
                "error": "answer_lost: read timed out",
                "people": 3,
            }
        ],
        "sent": 0,
        "reported": 0,
        "obstacle": "",
        "sent_again": 3,
    }


def test_the_command_says_why_not(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_send_call SET armed_at = clock_timestamp()")

    code, said = run(str(mailout.pk), "--yes")

    assert (code, "can't be tried again: The provider may still accept" in said) == (1, True)
    with pytest.raises(CommandError, match="no mailout 7"):
        run("7")
