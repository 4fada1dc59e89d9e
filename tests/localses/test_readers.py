from __future__ import annotations

import pytest

from localses.readers import BROWSERS, PRIVACY_PROXY, SCANNER, find, is_loopback
from tests.localses.conftest import bulk, entry
from tests.localses.running import Json, Running, Subscriber, subscribe, wait_until


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("https://localhost/x", True),
        ("http://demo.localhost:8000/", True),
        ("http://[::1]:8000/", True),
        ("http://127.8.9.10/", True),
        ("https://example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://example.com@10.0.0.1/", False),
        ("http://169.254.169.254/", False),
        ("file:///etc/passwd", False),
        ("mailto:a@localhost", False),
        ("/relative", False),
        ("", False),
    ],
)
def test_only_this_machine_is_ever_fetched(url: str, ours: bool) -> None:
    assert is_loopback(url) is ours


def test_images_and_links_are_found_once_in_order() -> None:
    html = """<a href="http://127.0.0.1/b?x=1&amp;y=2">b</a><IMG SRC='http://127.0.0.1/p.gif'><a href="#top">t</a>
    <a href="https://example.com">n</a><a href="http://127.0.0.1/a">a</a><a href="http://127.0.0.1/a">a</a><img>"""

    assert find(html) == (
        ["http://127.0.0.1/p.gif"],
        ["http://127.0.0.1/b?x=1&y=2", "http://127.0.0.1/a"],
    )


def send(running: Running, listener: Subscriber, *, configuration_set: str | None = None, count: int = 1) -> None:
    html = (
        f'<p>{{{{name}}}} <a href="{listener.url}/click/{{{{n}}}}">go</a>'
        f'<a href="{listener.url}/unsubscribe/{{{{n}}}}">out</a><img src="{listener.url}/open/{{{{n}}}}"></p>'
    )
    template = {"TemplateContent": {"Subject": "Hello", "Html": html}}
    entries: list[Json] = []
    for number in range(count):
        headers = [
            {"Name": "List-Unsubscribe", "Value": f"<mailto:out@example.com>, <{listener.url}/one-click/{number}>"},
            {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
        ]
        data = {"name": "Ana", "n": number}
        entries.append(entry(f"p{number}@example.org", data, ReplacementHeaders=headers))
    more = {"ConfigurationSetName": configuration_set} if configuration_set else {}
    running.client("sesv2").send_bulk_email(**bulk(entries, template=template, **more))
    running.settle()


def test_nobody_reads_unless_asked(running: Running, listener: Subscriber) -> None:
    send(running, listener)

    assert listener.requests == []


def test_a_reader_opens_by_loading_images_with_a_browser(running: Running, listener: Subscriber) -> None:
    running.settings(open_rate=1)

    send(running, listener)

    [(method, path, agent)] = listener.paths()
    assert (method, path) == ("GET", "/open/0")
    assert agent in BROWSERS
    assert [record["reader"] for record in running.records()] == ["open"]


def test_a_click_follows_a_link_that_does_not_lead_out(running: Running, listener: Subscriber) -> None:
    running.settings(click_rate=1, open_rate=1)

    send(running, listener)

    assert sorted(path for _, path, _ in listener.paths()) == ["/click/0", "/open/0"]
    assert {agent for _, _, agent in listener.paths()} <= set(BROWSERS)


def test_an_unsubscriber_posts_the_one_click_form_in_both_encodings(running: Running, listener: Subscriber) -> None:
    running.settings(unsubscribe_rate=1)

    send(running, listener, count=30)

    assert sorted(path for _, path, _ in listener.paths()) == sorted(f"/one-click/{number}" for number in range(30))
    kinds = {headers["content-type"].partition(";")[0] for _, _, headers, _ in listener.requests}
    assert kinds == {"application/x-www-form-urlencoded", "multipart/form-data"}
    for method, _, headers, body in listener.requests:
        assert method == "POST"
        if headers["content-type"].startswith("multipart/"):
            assert b'name="List-Unsubscribe"\r\n\r\nOne-Click\r\n' in body
        else:
            assert body == b"List-Unsubscribe=One-Click"


def test_machines_prefetch_images_or_scan_every_link(running: Running, listener: Subscriber) -> None:
    running.settings(machine_rate=1)

    send(running, listener, count=30)

    agents = {agent: {path.split("/")[1] for _, path, who in listener.paths() if who == agent}
              for agent in (PRIVACY_PROXY, SCANNER)}  # fmt: skip
    assert agents == {PRIVACY_PROXY: {"open"}, SCANNER: {"click", "unsubscribe"}}
    assert {method for method, _, _ in listener.paths()} == {"GET"}


def test_ses_itself_tracks_what_readers_do_where_a_destination_asks(
    running: Running, listener: Subscriber, name: str
) -> None:
    subscribe(running, listener, "OPEN", "CLICK", name=name)
    running.settings(open_rate=1, click_rate=1)

    send(running, listener, configuration_set=name)
    wait_until(lambda: len(listener.events()) == 2)

    [opened], [clicked] = listener.of_type("Open"), listener.of_type("Click")
    assert opened["open"]["userAgent"] in BROWSERS
    assert (clicked["click"]["link"], clicked["click"]["ipAddress"]) == (f"{listener.url}/click/0", "127.0.0.1")


def test_readers_without_anything_to_load_do_nothing(running: Running, name: str) -> None:
    running.settings(open_rate=1, click_rate=1, unsubscribe_rate=1)
    running.client("sesv2").send_bulk_email(**bulk([entry("ana@example.org")]))
    running.settle()

    page = running.get(f"/messages/{running.records()[0]['id']}?view=events").text

    for said in ("Opened: nothing on this machine", "Nothing to click", "No one-click address on this machine"):
        assert said in page


def test_an_unreachable_link_is_told_and_forgotten(running: Running) -> None:
    running.settings(open_rate=1)
    template = {"TemplateContent": {"Subject": "x", "Html": '<img src="http://127.0.0.1:1/p">'}}
    running.client("sesv2").send_bulk_email(**bulk([entry("ana@example.org")], template=template))
    running.settle()

    page = running.get(f"/messages/{running.records()[0]['id']}?view=events").text

    assert "Opened: NewConnectionError" in page
