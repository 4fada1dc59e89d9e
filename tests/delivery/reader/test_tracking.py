from __future__ import annotations

import re
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from delivery.compiling import Program, Rendered, RenderError, Tokens
from delivery.compiling.linking import encode_remainder
from delivery.models import (
    CompiledEmail,
    DeliveryEvent,
    EventType,
    Inbox,
    Mailout,
    MailoutEmail,
    Message,
    StatLink,
    Verdict,
)
from delivery.selectors import readers
from delivery.services.events import process_inbox, store_reader_act
from delivery.tokens import TrackToken, read_track_token, sign_remainder, track_token
from organizations.models import Organization
from tests.delivery.events.mailouts import make_mailout
from tests.delivery.reader.conftest import BROWSER, Letter

pytestmark = pytest.mark.django_db


def get(path: str, agent: str = BROWSER) -> object:
    return Client().get(path, headers={"User-Agent": agent}, REMOTE_ADDR="198.51.100.77")


def test_loading_the_picture_counts_an_open_and_keeps_a_truncated_address(letter: Letter) -> None:
    response = Client().get(f"/o/{letter.track}.gif", headers={"User-Agent": BROWSER}, REMOTE_ADDR="198.51.100.77")

    assert (response.status_code, response["Content-Type"]) == (200, "image/gif")
    assert response["Cache-Control"] == "no-store"
    assert response.content.startswith(b"GIF89a")
    assert not response.cookies
    process_inbox()
    event = DeliveryEvent.objects.get()
    assert (event.type, event.verdict, event.at.microsecond) == (EventType.OPENED, Verdict.HUMAN, 0)
    assert event.detail == {"ip": "198.51.100.0", "ua": BROWSER}
    assert Message.objects.get().opened_human_at == event.at


def test_a_private_relay_is_an_open_but_nobodys(letter: Letter) -> None:
    get(f"/o/{letter.track}.gif", "Mozilla/5.0")
    process_inbox()

    message = Message.objects.get()
    assert message.opened_at is not None
    assert message.opened_human_at is None


@pytest.mark.parametrize("path", ["/o/{track}.gif", "/c/{track}/1", "/v/{track}", "/u/{manage}", "/p/{manage}"])
def test_a_head_request_counts_and_changes_nothing(letter: Letter, path: str) -> None:
    response = Client().head(path.format(track=letter.track, manage=letter.manage))

    assert response.status_code in (200, 302)
    assert response.content == b""
    assert Inbox.objects.count() == 0
    assert letter.ana.subscriptions.get().state == "subscribed"


def test_a_click_leads_exactly_where_the_author_said(letter: Letter) -> None:
    response = Client().get(f"/c/{letter.track}/1", headers={"User-Agent": BROWSER})

    assert (response.status_code, response["Location"]) == (302, "https://acme.example/?a=1&b=2")
    assert response["Referrer-Policy"] == "no-referrer"
    process_inbox()
    assert DeliveryEvent.objects.values_list("type", "link_no", "verdict").get() == (
        EventType.CLICKED,
        1,
        Verdict.HUMAN,
    )
    assert StatLink.objects.values_list("link_no", "total", "uniq", "uniq_human").get() == (1, 1, 1, 1)


def test_a_personal_link_leads_to_the_readers_own_address(letter: Letter) -> None:
    page = Client().get(f"/v/{letter.track}").content.decode()
    paths = re.findall(r'href="http://testserver(/c/[^"]+)"', page)

    targets = [Client().get(path)["Location"] for path in paths]

    assert "https://acme.example/?a=1&b=2" in targets
    assert "https://acme.example/u/a%2Fb%20c?n=Zo%C3%AB%20%26%20Co" in targets


@pytest.mark.parametrize("remainder", ["@evil.example/", "//evil.example", "\r\nSet-Cookie: x=1", "?x=1"])
def test_only_what_we_signed_for_this_message_and_link_is_followed(letter: Letter, remainder: str) -> None:
    encoded = encode_remainder(remainder)
    good = sign_remainder(letter.track, 2, remainder)
    for track, number, mac in [
        (letter.track, 2, "A" * 16),
        (letter.track, 1, good),
        (track_token(letter.mailout.pk, 2), 2, good),
        (letter.track, 2, good[:-1] + "é"),
    ]:
        response = Client().get(f"/c/{track}/{number}/{encoded}.{mac}")
        assert response.status_code == 404
        assert "Location" not in response
    assert Inbox.objects.count() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/c/{track}/9",
        "/c/{track}/0",
        "/c/{track}/2",
        "/c/{track}/1/x.y",
        "/c/{track}x/1",
        "/c/nonsense/1",
        "/v/nonsense",
        "/c/{track}/https:/evil.example",
        "/c/{track}/1?dest=https://evil.example",
    ],
)
def test_nothing_but_stored_links_is_followed(letter: Letter, path: str) -> None:
    response = Client().get(path.format(track=letter.track))

    if "dest" in path:
        assert response["Location"] == "https://acme.example/?a=1&b=2"
    else:
        assert response.status_code == 404


def test_a_link_of_another_mailout_is_not_reachable_with_this_token(letter: Letter, other: Organization) -> None:
    foreign = make_mailout(other)

    assert Client().get(f"/c/{track_token(foreign.pk, 1)}/1").status_code == 404


