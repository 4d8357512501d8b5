"""The real server in a process of its own, and a real browser in front of it."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks.portal import Portal, running

PASSWORD = "browser-test-phrase"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def portal() -> Iterator[Portal]:
    """A running portal with the sample data of `make demo`."""
    with running(PORTAL_ADMIN_PASSWORD=PASSWORD, PORTAL_WORKERS="1") as started:
        started.manage("demo", "--deliveries", "80")
        yield started


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; the tests that need it are skipped, saying so, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    # Playwright runs an event loop in this thread, in which Django would refuse to touch its database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            yield browser
            browser.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context(chromium: Browser, portal: Portal) -> Iterator[BrowserContext]:
    """A browser window of its own, with nothing remembered; any attempt to load from outside fails the test."""
    outside: list[str] = []
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}") as window:
        window.on(
            "request",
            lambda request: (
                outside.append(request.url)
                if not request.url.startswith((f"http://127.0.0.1:{portal.port}/", "data:"))
                else None
            ),
        )
        yield window
    assert outside == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page whose console has to stay free of errors and policy violations."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.complaints = complaints  # type: ignore[attr-defined]
    return page


@pytest.fixture
def admin(page: Page) -> Page:
    """A page signed in as the administrator."""
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    return page
