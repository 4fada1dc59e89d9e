"""The queue of own mail: its states, and what a crash, a doubled task or a late answer can do to them."""

from __future__ import annotations

import datetime
import io
import json
import threading

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from amazonsender.core.sealing import SealBrokenError
from organizations.models import Organization, SystemEmail, SystemEmailPurpose, SystemEmailState
from organizations.services import system_emails as queue
from organizations.services.letters import Letter
from organizations.services.system_emails import Claimed

LETTER = Letter(subject="Hello", text="Here: https://acme.example/secret", html="<p>https://acme.example/secret</p>")
HOUR = datetime.timedelta(hours=1)


def put(to: str = "ann@acme.example", useful_for: datetime.timedelta = HOUR) -> SystemEmail:
    email = queue.queue(purpose=SystemEmailPurpose.PASSWORD_RESET, to=to, letter=LETTER, useful_for=useful_for)
    assert email is not None
    return SystemEmail.objects.get(pk=email.pk)


def claimed() -> Claimed:
    found = queue.claim()
    assert found is not None
    return found


def state() -> tuple[str, int, int]:
    email = SystemEmail.objects.get()
    return email.state, email.tries, email.doubts


def pass_lease() -> None:
    SystemEmail.objects.update(leased_until=timezone.now() - HOUR)


def pass_wait() -> None:
    SystemEmail.objects.update(due_at=timezone.now() - HOUR)


@pytest.mark.django_db
def test_a_letter_is_queued_sealed_and_wakes_a_worker_when_its_cause_commits(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, acme: Organization
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        queue.queue(
            purpose=SystemEmailPurpose.INVITATION,
            to="ann@acme.example",
            letter=LETTER,
            useful_for=HOUR,
            organization=acme,
        )

    email = SystemEmail.objects.get()
    assert (email.state, email.tries, email.organization) == ("queued", 0, acme)
    assert email.give_up_at - email.due_at == HOUR
    assert "secret" not in email.sealed_body
    assert len(callbacks) == 1
    body = queue.open_body(claimed())
    assert (body.text, body.html) == (LETTER.text, LETTER.html)


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_queues_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr("amazonsender.core.enqueue.current_app.send_task", lambda name, *_a, **_o: woken.append(name))

    def cause() -> None:
        with transaction.atomic():
            put()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cause()

    assert (SystemEmail.objects.count(), woken) == (0, [])
    put()
    assert woken == ["delivery.tasks.send_system_emails"]


@pytest.mark.django_db
def test_without_a_way_out_nothing_piles_up(settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    assert queue.queue(purpose=SystemEmailPurpose.REMOVED, to="a@acme.example", letter=LETTER, useful_for=HOUR) is None
    assert not SystemEmail.objects.exists()


@pytest.mark.django_db
def test_the_one_that_is_due_for_longest_is_claimed_first_and_no_other_twice() -> None:
    late, early = put("late@acme.example"), put("early@acme.example")
    SystemEmail.objects.filter(pk=early.pk).update(due_at=timezone.now() - HOUR)
    put("tomorrow@acme.example")
    SystemEmail.objects.filter(to="tomorrow@acme.example").update(due_at=timezone.now() + HOUR)

    order = [queue.claim(), queue.claim(), queue.claim()]

    assert [each and each.pk for each in order] == [early.pk, late.pk, None]


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_claim_each_letter_once() -> None:
    for number in range(6):
        put(f"person{number}@acme.example")
    start, got = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        try:
            while (letter := queue.claim()) is not None:
                got.append(letter.to)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [f"person{number}@acme.example" for number in range(6)]
    assert set(SystemEmail.objects.values_list("state", "tries")) == {("sending", 1)}


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_died_while_claiming_holds_nothing() -> None:
    put()

    def die() -> None:
        with transaction.atomic():
            claimed()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()

    assert state() == ("queued", 0, 0)
    assert claimed().tried == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda letter: queue.accept(letter, provider_id="id-1"), "sent"),
        (lambda letter: queue.refuse(letter, reason="message_rejected: no"), "failed"),
    ],
)
def test_what_is_over_keeps_no_link(end: object, expected: str) -> None:
    put()

    assert end(claimed())  # type: ignore[operator]

    email = SystemEmail.objects.get()
    assert (email.state, email.sealed_body, email.leased_until) == (expected, "", None)
    assert email.finished_at is not None
    assert (email.provider_id, email.last_error) == (
        ("id-1", "") if expected == "sent" else ("", "message_rejected: no")
    )