def test_counting_that_fails_does_not_stop_the_reader(letter: Letter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.services.tracking.store_reader_act", Mock(side_effect=OperationalError("down")))

    assert Client().get(f"/c/{letter.track}/1").status_code == 302
    assert Client().get(f"/o/{letter.track}.gif").status_code == 200


def test_a_link_works_when_its_message_is_gone(letter: Letter) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM delivery_message")

    assert Client().get(f"/c/{letter.track}/1").status_code == 302
    process_inbox()
    assert DeliveryEvent.objects.count() == 0


def test_in_an_experiment_the_messages_own_email_says_where_links_lead(letter: Letter) -> None:
    first = MailoutEmail.objects.get(mailout_id=letter.mailout.pk)
    MailoutEmail.objects.create(mailout_id=letter.mailout.pk, email_no=1, compiled_email=first.compiled_email)

    assert Client().get(f"/c/{letter.track}/1").status_code == 302
    assert Client().get(f"/c/{track_token(letter.mailout.pk, 77)}/1").status_code == 404


def test_strange_agents_are_kept_short(letter: Letter) -> None:
    Client().get(f"/c/{letter.track}/1?utm=%FF", headers={"User-Agent": "x" * 4000 + "\0ü"})
    process_inbox()

    detail = DeliveryEvent.objects.get().detail
    assert detail is not None
    assert len(detail["ua"]) == 300


def test_a_scanner_that_follows_everything_is_no_person_and_a_later_click_is(letter: Letter) -> None:
    burst = timezone.now().replace(microsecond=0)
    acts = [(EventType.OPENED, burst, None)] + [(EventType.CLICKED, burst, number) for number in range(1, 10)]
    acts.append((EventType.CLICKED, burst + timedelta(hours=2), 1))
    for type_, at, link_no in acts:
        store_reader_act(
            type_=type_,
            mailout_id=letter.mailout.pk,
            n=1,
            at=at,
            ip="198.51.100.0",
            user_agent=BROWSER,
            link_no=link_no,
        )
        process_inbox()

    message = Message.objects.get()
    assert (message.opened_human_at, message.clicked_human_at) == (None, burst + timedelta(hours=2))
    assert DeliveryEvent.objects.filter(verdict=Verdict.MACHINE).count() == 10
    assert StatLink.objects.values_list("total", "uniq", "uniq_human").get(link_no=1) == (2, 1, 1)
    assert StatLink.objects.values_list("total", "uniq", "uniq_human").get(link_no=9) == (1, 1, 0)


def test_the_web_view_says_what_it_is_and_runs_nothing(letter: Letter) -> None:
    response = Client().get(f"/v/{letter.track}")

    page = response.content.decode()
    assert "Hello Zoë &amp; Co" in page
    assert "This is the email as it would look today." in page
    policy = response["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert letter.manage in page


def test_the_web_view_says_it_in_the_persons_language_and_legibly_on_dark_screens(letter: Letter) -> None:
    letter.ana.locale = "ru-RU"
    letter.ana.save()

    page = Client(headers={"Accept-Language": "en"}).get(f"/v/{letter.track}").content.decode()

    assert "Так письмо выглядело бы сегодня." in page
    assert "background:#f3f0ea!important;color:#4a4540!important" in page  # stronger than the email's own rules


def test_the_web_view_of_an_erased_person_names_nobody(letter: Letter) -> None:
    letter.ana.delete()

    page = Client().get(f"/v/{letter.track}").content.decode()

    assert "Hello " in page
    assert "Zoë" not in page
    assert letter.manage not in page


def test_the_web_view_of_a_mailout_that_is_gone_is_not_found(letter: Letter) -> None:
    assert Client().get(f"/v/{track_token(7, 1)}").status_code == 404


def test_guessing_tokens_is_throttled_and_valid_ones_are_not(letter: Letter) -> None:
    guesses = [Client().get("/u/" + "A" * 36).status_code for _ in range(61)]

    assert guesses[:60] == [404] * 60
    assert guesses[60] == 429
    assert Client().get(f"/u/{letter.manage}").status_code == 200


def test_a_test_sends_web_view_shows_the_chosen_person_and_nobodys_preferences(letter: Letter) -> None:
    Mailout.objects.filter(pk=letter.mailout.pk).update(kind="test", preview_subscriber_id=letter.ana.pk)
    assert "Hello Zoë &amp; Co" in Client().get(f"/v/{letter.track}").content.decode()

    Mailout.objects.filter(pk=letter.mailout.pk).update(preview_subscriber_id=None)
    page = Client().get(f"/v/{letter.track}").content.decode()

    assert "Hello Maria" in page
    assert letter.manage not in page


def test_an_email_whose_logic_fails_on_todays_data_is_shown_without_it(
    letter: Letter, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = Program.render

    def fail(program: Program, person: dict[str, object], tokens: Tokens) -> Rendered:
        if person["first_name"]:
            raise RenderError("logic")
        return render(program, person, tokens)

    monkeypatch.setattr(Program, "render", fail)

    response = Client().get(f"/v/{letter.track}")

    assert (response.status_code, "Zoë" in response.content.decode()) == (200, False)


def test_a_compiled_email_that_is_gone_leads_nowhere(letter: Letter) -> None:
    assert readers.compiled_email_id(read_track_token(letter.track) or TrackToken(0, 0)) is not None
    MailoutEmail.objects.filter(mailout_id=letter.mailout.pk).delete()
    CompiledEmail.objects.all().delete()

    assert Client().get(f"/c/{letter.track}/1").status_code == 404
