from __future__ import annotations

import re

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.localses.conftest import TEMPLATE, bulk, entry
from tests.localses.running import Running


def send(running: Running, *addresses: str, **template: str) -> list[int]:
    content = {"TemplateContent": {**TEMPLATE, **template}}
    running.client("sesv2").send_bulk_email(**bulk([entry(address) for address in addresses], template=content))
    return [record["id"] for record in running.records()][-len(addresses) :]


def page(running: Running, path: str = "/") -> LexborHTMLParser:
    answer = running.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "script" not in policy
    return LexborHTMLParser(answer.text)


def text(node: LexborNode | None) -> str:
    assert node is not None
    return " ".join(node.text(separator=" ").split())


def listed(tree: LexborHTMLParser) -> list[str]:
    return [text(node) for node in tree.css(".list .who")]


def link(tree: LexborHTMLParser, relation: str) -> str | None:
    node = tree.css_first(f'.pages a[rel="{relation}"]')
    return node.attributes["href"] if node else None


def test_an_empty_inbox_says_what_will_come(running: Running) -> None:
    assert "No email yet" in text(page(running).css_first(".empty"))


def test_the_newest_message_comes_first_and_pages_lead_on(running: Running) -> None:
    for start in range(0, 120, 40):
        send(running, *(f"p{number}@example.org" for number in range(start, start + 40)))

    first = page(running)
    second = page(running, str(link(first, "next")))
    third = page(running, str(link(second, "next")))
    back = page(running, str(link(third, "prev")))

    everybody = [f"p{number}@example.org" for number in reversed(range(120))]
    assert listed(first) == everybody[:50]
    assert listed(second) == listed(back) == everybody[50:100]
    assert listed(third) == everybody[100:]
    assert (link(first, "prev"), link(third, "next")) == (None, None)
    assert text(first.css_first("h1")) == "120 emails accepted"


def test_search_finds_addresses_and_subjects_and_nothing_by_wildcard(running: Running) -> None:
    send(running, "ana@example.org", "ben_1@example.org")
    send(running, "carol@example.org", Subject="100% cider")

    assert listed(page(running, "/?q=ANA%40")) == ["ana@example.org"]
    assert listed(page(running, "/?q=cider")) == ["carol@example.org"]
    assert listed(page(running, "/?q=100%25")) == ["carol@example.org"]
    assert listed(page(running, "/?q=n_1")) == ["ben_1@example.org"]
    assert listed(page(running, "/?q=%5C")) == []
    found_nothing = text(page(running, "/?q=%3Cscript%3E").css_first(".empty"))
    assert "No message has “<script>” in its address or subject." in found_nothing


