"""Public pages in a real browser, used as a visitor does."""

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.portal import Portal

pytestmark = pytest.mark.browser

PASTED = "HTTP/1.1 406 Not Acceptable\nStroom-Status: 110\n\nStroom Status 110 - Feed is not set to receive data\n"


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
