"""Simulated readers: they fetch what a mail client would fetch, from this machine only.

A reader opens an email by loading its images and clicks by following a link; a privacy proxy loads the images of
whoever uses it, a scanner follows every link; an unsubscriber uses the one-click address of RFC 8058.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlsplit

import urllib3

from localses import mime
from localses.store import StoredMessage

logger = logging.getLogger("localses")

BROWSERS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile "
    "Safari/537.36",
)
PRIVACY_PROXY = "Mozilla/5.0"  # Apple's Mail Privacy Protection says exactly this and no more
SCANNER = "Mozilla/5.0 (compatible; BarracudaLinkProtect/2.0)"
QUIET_SECONDS = 30.0
_NOT_FOLLOWED = re.compile(r"unsubscribe|preferences|manage", re.IGNORECASE)
_URL = re.compile(r"<(https?://[^<>\s]+)>")
_TIMEOUT = urllib3.Timeout(connect=3, read=10)


@dataclass(frozen=True, slots=True)
class Act:
    """What a reader did: what SES itself would have seen of it, and a line for the inbox."""

    kind: str | None
    user_agent: str
    link: str
    said: str


class _Finder(HTMLParser):
    """Collects what can be loaded and what can be followed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.images: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the address out of an image or a link."""
        values = dict(attrs)
        if tag == "img" and values.get("src"):
            self.images.append(str(values["src"]).strip())
        elif tag == "a" and values.get("href"):
            self.links.append(str(values["href"]).strip())


def is_loopback(url: str) -> bool:
    """Say whether a URL points to this machine; nothing else is ever fetched."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    if parts.hostname == "localhost" or parts.hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def find(html: str) -> tuple[list[str], list[str]]:
    """Return the image and link addresses of an email on this machine, each once, in order."""
    finder = _Finder()
    finder.feed(html)
    finder.close()
    images = list(dict.fromkeys(url for url in finder.images if is_loopback(url)))
    return images, list(dict.fromkeys(url for url in finder.links if is_loopback(url)))


class Readers:
    """Acts as the people and machines that get emails."""

    def __init__(self) -> None:
        # Neither cookies nor redirects: a reader's address may lead off this machine.
        self._tells_at = 0.0
        self._http = urllib3.PoolManager(maxsize=8, retries=False, timeout=_TIMEOUT)

    def act(self, kind: str, message: StoredMessage) -> Act:
        """Do what `kind` says with one email. Failures of the other side are told, not raised."""
        draw = hashlib.blake2b(message["message_id"].encode(), digest_size=2).digest()
        browser = BROWSERS[draw[0] % len(BROWSERS)]
        if kind == "READ_UNSUBSCRIBE":
            return self._unsubscribe(message, browser, multipart=draw[1] % 2 == 0)
        images, links = find(mime.render(message).html)
        if kind == "READ_SCAN":
            said = [self._get(url, SCANNER) for url in links]
            return Act("CLICK" if links else None, SCANNER, links[0] if links else "", _summary("Scanned links", said))
        if kind == "READ_CLICK":
            wanted = [url for url in links if not _NOT_FOLLOWED.search(url)]
            if not wanted:
                return Act(None, browser, "", "Nothing to click")
            link = wanted[draw[1] % len(wanted)]
            return Act("CLICK", browser, link, f"Clicked: {self._get(link, browser)} {link}")
        agent = PRIVACY_PROXY if kind == "READ_PREFETCH" else browser
        said = [self._get(url, agent) for url in images]
        verb = "Prefetched images" if kind == "READ_PREFETCH" else "Opened"
        return Act("OPEN", agent, "", _summary(verb, said))

    def _unsubscribe(self, message: StoredMessage, browser: str, *, multipart: bool) -> Act:
        headers = {name.lower(): value for name, value in mime.render(message).headers}
        found = _URL.search(headers.get("list-unsubscribe", ""))
        one_click = headers.get("list-unsubscribe-post", "") == "List-Unsubscribe=One-Click"
        if found is None or not one_click or not is_loopback(found[1]):
            return Act(None, browser, "", "No one-click address on this machine")
        # Both encodings of RFC 8058: mail providers use either.
        status = self._send("POST", found[1], browser, multipart=multipart)
        return Act(None, browser, "", f"Unsubscribed with one click: {status}")

    def _get(self, url: str, agent: str) -> str:
        return self._send("GET", url, agent)

    def _send(self, method: str, url: str, agent: str, *, multipart: bool = False) -> str:
        fields = {"List-Unsubscribe": "One-Click"} if method == "POST" else None
        try:
            response = (
                self._http.request(
                    method,
                    url,
                    fields=fields,
                    headers={"User-Agent": agent},
                    redirect=False,
                    encode_multipart=multipart,
                )
                if fields
                else self._http.request(method, url, headers={"User-Agent": agent}, redirect=False)
            )
        except urllib3.exceptions.HTTPError as error:
            self._tell(error)
            return type(error).__name__
        return str(response.status)

    def _tell(self, error: Exception) -> None:
        """Log a failure, and the like of it at most once in a while: when the site stops, thousands may follow."""
        now = time.monotonic()
        if now >= self._tells_at:
            self._tells_at = now + QUIET_SECONDS
            logger.warning("localses.reader_failed", extra={"error": type(error).__name__})


def _summary(verb: str, said: list[str]) -> str:
    return f"{verb}: {', '.join(said)}" if said else f"{verb}: nothing on this machine"