@pytest.mark.django_db
def test_the_database_refuses_to_keep_a_link_of_what_is_over() -> None:
    put()

    with pytest.raises(IntegrityError, match="system_email_keeps_no_secret"), transaction.atomic():
        SystemEmail.objects.update(state=SystemEmailState.SENT, finished_at=timezone.now())
    with pytest.raises(IntegrityError, match="system_email_over_is_finished"), transaction.atomic():
        SystemEmail.objects.update(state=SystemEmailState.SENT, sealed_body="")


@pytest.mark.django_db
def test_waits_double_up_to_ten_minutes() -> None:
    put(useful_for=24 * HOUR)
    waits = []

    for _ in range(9):
        letter = claimed()
        assert queue.postpone(letter, reason="throttled: slower")
        waits.append((SystemEmail.objects.get().due_at - timezone.now()).total_seconds())
        pass_wait()

    assert all(
        0.75 * base <= wait <= 1.25 * base for wait, base in zip(waits, [15, 30, 60, 120, 240, 480], strict=False)
    )
    assert all(450 <= wait <= 750 for wait in waits[6:])
    assert state() == ("queued", 9, 0)
    assert SystemEmail.objects.get().last_error == "throttled: slower"


@pytest.mark.django_db
def test_a_lost_answer_is_tried_once_more_and_no_more() -> None:
    put()

    assert queue.doubt(claimed(), reason="answer_lost: timed out")
    assert state() == ("queued", 1, 1)
    assert queue.claim() is None, "not at once"
    pass_wait()
    assert queue.doubt(claimed(), reason="answer_lost: timed out")

    email = SystemEmail.objects.get()
    assert state() == ("unknown", 2, 1)
    assert (email.sealed_body, email.last_error) == ("", "answer_lost: timed out")
    pass_wait()
    assert queue.claim() is None


@pytest.mark.django_db
def test_what_a_killed_worker_held_counts_as_a_lost_answer() -> None:
    put()
    claimed()

    assert queue.sweep() == 0, "its lease lives"
    pass_lease()
    assert (queue.sweep(), queue.sweep()) == (1, 0)
    assert state() == ("queued", 1, 1)
    pass_wait()
    claimed()
    pass_lease()
    queue.sweep()

    assert state() == ("unknown", 2, 1)
    assert SystemEmail.objects.get().last_error.startswith("answer_lost: the worker ended")


@pytest.mark.django_db
def test_the_truth_wins_over_a_lease_that_ran_out() -> None:
    put()
    slow = claimed()
    pass_lease()
    queue.sweep()

    assert queue.accept(slow, provider_id="id-1")

    assert state() == ("sent", 1, 1)
    assert not queue.accept(slow, provider_id="id-2")
    assert SystemEmail.objects.get().provider_id == "id-1"


@pytest.mark.django_db
def test_the_truth_wins_over_unknown_too() -> None:
    put()
    queue.doubt(claimed(), reason="lost")
    pass_wait()
    slow = claimed()
    pass_lease()
    queue.sweep()
    assert state() == ("unknown", 2, 1)

    assert queue.accept(slow, provider_id="id-1")

    assert state() == ("sent", 2, 1)


