"""Paper: a code and the list of all codes each take one A4 page, and a command can be copied on the screen."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.portal import Portal

LONGEST = ["/codes/", "/codes/stroom/", "/codes/http/401/", "/codes/http/308/", "/codes/http/499/"]


def pages_of(page: Page, address: str) -> int:
    page.goto(address)
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))


def test_the_list_and_the_longest_codes_take_one_page(context: BrowserContext) -> None:
    page = context.new_page()
    assert {address: pages_of(page, address) for address in LONGEST} == dict.fromkeys(LONGEST, 1)


@pytest.mark.long
def test_every_code_takes_one_page(context: BrowserContext) -> None:
    page = context.new_page()
    codes = page.request.get("/api/v1/codes/?limit=1000&fields=registry,code").json()["results"]
    addresses = [f"/codes/{code['registry']}/{code['code']}/" for code in codes]
    taken = {address: pages_of(page, address) for address in addresses}
    assert len(taken) > 100
    assert {key: count for key, count in taken.items() if count != 1} == {}


def test_the_command_is_copied_with_one_click_and_works(context: BrowserContext, portal: Portal) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto("/codes/http/503/")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == f"curl -i 'http://127.0.0.1:{portal.port}/try/http/503/'"
    assert page.request.get(command.split("'")[1]).status == 503


def test_without_scripts_there_is_no_button_that_does_nothing(chromium: Browser, portal: Portal) -> None:
    with chromium.new_context(java_script_enabled=False, base_url=f"http://127.0.0.1:{portal.port}") as window:
        page = window.new_page()
        page.goto("/codes/http/503/")
        assert page.locator("button.copy").is_hidden()
        assert page.locator(".command code").is_visible()
