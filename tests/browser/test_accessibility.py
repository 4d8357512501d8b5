"""Public pages in a real browser: accessible in each scheme, reachable by keyboard, true to their CSP."""

from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from benchmarks.portal import Portal
from tests.browser.public import NARROW, PAGES, TEMPLATES, VARIANTS, fetch
from tests.helpers.tiers import some

pytestmark = pytest.mark.browser

Screen = tuple[int, Literal["light", "dark"]]
#: Each width, and both schemes at a narrow and at a wide one: colours do not depend on the width.
SCREENS: tuple[Screen, ...] = ((NARROW, "light"), (768, "dark"), (1366, "light"), (1920, "dark"))
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = "axe.run(document).then((found) => found.violations.map((fault) => `${fault.id}: ${fault.nodes[0].html}`))"


def faults_at(page: Page, path: str, screens: tuple[Screen, ...]) -> dict[Screen, list[str]]:
    """Return what axe finds on a page; the script is loaded once for all screens."""
    page.goto(path)
    page.evaluate(AXE)
    found = {}
    for width, scheme in screens:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found[width, scheme] = page.evaluate(RUN)
    return {screen: faults for screen, faults in found.items() if faults}


@pytest.mark.parametrize("path", some(TEMPLATES, quick=6))
def test_a_template_has_no_accessibility_faults_at_any_width(page: Page, path: str) -> None:
    assert faults_at(page, path, SCREENS) == {}


@pytest.mark.parametrize("path", some(VARIANTS, quick=3))
def test_a_page_has_no_accessibility_faults(page: Page, path: str) -> None:
    assert faults_at(page, path, SCREENS[:1]) == {}


def test_axe_sees_a_fault(page: Page) -> None:
    page.goto("/codes/http/503/")
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    page.evaluate(AXE)
    assert any(fault.startswith("button-name") for fault in page.evaluate(RUN))


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
