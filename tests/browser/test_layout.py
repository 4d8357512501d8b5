"""Layout of public pages in a real browser: they fit every width, stand still, weigh little, and answer at once."""

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.portal import Portal
from tests.browser.public import NARROW, PAGES, TEMPLATES, fetch
from tests.helpers.tiers import sizes

pytestmark = pytest.mark.browser

#: The Core Web Vitals call a shift score of 0.1 good; a tenth of it cannot be seen. A busy machine may reach 0.002.
STILL = 0.01
WIDTHS = (360, 768, 1366, 1920)
# Adds up how far what was painted moved afterwards, from the first paint on.
WATCH_SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
#: Chromium complains of a page that is not found, or refuses what it was asked; both are kinds of pages.
OWN_STATUS = re.compile(r"status of 40[04] ")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_every_width_and_makes_at_most_four_requests(page: Page, path: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path)
    loaded = [url for url in requests if not url.startswith("data:")]
    assert len(loaded) <= 4, loaded
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{path} scrolls sideways by {too_wide} px at {width} px"
    assert [text for text in page.complaints if not OWN_STATUS.search(text)] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "width"), [*((path, NARROW) for path in PAGES), *((path, 1366) for path in TEMPLATES)]
)
def test_nothing_moves_once_it_is_painted(page: Page, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(WATCH_SHIFTS)
    page.goto(path)
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") < STILL
    page.mouse.wheel(0, 2000)
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") < STILL


#: Short ones, whose end is at the end of the window, and those with things beside each other.
IN_PIECES = ["/", "/codes/?q=1020", "/codes/lookup/?http=403&stroom=310", "/codes/http/471/", "/docs/"]


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    """Whole lines, so that no text is cut where it would be broken otherwise."""
    start = 0
    while start < len(content):
        end = content.find(b"\n", start + size) + 1 or len(content)
        yield content[start:end]
        start = end


@contextmanager
def slow_network(portal: Portal) -> Iterator[str]:
    """In front of the portal, what hands on each page in small pieces, with time to paint between them."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, headers = fetch(portal, self.path)
            plain = gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body
            self.send_response(200)
            self.send_header("Content-Type", headers["Content-Type"])
            self.send_header("Content-Length", str(len(plain)))
            self.end_headers()
            size = 400 if headers["Content-Type"].startswith("text/html") else len(plain)
            for piece in pieces(plain, size):
                self.wfile.write(piece)
                time.sleep(0.03)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("width", [360, 1366])
@pytest.mark.parametrize("path", IN_PIECES)
def test_nothing_moves_while_the_page_is_still_coming(
    chromium: Browser, portal: Portal, path: str, width: int
) -> None:
    with (
        slow_network(portal) as address,
        chromium.new_context(base_url=address, viewport={"width": width, "height": 800}) as context,
    ):
        page = context.new_page()
        page.add_init_script(WATCH_SHIFTS)
        page.goto(path)
        page.evaluate(PAINTED)
        # Single words at the right may still make room for the next one; no part of the page does.
        assert page.evaluate("window.shifted") < STILL


def test_what_does_move_is_seen(page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto("/codes/http/503/")
    page.evaluate(PAINTED)
    page.evaluate(
        "document.querySelector('main').before(Object.assign(document.createElement('h1'), {innerText: 'x'}))"
    )
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") > STILL


@pytest.mark.parametrize("path", PAGES)
def test_a_page_weighs_less_than_30_kb_over_the_wire_with_all_that_it_loads(portal: Portal, path: str) -> None:
    body, headers = fetch(portal, path)
    html = (gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body).decode()
    loaded = re.findall(r'<(?:link rel="stylesheet"|script|img)[^>]*? (?:href|src)="(/[^"]+)"', html)
    assert len(loaded) == 3
    assert len(body) + sum(len(fetch(portal, address)[0]) for address in loaded) < 30_000


@pytest.mark.parametrize("every", sizes(10, 1))
def test_the_answer_is_in_the_first_screen_of_a_phone_on_every_page_of_a_code(
    page: Page, portal: Portal, every: int
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    listed = json.loads(gzip.decompress(fetch(portal, "/api/v1/codes/?fields=url")[0]))["results"]
    assert len(listed) > 100
    below = {}
    for path in (row["url"] for row in listed[::every]):
        page.goto(path)
        # The verdict as a whole, and the first line of what the sender does.
        verdict = page.locator(".do-now .verdict strong").first.bounding_box()
        sender = page.locator(".do-now dd").first.bounding_box()
        assert verdict is not None
        assert sender is not None
        end = max(verdict["y"] + verdict["height"], sender["y"] + 24)
        if end > 740:
            below[path] = end
    assert below == {}
