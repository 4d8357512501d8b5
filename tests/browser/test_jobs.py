"""Jobs of an administrator in a real browser, with the clicks that each takes."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.portal import Portal
from tests.browser.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.long]

PAST = """
from datetime import UTC, datetime, timedelta
from feeds.models import CertificateRule, Feed, HourlyCount, RefusalSample
now = datetime.now(UTC)
hour = now.replace(minute=0, second=0, microsecond=0)
feed = Feed.objects.create(name="JOB-PAYROLL", certificate_policy="restricted")
CertificateRule.objects.create(feed=feed, subject_dn="CN=job-other")
Feed.objects.create(name="JOB-CLOSED", status="Reject")
Feed.objects.create(name="JOB-BUSY")
HourlyCount.objects.create(feed="JOB-BUSY", hour=hour, outcome="received", http_status=200, stroom_status=0)
trace = [{"step": 6, "outcome": "stop", "explanation": "No unexpired allow rule matches."}]
for name, http, code, dn in (
    ("JOB-PAYROLL", 403, 310, "CN=job-sender,O=Example,C=GB"),
    ("JOB-CLOSED", 406, 110, ""),
    ("JOB-UNKNOWN", 406, 110, ""),
):
    HourlyCount.objects.create(
        feed=name, hour=hour, outcome="refused", http_status=http, stroom_status=code, count=9000
    )
    RefusalSample.objects.create(
        at=now, feed=name, http_status=http, stroom_status=code, sender_dn=dn, remote_address="192.0.2.44",
        receipt_id=f"refused-{name}", headers={"Feed": name}, trace=trace
    )
"""


class Clicks:
    """A page whose clicks are counted."""

    def __init__(self, page: Page, *, has_scripts: bool) -> None:
        self.page = page
        self.has_scripts = has_scripts
        self.count = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.count += 1

    def link(self, name: Any, **options: Any) -> None:
        self.click(self.page.get_by_role("link", name=name, **options).first)

    def button(self, name: Any) -> None:
        self.click(self.page.get_by_role("button", name=name).first)


@pytest.fixture(scope="module")
def past(portal: Portal) -> None:
    """What the jobs are about."""
    portal.manage("shell", text=PAST)


@pytest.fixture(params=["script", "no script"])
def clicks(request: pytest.FixtureRequest, chromium: Browser, portal: Portal, past: None) -> Iterator[Clicks]:
    """A signed-in administrator, with and without scripts."""
    base = f"http://127.0.0.1:{portal.port}"
    with chromium.new_context(base_url=base, java_script_enabled=request.param == "script") as window:
        page = window.new_page()
        page.set_default_timeout(10_000)
        page.goto("/admin/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        yield Clicks(page, has_scripts=request.param == "script")


def row(page: Page, name: str) -> Locator:
    return page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))


def test_job_1_a_refused_certificate_is_allowed_in_three_clicks(clicks: Clicks, portal: Portal) -> None:
    """It was 8, 3 more to verify, and a DN copied by hand."""
    portal.manage(
        "shell",
        "-c",
        "from feeds.models import *; CertificateRule.objects.filter(subject_dn__contains='job-sender').delete()",
    )
    page = clicks.page
    page.goto("/admin/feeds/refusalsample/now/?q=job-sender")
    clicks.click(row(page, "JOB-PAYROLL").get_by_role("link", name="Allow this certificate"))
    subject = page.get_by_label("Subject DN").nth(1)
    expect(subject).to_have_value("CN=job-sender,O=Example,C=GB")
    expect(subject).to_be_focused()
    expect(subject).to_be_in_viewport()
    clicks.button("Save")
    clicks.link("Test again")
    expect(page.get_by_text("Now it would be answered HTTP 200 · Stroom 0")).to_be_visible()
    assert clicks.count == 3


def test_job_1_a_closed_feed_and_an_unknown_name_take_three_clicks_too(clicks: Clicks, portal: Portal) -> None:
    portal.manage(
        "shell",
        "-c",
        "from feeds.models import *; Feed.objects.filter(name='JOB-UNKNOWN').delete(); "
        "Feed.objects.filter(name='JOB-CLOSED').update(status='Reject')",
    )
    page = clicks.page
    for name, remedy, button in (
        ("JOB-CLOSED", "Set to Receive", "Set 1 feed to Receive"),
        ("JOB-UNKNOWN", "Create this feed", "Save"),
    ):
        clicks.count = 0
        page.goto("/admin/feeds/refusalsample/now/")
        clicks.click(row(page, name).get_by_role("link", name=remedy))
        clicks.button(button)
        clicks.link("Test again")
        expect(page.get_by_text("Now it would be answered HTTP 200 · Stroom 0")).to_be_visible()
        assert clicks.count == 3


def choose_action(clicks: Clicks, action: str) -> None:
    """Two clicks: the menu and its entry, which the browser draws itself, and the button."""
    clicks.page.locator("select[name=action]").select_option(label=action)
    clicks.count += 2
    clicks.button("Go")


def test_job_3_a_certificate_is_denied_on_twelve_feeds_in_six_clicks(clicks: Clicks, portal: Portal) -> None:
    """It was about 96: eight for each feed."""
    portal.manage(
        "shell",
        "-c",
        "from feeds.models import *; Feed.objects.filter(name__startswith='JOB-TWELVE').delete(); "
        "[Feed.objects.create(name=f'JOB-TWELVE-{n:02}', certificate_policy='required') for n in range(12)]",
    )
    page = clicks.page
    page.goto("/admin/feeds/feed/?q=JOB-TWELVE")
    boxes = page.locator("input.action-select")
    if clicks.has_scripts:
        page.locator("#action-toggle").check()
        clicks.count += 1
    else:
        for place in range(12):  # without scripts nothing ticks them together
            boxes.nth(place).check()
    choose_action(clicks, "Add a rule …")
    page.get_by_label("PEM, DN or token").fill("/C=GB/O=Example/CN=job-stolen")
    clicks.button("Add to 12 feeds")
    expect(page.get_by_text("Changed 12 feeds.")).to_be_visible()
    assert clicks.count <= 6


def test_job_4_quiet_feeds_are_found_without_a_click(clicks: Clicks) -> None:
    page = clicks.page
    page.goto("/admin/feeds/feed/?q=JOB+quiet:24h")
    expect(page.get_by_role("link", name="JOB-PAYROLL")).to_be_visible()
    expect(page.get_by_role("link", name="JOB-BUSY")).to_have_count(0)


def test_job_7_a_feed_is_cloned_in_two_clicks(clicks: Clicks, portal: Portal) -> None:
    """It was 3, by way of an error."""
    portal.manage("shell", "-c", "from feeds.models import *; Feed.objects.filter(name='JOB-CLONE').delete()")
    page = clicks.page
    page.goto("/admin/feeds/feed/JOB-PAYROLL/")
    clicks.link("Clone…")
    expect(page.locator("#id_name")).to_be_focused()
    page.keyboard.type("JOB-CLONE")
    clicks.button("Save")
    expect(page.get_by_role("heading", level=1)).to_have_text("JOB-CLONE")
    expect(page.get_by_role("link", name="CN=job-other").first).to_be_visible()
    assert clicks.count == 2