@pytest.mark.django_db
def test_who_lost_the_lease_changes_nothing_of_the_next_try() -> None:
    put()
    slow = claimed()
    pass_lease()
    queue.sweep()
    pass_wait()
    claimed()

    ends = [
        queue.accept(slow, provider_id="x"),
        queue.refuse(slow, reason="x"),
        queue.postpone(slow, reason="x"),
        queue.doubt(slow, reason="x"),
    ]

    assert ends == [False] * 4
    assert state() == ("sending", 2, 1)


@pytest.mark.django_db
def test_a_refusal_or_delay_told_twice_counts_once() -> None:
    put()
    letter = claimed()

    assert (queue.postpone(letter, reason="a"), queue.postpone(letter, reason="b")) == (True, False)
    assert (queue.refuse(letter, reason="c"), queue.doubt(letter, reason="d")) == (False, False)
    assert SystemEmail.objects.get().last_error == "a"


@pytest.mark.django_db
def test_what_would_come_too_late_is_given_up_with_its_reason() -> None:
    put("never@acme.example")
    put("refused@acme.example")
    put("doubted@acme.example")
    SystemEmail.objects.filter(to="refused@acme.example").update(last_error="throttled")
    SystemEmail.objects.filter(to="doubted@acme.example").update(last_error="answer_lost", doubts=1)
    SystemEmail.objects.update(give_up_at=timezone.now() - HOUR)

    assert queue.claim() is None
    assert queue.sweep() == 3

    found = {email.to.partition("@")[0]: (email.state, email.last_error) for email in SystemEmail.objects.all()}
    assert found == {
        "never": ("failed", "given up: it would come too late"),
        "refused": ("failed", "throttled"),
        "doubted": ("unknown", "answer_lost"),
    }
    assert set(SystemEmail.objects.values_list("sealed_body", flat=True)) == {""}


@pytest.mark.django_db
def test_trouble_of_the_way_out_lets_the_others_wait() -> None:
    put("due@acme.example")
    put("later@acme.example")
    SystemEmail.objects.filter(to="later@acme.example").update(due_at=timezone.now() + HOUR)

    assert queue.hold_back(tried=2) == 1

    due = SystemEmail.objects.get(to="due@acme.example").due_at - timezone.now()
    assert 20 < due.total_seconds() < 40
    assert queue.claim() is None


@pytest.mark.django_db
def test_what_was_over_a_month_ago_is_deleted() -> None:
    put()
    queue.accept(claimed(), provider_id="")
    assert queue.purge() == 0
    SystemEmail.objects.update(finished_at=F("finished_at") - datetime.timedelta(days=31))
    put("waits@acme.example")

    assert queue.purge() == 1

    assert SystemEmail.objects.get().to == "waits@acme.example"


@pytest.mark.django_db
def test_a_body_sealed_with_another_key_stays_closed(settings: Settings) -> None:
    put()
    settings.SECRET_KEY = "another" * 10

    with pytest.raises(SealBrokenError):
        queue.open_body(claimed())


@pytest.mark.django_db
def test_the_command_tells_what_became_of_letters_and_never_a_link() -> None:
    put("one@acme.example")
    queue.refuse(claimed(), reason="message_rejected: no")
    put("two@acme.example")
    out, raw = io.StringIO(), io.StringIO()

    call_command("system_emails", stdout=out)
    call_command("system_emails", format="json", limit=1, stdout=raw)

    text, answer = out.getvalue(), json.loads(raw.getvalue())
    assert "Own mail goes out by console.\n1 failed, 1 queued\n" in text
    assert "password_reset to one@acme.example  failed after 1 tries: message_rejected: no" in text
    assert answer["counts"] == {"failed": 1, "queued": 1}
    assert [(each["to"], each["state"], each["finished_at"]) for each in answer["letters"]] == [
        ("two@acme.example", "queued", None)
    ]
    assert "secret" not in text + raw.getvalue()


@pytest.mark.django_db
def test_the_command_fails_where_nothing_carries_own_mail(settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"
    out = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("system_emails", stdout=out)

    assert out.getvalue() == "Own mail goes out by nothing: set SYSTEM_EMAIL_PROVIDER.\nThere are no letters.\n"
