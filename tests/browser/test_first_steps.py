"""First steps in a real browser: the paste box leads to its new row, a role lets its user sign in."""

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.portal import Portal
from tests.browser.conftest import PASSWORD

pytestmark = pytest.mark.browser

FEED = "/admin/feeds/feed/?q=PAYROLL-PROD-EVENTS-V1"
IN_VIEW = "(row) => { const box = row.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }"


def open_feed(page: Page) -> int:
    """Open the demo's guarded feed; how many rules it has."""
    page.goto(FEED)
    page.get_by_role("link", name="PAYROLL-PROD-EVENTS-V1", exact=True).first.click()
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Paste a PEM certificate or a DN")).to_be_visible()
    return page.locator("tr.form-row:not(.empty-form)").count()


def paste(page: Page, text: str) -> None:
    page.get_by_label("Paste a PEM certificate or a DN").fill(text)
    page.get_by_role("button", name="Add as a rule").click()
    page.wait_for_load_state()


def assert_led_to(page: Page, number: int, subject: str) -> None:
    row = page.locator(f"#certificate_rules-{number}")
    assert page.url.endswith(f"#certificate_rules-{number}")
    assert row.evaluate(IN_VIEW)
    assert page.evaluate(f"document.activeElement.closest('tr')?.id === 'certificate_rules-{number}'")
    expect(row.locator("[name$=-subject_dn]")).to_have_value(subject)
    assert page.locator(".messagelist").get_by_text("Save to keep it").count() == 1


def test_the_paste_box_leads_to_the_new_row(admin: Page) -> None:
    rules = open_feed(admin)
    paste(admin, "CN=pasted-1,O=Example,C=GB")
    assert_led_to(admin, rules, "CN=pasted-1,O=Example,C=GB")
    expect(admin.locator(f"[name=certificate_rules-{rules}-subject_dn]")).to_be_focused()
    paste(admin, "CN=pasted-2,O=Example,C=GB")
    assert_led_to(admin, rules + 1, "CN=pasted-2,O=Example,C=GB")


def test_rows_that_a_script_added_are_counted(admin: Page) -> None:
    rules = open_feed(admin)
    admin.get_by_role("link", name="Add another").or_(admin.get_by_role("button", name="Add another")).first.click()
    admin.locator(f"[name=certificate_rules-{rules}-subject_dn]").fill("CN=by-hand,C=GB")
    paste(admin, "CN=pasted,C=GB")
    assert_led_to(admin, rules + 1, "CN=pasted,C=GB")
    expect(admin.locator(f"[name=certificate_rules-{rules}-subject_dn]")).to_have_value("CN=by-hand,C=GB")


def test_what_was_not_understood_leads_back_to_the_box(admin: Page) -> None:
    open_feed(admin)
    paste(admin, "this is no certificate")
    box = admin.get_by_label("Paste a PEM certificate or a DN")
    expect(box).to_be_focused()
    expect(box).to_have_value("this is no certificate")
    assert box.evaluate(IN_VIEW)
    assert admin.locator(".messagelist").get_by_text("neither a PEM certificate nor a DN").count() == 1


@pytest.mark.parametrize("text", ["CN=pasted,C=GB", "this is no certificate"])
def test_it_works_without_scripts(chromium: Browser, portal: Portal, text: str) -> None:
    address = f"http://127.0.0.1:{portal.port}"
    with chromium.new_context(base_url=address, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/admin/")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        rules = open_feed(page)
        paste(page, text)
        if "CN=" in text:
            assert page.url.endswith(f"#certificate_rules-{rules}")
            expect(page.locator(f"#certificate_rules-{rules}")).to_be_focused()
            expect(page.locator(f"#certificate_rules-{rules}")).to_be_in_viewport()
        else:
            expect(page.get_by_label("Paste a PEM certificate or a DN")).to_be_focused()
            expect(page.get_by_label("Paste a PEM certificate or a DN")).to_be_in_viewport()


def test_a_viewer_without_staff_status_signs_in(chromium: Browser, portal: Portal) -> None:
    portal.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import Group, User;"
        f"User.objects.create_user('viewer', password='{PASSWORD}').groups.add(Group.objects.get(name='Viewer'))",
    )
    with chromium.new_context(base_url=f"http://127.0.0.1:{portal.port}") as context:
        page = context.new_page()
        page.goto("/admin/")
        page.get_by_label("Username").fill("viewer")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="viewer").click()
        expect(page.get_by_text("Signed in as viewer")).to_be_visible()
        page.goto(FEED)
        expect(page.get_by_role("link", name="PAYROLL-PROD-EVENTS-V1", exact=True).first).to_be_visible()
