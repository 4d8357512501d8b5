"""Every page of the admin in a real browser: nothing forbidden, nothing unreadable, nothing out of sight."""

import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.portal import Portal
from tests.browser.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Answers that are not pages, or end the session.
NOT_PAGES = re.compile(r"/admin/(logout/|jsi18n/|feeds/feed/export/)")
START = "/admin/"
AXE = Axe()


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def kind_of(url: str) -> str:
    """One name for all addresses that differ in keys and filters only."""
    return re.sub(r"\d+", "<n>", urlsplit(url).path)


def links_of(page: Page, base: str) -> list[str]:
    found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
    inside = [url.split("#")[0].removeprefix(base) for url in found if url.startswith(f"{base}/admin/")]
    return [url for url in inside if not NOT_PAGES.match(url)]


def faults_of(page: Page) -> list[str]:
    """What axe finds, and what leaves the window at its side."""
    findings = AXE.run(page).response["violations"]
    faults = [f"{finding['id']}: {finding['nodes'][0]['html'][:200]}" for finding in findings]
    beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*faults, *([f"{beyond} px beyond the window"] if beyond > 0 else [])]


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (390, "dark")])
def test_s19_every_page_of_the_admin_is_clean(chromium: Browser, portal: Portal, width: int, scheme: str) -> None:
    base = f"http://127.0.0.1:{portal.port}"
    size = {"width": width, "height": 850}
    faults: dict[str, list[str]] = {}
    with chromium.new_context(base_url=base, viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        console: list[str] = []
        page.on("console", lambda message: console.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: console.append(str(error)))
        page.goto("/admin/login/")
        faults["login"] = faults_of(page)
        sign_in(page)
        waiting, seen = [START], {kind_of(START)}
        while waiting:
            url = waiting.pop(0)
            console.clear()
            answer = page.goto(url)
            told = [f"console: {text}" for text in console]  # before axe, which adds styles of its own
            if answer.status != 200:
                told.append(f"HTTP {answer.status}")
            faults[url] = [*told, *faults_of(page)]
            for link in links_of(page, base):
                if kind_of(link) not in seen and len(seen) < 70:
                    seen.add(kind_of(link))
                    waiting.append(link)
    assert {url: found for url, found in faults.items() if found} == {}
    assert len(seen) > 35


def test_a_feed_is_changed_with_the_keyboard_alone(admin: Page) -> None:
    admin.goto("/admin/feeds/feed/?q=BADGE")
    admin.get_by_role("link", name="BADGE-READERS").first.focus()
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("heading", level=1)).to_contain_text("BADGE-READERS")
    admin.get_by_role("radio", name="Receive").focus()
    admin.keyboard.press("ArrowRight")
    expect(admin.get_by_role("radio", name="Reject")).to_be_checked()
    admin.keyboard.press("ArrowLeft")
    for _ in range(40):
        admin.keyboard.press("Tab")
        if admin.evaluate("document.activeElement.name") == "change_comment":
            break
    admin.keyboard.type("with the keyboard")
    admin.keyboard.press("Enter")
    expect(admin.get_by_text("changed successfully").first).to_be_visible()


@pytest.fixture
def plain(chromium: Browser, portal: Portal) -> BrowserContext:
    """A browser that runs no script."""
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False) as context:
        yield context


def test_a_rule_is_added_without_any_script(plain: BrowserContext) -> None:
    page = plain.new_page()
    sign_in(page)
    page.goto("/admin/feeds/feed/add/")
    page.get_by_label("Name", exact=False).first.fill("NO-SCRIPT-FEED")
    page.get_by_label("Paste a PEM certificate or a DN").fill("/C=GB/O=Example/CN=no-script")
    page.get_by_role("button", name="Read it into a new rule").click()
    expect(page.get_by_text("Read and added above as a new row")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/admin/feeds/feed/?q=no-script")
    page.get_by_role("link", name="NO-SCRIPT-FEED").first.click()
    expect(page.get_by_label("Subject DN").first).to_have_value("/C=GB/O=Example/CN=no-script")
    expect(page.get_by_text("Reads as CN=no-script,O=Example,C=GB")).to_be_visible()


def test_a_picture_shows_the_latest_hour_on_a_phone(chromium: Browser, portal: Portal) -> None:
    """The demonstration's deliveries were all made just now."""
    window = {"width": 390, "height": 800}
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}", viewport=window) as context:
        page = context.new_page()
        sign_in(page)
        page.goto("/admin/")
        picture = page.locator(".chart-scroll").first
        assert picture.evaluate("it => it.scrollWidth > it.clientWidth"), "it does not fit"
        bar, seen = picture.locator(".bar-refused").last.bounding_box(), picture.bounding_box()
        assert seen["x"] <= bar["x"]
        assert bar["x"] + bar["width"] <= seen["x"] + seen["width"]


#: Two thousand feeds, one of them with the longest name and the longest owner that there can be.
MANY_FEEDS = """
from feeds.models import Feed
Feed.objects.bulk_create(
    Feed(name=f"MANY-FEEDS-PROD-EVENTS-V{n:04}", owner="Payroll team", description="many") for n in range(1999)
)
Feed.objects.create(name="MANY-" + "X" * 250, owner="w" * 200)
"""


def test_twenty_feeds_are_seen_at_once_with_all_their_figures(chromium: Browser, portal: Portal) -> None:
    portal.manage("shell", "-c", MANY_FEEDS)
    window = {"width": 1366, "height": 850}
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}", viewport=window) as context:
        page = context.new_page()
        sign_in(page)
        page.goto("/admin/feeds/feed/?o=-1&q=MANY")
        rows = page.locator("#result_list tbody tr")
        boxes = [rows.nth(place).bounding_box() for place in range(50)]
        assert sum(box["y"] + box["height"] <= 850 for box in boxes) >= 20
        assert all(box["height"] < 34 for box in boxes)
        columns = page.locator("#result_list tbody tr:first-child > *")
        last = columns.nth(columns.count() - 1).bounding_box()
        beside = page.locator("#changelist-filter").bounding_box()
        assert last["x"] + last["width"] <= beside["x"]
        expect(page.locator("#changelist-filter")).to_contain_text("Receive (2000)")


def test_the_numbers_behind_a_picture_open_without_script(plain: BrowserContext) -> None:
    page = plain.new_page()
    sign_in(page)
    page.get_by_text("Show numbers").first.click()
    expect(page.get_by_role("columnheader", name="Refused").first).to_be_visible()
