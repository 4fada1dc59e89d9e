"""A real Chromium against the real site. Skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Error, Page, Request, Response, sync_playwright
from pytest_django.live_server_helper import LiveServer

from organizations.models import User
from organizations.services.sign_in import create_sign_in_link
from tests.cast import Cast, make_cast


@dataclass
class Watched:
    """A page, and everything that went wrong on it."""

    page: Page
    base: str
    troubles: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.base + path)

    def sign_in(self, user: User) -> None:
        self.open(create_sign_in_link(user=user))
        self.page.click("button")
        self.page.wait_for_url("**/admin/")

    def is_scrolling_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    # Playwright's loop runs in this thread, and Django would refuse to use the database beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error:
            pytest.skip("no Chromium here")
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def watched(chromium: Browser, live_server: LiveServer, people: Cast) -> Iterator[Watched]:
    """A laptop's page that notes console errors, failed requests and requests to other hosts."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(5000)
    page = context.new_page()
    watched = Watched(page, live_server.url)

    def note_request(request: Request) -> None:
        if not request.url.startswith((live_server.url, "data:")):
            watched.troubles.append(f"asked {request.url}")

    def note_response(response: Response) -> None:
        if response.status >= 400:
            watched.troubles.append(f"{response.status} {response.url}")

    page.on("console", lambda line: watched.troubles.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: watched.troubles.append(str(error)))
    page.on("request", note_request)
    page.on("response", note_response)
    yield watched
    context.close()
