"""Every page of the admin in a real browser: nothing forbidden, nothing unreadable, nothing out of sight."""

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.portal import Portal
from tests.browser.conftest import PASSWORD
from tests.helpers.tiers import long

pytestmark = [pytest.mark.browser]

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


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), long(390, "dark")])
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
    admin.get_by_role("link", name="Edit").focus()
    admin.keyboard.press("Enter")
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
def plain(chromium: Browser, portal: Portal) -> Iterator[BrowserContext]:
    """A browser that runs no script."""
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False) as context:
        yield context


def test_a_rule_is_added_without_any_script(plain: BrowserContext) -> None:
    page = plain.new_page()
    sign_in(page)
    page.goto("/admin/feeds/feed/add/")
    page.get_by_label("Name", exact=False).first.fill("NO-SCRIPT-FEED")
    page.get_by_label("Paste a PEM certificate or a DN").fill("/C=GB/O=Example/CN=no-script")
    page.get_by_role("button", name="Add as a rule").click()
    expect(page.get_by_text("Read and added above as a new row")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/admin/feeds/feed/?q=no-script")
    page.get_by_role("link", name="NO-SCRIPT-FEED").first.click()
    page.get_by_role("link", name="Edit").click()
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


#: The longest of everything that people and senders can bring into the admin.
LONGEST = """
from datetime import UTC, datetime, timedelta
from django.contrib.auth.models import User
from feeds.history import commented
from feeds.models import CertificateRule, Feed, HourlyCount, Receipt, RefusalSample, RetentionPolicy
name, dn, now = "LONGEST-" + "X" * 247, "CN=" + "x" * 1000 + ",O=" + "y" * 900, datetime.now(UTC)
with commented("w" * 2000):
    feed = Feed.objects.create(name=name, owner="o" * 200, description="d" * 3000, labels=["l" * 200])
    CertificateRule.objects.create(feed=feed, subject_dn=dn, comment="c" * 500, expires=now + timedelta(days=9))
    Feed.objects.create(name="GONE-" + "Y" * 250).delete()
User.objects.create_user("u" * 150, email="e" * 100 + "@example.org")
RetentionPolicy.objects.create(feed=name, keep_days=3)
hour = now.replace(minute=0, second=0, microsecond=0)
counted = {"feed": name, "http_status": 403, "stroom_status": 310}
sent = {"receipt_id": "r" * 120, "request_id": "q" * 128, "sender_dn": dn, "headers": {"N" * 99: "v" * 999}}
HourlyCount.objects.create(hour=hour, outcome="refused", count=3, **counted)
trace = [{"step": 1, "outcome": "stop", "explanation": "e" * 999}]
RefusalSample.objects.create(at=now, trace=trace, **counted, **sent)
stored = {"sha256": "a" * 64, "path": "p" * 300, "guid": "g" * 200}
Receipt.objects.create(feed=name, received_at=now, bytes=10**15, **stored, **sent)
"""
WITH_THE_LONGEST = {
    "/admin/feeds/feed/?q=LONGEST": ["", "change/", "history/", "delete/"],
    "/admin/feeds/feed/deleted/?q=GONE": [""],
    "/admin/feeds/refusalsample/now/": [],
    "/admin/feeds/refusalsample/?q=LONGEST": ["change/"],
    "/admin/feeds/receipt/?q=LONGEST": ["change/"],
    "/admin/feeds/hourlycount/?q=LONGEST": [],
    "/admin/feeds/retentionpolicy/?q=LONGEST": ["change/"],
    "/admin/auth/user/?q=uuuu": ["change/"],
    "/admin/portal/apitoken/add/": [],
    "/admin/portal/auditrecord/?q=LONGEST": ["change/"],
}


@pytest.mark.long
def test_the_longest_values_neither_widen_a_page_nor_hide_the_other_columns(
    chromium: Browser, portal: Portal
) -> None:
    portal.manage("shell", text=LONGEST)
    base = f"http://127.0.0.1:{portal.port}"
    faults: dict[str, list[str]] = {}
    with chromium.new_context(base_url=base, viewport={"width": 390, "height": 850}) as context:
        page = context.new_page()
        sign_in(page)
        for address, kinds in WITH_THE_LONGEST.items():
            page.goto(address)
            rows = [re.search(r".*/\d+/(?=change/|$)", url.split("?")[0]) for url in links_of(page, base)]
            keys = [row[0] for row in rows if row and row[0] != "/admin/auth/user/1/"]
            boxes = page.locator("input.action-select")  # feeds are at their names
            keys += [f"/admin/feeds/feed/{boxes.first.get_attribute('value')}/"] if boxes.count() else []
            one = [keys[0] + kind for kind in kinds]
            for url in [address, *one]:
                page.set_viewport_size({"width": 390, "height": 850})
                page.goto(url)
                faults[url] = faults_of(page)
                page.set_viewport_size({"width": 1366, "height": 850})
                cells = "#result_list tbody tr:first-child > *, .table-scroll tbody tr:first-child > *"
                widest = max([0, *page.eval_on_selector_all(cells, "all => all.map(it => it.clientWidth)")])
                faults[url] += [f"a cell of {widest} px"] if widest > 900 else []
                faults[url] += faults_of(page)
    assert {url: found for url, found in faults.items() if found} == {}
    assert len(faults) > 15


def test_no_row_of_buttons_covers_another(chromium: Browser, portal: Portal) -> None:
    base = f"http://127.0.0.1:{portal.port}"
    with chromium.new_context(base_url=base, viewport={"width": 1366, "height": 850}) as context:
        page = context.new_page()
        sign_in(page)
        page.goto("/admin/feeds/receiptrule/add/")
        for position in ("0", "document.body.scrollHeight"):
            page.evaluate(f"scrollTo(0, {position})")
            box = page.locator("[name=_save]").bounding_box()
            assert box is not None
            middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            assert page.evaluate("([x, y]) => document.elementFromPoint(x, y)?.name", middle) == "_save"


@pytest.mark.long
def test_pages_that_only_a_button_leads_to_are_clean_too(chromium: Browser, portal: Portal) -> None:
    base = f"http://127.0.0.1:{portal.port}"
    rows = [{"name": "BADGE-READERS", "status": "Drop"}, {"name": "no good name", "status": "Nope"}]
    faults: dict[str, list[str]] = {}
    for width, scheme in ((1366, "light"), (390, "dark")):
        size = {"width": width, "height": 850}
        with chromium.new_context(base_url=base, viewport=size, color_scheme=scheme) as context:
            page = context.new_page()
            sign_in(page)

            def look(what: str, page: Page = page, width: int = width) -> None:
                faults[f"{what} at {width}"] = faults_of(page)

            page.goto("/admin/feeds/feed/?q=BADGE")
            page.locator("#action-toggle").check()
            page.locator("select[name=action]").select_option(index=3)
            page.get_by_role("button", name="Go").click()
            expect(page.get_by_role("heading", level=1)).to_contain_text("Set feeds to Drop")
            look("many at once")
            for number, content in enumerate((rows[:1], rows, "not feeds")):
                page.goto("/admin/feeds/feed/import/")
                file = {"name": "f.json", "mimeType": "application/json", "buffer": json.dumps(content).encode()}
                page.locator("input[type=file]").set_input_files([file])
                page.get_by_role("button", name="Show what would change").click()
                look(f"import {number}")
            page.goto("/admin/feeds/feed/?q=BADGE")
            page.get_by_role("link", name="BADGE-READERS").first.click()
            page.get_by_role("link", name="Clone…").click()
            expect(page.locator("#id_name")).to_be_visible()
            look("clone")
            page.locator("#id_name").fill("no good name")
            page.get_by_role("button", name="Save", exact=True).click()
            expect(page.get_by_text("Please correct the error")).to_be_visible()
            look("refused copy")
            for action in ("edit_values", "add_rule", "remove_rule"):
                page.goto("/admin/feeds/feed/?q=EVENTS")
                page.locator("#action-toggle").check()
                page.locator("select[name=action]").select_option(action)
                page.get_by_role("button", name="Go").click()
                look(action)
            page.goto("/admin/feeds/feed/test/?feed=BADGE-READERS")
            page.get_by_role("button", name="Run the test").click()
            look("tested")
            page.goto("/admin/feeds/retentionpolicy/add/")
            page.get_by_label("Keep days").fill("0")
            page.get_by_role("button", name="Save", exact=True).click()
            look("refused policy")
            for address in ("/admin/nowhere/", "/admin/feeds/feed/?q=" + "w+" * 30):
                page.goto(address)
                look(address)
    assert {what: found for what, found in faults.items() if found} == {}


def test_the_keyboard_sees_where_it_is_and_can_skip_to_the_content(admin: Page) -> None:
    for address in ("/admin/", "/admin/feeds/feed/", "/admin/feeds/feed/test/", "/admin/feeds/feed/deleted/"):
        admin.goto(address)
        admin.evaluate("document.activeElement.blur()")
        admin.keyboard.press("Tab")
        assert admin.evaluate("document.activeElement.getAttribute('href')") == "#content-start"
        seen = 0
        for _ in range(25):
            admin.keyboard.press("Tab")
            style = "getComputedStyle(document.activeElement)"
            if admin.evaluate("document.activeElement === document.body"):
                break
            outlined = admin.evaluate(f"{style}.outlineStyle !== 'none' && parseFloat({style}.outlineWidth) > 0")
            shadowed = admin.evaluate(f"{style}.boxShadow !== 'none'")
            assert outlined or shadowed, admin.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            seen += 1
        assert seen > 5


def test_the_numbers_behind_a_picture_open_without_script(plain: BrowserContext) -> None:
    page = plain.new_page()
    sign_in(page)
    page.get_by_text("Show numbers").first.click()
    expect(page.get_by_role("columnheader", name="Refused").first).to_be_visible()