def test_a_message_shows_in_a_sandboxed_frame_without_scripts(running: Running) -> None:
    [number] = send(running, "ana@example.org", Html="<p>Dear {{name}}</p><script>alert(1)</script>")

    frame = page(running, f"/messages/{number}").css_first("iframe")
    assert frame is not None
    assert frame.attributes["src"] == f"/messages/{number}/html"
    assert frame.attributes["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    content = running.get(f"/messages/{number}/html")
    assert "<p>Dear Ana</p>" in content.text
    policy = content.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert not re.search(r"script-src|https?://\*| \* ", policy)
    assert content.headers["x-content-type-options"] == "nosniff"


def test_a_message_is_laid_out_by_the_doctype_that_it_has(running: Running) -> None:
    [bare] = send(running, "ana@example.org", Html="<p>Dear {{name}}</p>")
    [whole] = send(running, "ana@example.org", Html="<!DOCTYPE html><p>Dear {{name}}</p>")

    assert running.get(f"/messages/{bare}/html").text.startswith('<base target="_blank"><p>')
    assert running.get(f"/messages/{whole}/html").text.startswith('<!DOCTYPE html><base target="_blank"><p>')


def test_every_view_of_a_message_opens(running: Running) -> None:
    [number] = send(running, "ana@example.org")
    running.settle()

    assert text(page(running, f"/messages/{number}?view=text").css_first("pre")) == "Dear Ana"
    headers = text(page(running, f"/messages/{number}?view=headers").css_first("main"))
    assert "From News <news@example.com>" in headers
    assert "@email.amazonses.com>" in headers
    assert "Subject: Hello Ana" in text(page(running, f"/messages/{number}?view=raw").css_first("pre"))
    events = page(running, f"/messages/{number}?view=events")
    assert [text(node) for node in events.css(".events b")] == ["Accepted for sending", "Delivered"]
    phone = page(running, f"/messages/{number}?view=html&width=phone")
    assert phone.css_first(".sheet--phone iframe") is not None
    assert page(running, f"/messages/{number}?view=nonsense").css_first("iframe") is not None


def test_a_message_shows_the_faults_that_it_met(running: Running) -> None:
    running.faults(
        {"fault": "missing_events", "events": ["DELIVERY"]}, {"fault": "duplicate_events", "events": ["SEND"]}
    )
    [number] = send(running, "ana@example.org")
    running.settle()

    shown = page(running, f"/messages/{number}?view=events")

    assert "missing_events-1, duplicate_events-1" in text(shown.css_first(".meta"))
    assert "not told" not in text(shown.css_first(".meta"))
    assert [text(node) for node in shown.css(".events span")] == [
        "",
        "(a fault: told again)",
        "ana@example.org (a fault: never told)",
    ]


def test_a_message_says_that_its_sender_was_not_told(running: Running) -> None:
    client = running.client("sesv2")
    running.faults({"fault": "error", "when": "after"})
    with pytest.raises(client.exceptions.ClientError):
        client.send_bulk_email(**bulk([entry("ana@example.org")]))
    number = running.records()[-1]["id"]

    meta = text(page(running, f"/messages/{number}").css_first(".meta"))

    assert "error-1: the sender was not told that it was accepted" in meta


def test_a_raw_message_is_downloaded_as_a_file(running: Running) -> None:
    [number] = send(running, "ana@example.org")

    answer = running.get(f"/messages/{number}/raw")

    assert answer.headers["content-type"].startswith("message/rfc822")
    assert answer.headers["content-disposition"].endswith('.eml"')
    assert b"Subject: Hello Ana\r\n" in answer.content


def test_a_text_email_opens_as_text(running: Running) -> None:
    [number] = send(running, "ana@example.org", Html="")

    assert text(page(running, f"/messages/{number}").css_first("pre.text")) == "Dear Ana"


def test_what_failed_to_render_shows_its_template(running: Running) -> None:
    running.client("sesv2").send_bulk_email(**bulk([entry("ana@example.org", {"other": 1})]))
    [record] = running.records()

    tree = page(running, f"/messages/{record['id']}")

    assert text(tree.css_first("main .chip")) == "Rendering failed"
    assert text(tree.css_first("h1")) == "(no subject)"
    assert text(tree.css_first("pre")) == "Dear {{name}}"


def test_senders_cannot_put_markup_into_the_page(running: Running) -> None:
    nasty = '"<script>alert(1)</script>"@example.org'
    [number] = send(running, nasty, Subject="<img src=x onerror=alert(1)>")

    for path in ("/", f"/messages/{number}", f"/messages/{number}?view=headers", f"/messages/{number}?view=raw"):
        assert "<script>" not in running.get(path).text
        assert "<img" not in running.get(path).text


@pytest.mark.parametrize("path", ["/messages/999999", "/messages/999999/html", "/messages/999999/raw"])
def test_a_message_that_is_not_there_is_not_found(running: Running, path: str) -> None:
    assert running.get(path).status_code == 404


def test_the_overview_names_what_was_changed(running: Running) -> None:
    assert "Every email is delivered" in text(page(running).css_first("main"))

    running.settings(bounce_rate=0.01, sending_enabled=False)

    overview = text(page(running).css_first("main"))
    assert "Bounce rate 1 %" in overview
    assert "Healthy, paused" in overview


def test_styles_are_served(running: Running) -> None:
    assert "prefers-color-scheme: dark" in running.get("/static/inbox.css").text
    assert running.get("/static/favicon.svg").headers["content-type"].startswith("image/svg+xml")
