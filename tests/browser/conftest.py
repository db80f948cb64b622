"""A real browser against a live server. Without Chromium these tests are skipped.

TALLYPORT_REQUIRE_BROWSER=1 makes its absence a failure; TALLYPORT_CHROMIUM names another binary.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    ViewportSize,
    sync_playwright,
)
from pytest_django.live_server_helper import LiveServer

from customers.models import User

CHROMIUM = os.environ.get("TALLYPORT_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = ViewportSize(width=390, height=844)
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if shutil.which(CHROMIUM) is None:
        reason = (
            f"there is no Chromium at {CHROMIUM}: install one, or name it in TALLYPORT_CHROMIUM"
        )
        if os.environ.get("TALLYPORT_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, in which Django refuses to query.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A browser window on the live server, and what went wrong in it."""

    page: Page
    server: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.server + path)

    def note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(message.text)


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer) -> Iterator[Callable[..., Visit]]:
    """Return an opener of phone-sized windows, logged in as a user if one is given."""
    contexts: list[BrowserContext] = []

    def opened(user: User | None = None, *, scripts: bool = True) -> Visit:
        context = chromium.new_context(viewport=PHONE, java_script_enabled=scripts)
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            session = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        made = Visit(page, live_server.url)
        page.on("console", made.note)
        page.on("pageerror", lambda error: made.faults.append(str(error)))
        return made

    yield opened
    for context in contexts:
        context.close()
