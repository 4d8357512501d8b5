"""Two officers and their browsers: one saves a rule, nothing happens, the other looks at it and lets it be."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from benchmarks.portal import Portal, running
from tests.browser.conftest import PASSWORD
from tests.browser.test_admin_pages import faults_of

pytestmark = [pytest.mark.browser]

SENDER = "CN=new-sender-with-a-rather-long-name.payroll.example.org,OU=Payroll,O=Example Partners Ltd,C=GB"
OFFICERS = f"""
from django.contrib.auth.models import Group, User
from feeds.models import Feed
for name in ("alice", "bob"):
    user = User.objects.create_user(name, password="{PASSWORD}", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=["Certificate officer", "Feed editor"]))
Feed.objects.create(name="PAYROLL-PROD-EVENTS", certificate_policy="restricted")
"""


@pytest.fixture(scope="module")
def strict_portal() -> Iterator[Portal]:
    """A portal on which nobody changes a guard alone."""
    with running(PORTAL_ADMIN_PASSWORD=PASSWORD, PORTAL_WORKERS="1", PORTAL_SECOND_APPROVAL="on") as started:
        started.manage("shell", "--no-imports", "-c", OFFICERS)
        yield started


def sign_in(page: Page, name: str) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview").first).to_be_visible()


def test_a_rule_is_in_force_when_a_second_officer_has_approved_it(chromium: Browser, strict_portal: Portal) -> None:
    base = f"http://127.0.0.1:{strict_portal.port}"
    faults: dict[str, list[str]] = {}
    console: list[str] = []

    def look(page: Page, what: str) -> None:
        faults[what] = [*(f"console: {text}" for text in console), *faults_of(page)]
        console.clear()  # axe adds styles of its own

    def open_page(width: int, scheme: str) -> Page:
        size: ViewportSize = {"width": width, "height": 850}
        context = chromium.new_context(base_url=base, viewport=size, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: console.append(message.text) if message.type == "error" else None)
        return page

    alice, bob = open_page(1366, "light"), open_page(390, "dark")
    sign_in(alice, "alice")
    alice.goto("/admin/feeds/feed/?q=PAYROLL")
    alice.get_by_role("link", name="PAYROLL-PROD-EVENTS").first.click()
    look(alice, "feed to read")
    alice.get_by_role("link", name="Edit").click()
    expect(alice.get_by_text("A second approval is wanted here.")).to_be_visible()
    look(alice, "feed")
    alice.get_by_label("Paste a PEM certificate or a DN").fill(SENDER)
    alice.get_by_role("button", name="Add as a rule").click()
    alice.get_by_role("button", name="Save", exact=True).click()
    expect(alice.get_by_text("Nothing has been changed yet.")).to_be_visible()
    expect(alice.get_by_role("button", name="Approve")).to_have_count(0)
    look(alice, "own proposal")

    sign_in(bob, "bob")
    look(bob, "first page")
    bob.get_by_role("link", name="1 proposed change").click()
    expect(bob.get_by_role("heading", level=1)).to_have_text("Proposed changes")
    look(bob, "list")
    bob.get_by_role("link", name="PAYROLL-PROD-EVENTS").click()
    expect(bob.get_by_text(f"allow {SENDER}").first).to_be_visible()
    bob.get_by_text("All that guards it then").click()
    look(bob, "to decide")
    bob.get_by_label("Why").focus()
    bob.keyboard.type("asked Finance")
    bob.keyboard.press("Enter")
    bob.keyboard.type("twice")
    expect(bob.get_by_role("button", name="Approve")).to_be_visible()
    bob.get_by_role("button", name="Approve").click()
    expect(bob.get_by_text("Approved: the change is active.")).to_be_visible()
    look(bob, "approved")
    bob.get_by_role("link", name="PAYROLL-PROD-EVENTS").click()
    expect(bob.get_by_role("rowheader", name=SENDER)).to_be_visible()
    for page in (alice, bob):
        page.context.close()
    assert {what: found for what, found in faults.items() if found} == {}
