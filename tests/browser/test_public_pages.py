"""Every kind of public page in a real browser: accessible, fitting every screen, light, and quiet."""

import gzip
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from benchmarks.portal import Portal

pytestmark = pytest.mark.browser

PAGES = [
    "/",
    "/codes/",
    "/codes/?q=too+large",
    "/codes/?q=no+such+thing+at+all",
    "/codes/?q=502+503+504+cloudflare",
    "/codes/?q=1020",
    "/codes/?retry=often&sort=name",
    "/codes/http/",
    "/codes/http/4xx/",
    "/codes/http/404/",
    "/codes/http/503/",
    "/codes/http/451/",
    "/codes/http/451/microsoft/",
    "/codes/http/499/",
    "/codes/http/471/",
    "/codes/http/799/",
    "/codes/http/12/",
    "/codes/stroom/",
    "/codes/stroom/110/",
    "/codes/stroom/315/",
    "/codes/stroom/310/",
    "/codes/stroom/555/",
    "/codes/lookup/",
    "/codes/lookup/?http=403&stroom=310",
    "/codes/lookup/?http=404&stroom=310",
    "/codes/explain/",
    "/codes/compare/",
    "/codes/compare/?codes=301,302,307,308",
    "/codes/disagreements/",
    "/codes/sources/",
    "/codes/sources/?q=iana",
    "/codes/sources/http-status-workshop/",
    "/codes/vendors/",
    "/codes/vendors/nginx/",
    "/codes/headers/",
    "/codes/headers/retry-after/",
    "/codes/data/",
    "/docs/",
    "/docs/sending-data/",
    "/docs/settings/",
]
WIDTHS = (360, 768, 1366, 1920)
#: Each width, and both schemes at a narrow and at a wide one: colours do not depend on the width.
SCREENS: tuple[tuple[int, Literal["light", "dark"]], ...] = (
    (360, "light"),
    (768, "dark"),
    (1366, "light"),
    (1920, "dark"),
)
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
PASTED = "HTTP/1.1 406 Not Acceptable\nStroom-Status: 110\n\nStroom Status 110 - Feed is not set to receive data\n"


def complaints_of_axe(page: Page) -> list[str]:
    return [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in Axe().run(page).response["violations"]]


def fetch(portal: Portal, path: str) -> tuple[bytes, http.client.HTTPMessage]:
    """Body as it came over the wire, and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        return answer.read(), answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_accessibility_faults_at_any_width(page: Page, path: str) -> None:
    page.goto(path)
    found = {}
    for width, scheme in SCREENS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found[width, scheme] = complaints_of_axe(page)
    assert {where: faults for where, faults in found.items() if faults} == {}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_every_width_and_makes_at_most_three_requests(page: Page, path: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path)
    loaded = [url for url in requests if not url.startswith("data:")]
    assert len(loaded) <= 3, loaded
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{path} scrolls sideways by {too_wide} px at {width} px"
    assert [text for text in page.complaints if not OWN_STATUS.search(text)] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [360, 1366])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_moves_once_it_is_painted(page: Page, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(WATCH_SHIFTS)
    page.goto(path)
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") < 0.001
    page.mouse.wheel(0, 2000)
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") < 0.001


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
        assert page.evaluate("window.shifted") < 0.0025


def test_what_does_move_is_seen(page: Page) -> None:
    page.add_init_script(WATCH_SHIFTS)
    page.goto("/codes/http/503/")
    page.evaluate(PAINTED)
    page.evaluate(
        "document.querySelector('main').before(Object.assign(document.createElement('h1'), {innerText: 'x'}))"
    )
    page.evaluate(PAINTED)
    assert page.evaluate("window.shifted") > 0.001


@pytest.mark.parametrize("path", PAGES)
def test_a_page_weighs_less_than_30_kb_over_the_wire_with_all_that_it_loads(portal: Portal, path: str) -> None:
    body, headers = fetch(portal, path)
    html = (gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body).decode()
    loaded = re.findall(r'<(?:link rel="stylesheet"|script|img)[^>]*? (?:href|src)="(/[^"]+)"', html)
    assert len(loaded) == 2
    assert len(body) + sum(len(fetch(portal, address)[0]) for address in loaded) < 30_000


def test_the_answer_is_in_the_first_screen_of_a_phone_on_every_page_of_a_code(page: Page, portal: Portal) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    listed = json.loads(gzip.decompress(fetch(portal, "/api/v1/codes/?fields=url")[0]))["results"]
    assert len(listed) > 100
    below = {}
    for path in (row["url"] for row in listed):
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


def test_a_pasted_answer_is_explained_without_a_script(chromium: Browser, portal: Portal) -> None:
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False) as window:
        page = window.new_page()
        page.set_default_timeout(10_000)
        page.goto("/codes/explain/")
        page.get_by_role("textbox").last.fill(PASTED)
        page.get_by_role("button", name="Explain").click()
        expect(page.locator("mark").first).to_be_visible()
        expect(page.locator("main")).to_contain_text("Feed is not set to receive data")
        expect(page.locator("main")).to_contain_text("406")


def test_the_look_up_box_understands_numbers_pairs_and_words(page: Page) -> None:
    for typed, wanted in (
        ("503", "/codes/http/503/"),
        ("406/110", "/codes/lookup/"),
        ("stroom 310", "/codes/stroom/310/"),
    ):
        page.goto("/codes/http/404/")
        box = page.get_by_role("searchbox").first
        box.fill(typed)
        box.press("Enter")
        page.wait_for_url(f"**{wanted}*")


def test_the_slash_key_leads_to_the_look_up_box_but_can_be_typed_in_it(page: Page) -> None:
    page.goto("/codes/http/503/")
    page.keyboard.press("/")
    box = page.get_by_role("searchbox").first
    expect(box).to_be_focused()
    page.keyboard.type("406/110")
    expect(box).to_have_value("406/110")


def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    page.goto("/codes/http/503/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_s19_no_public_page_breaks_the_content_security_policy(page: Page, portal: Portal) -> None:
    for path in (*PAGES, "/api/docs/"):
        _, headers = fetch(portal, path)
        policy = headers["Content-Security-Policy"] or ""
        assert "object-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        page.goto(path)
    complaints = page.complaints  # type: ignore[attr-defined]
    assert [text for text in complaints if "Content Security Policy" in text] == []
