"""From a rule in the admin to a refusal on the wire to the page that explains it, as a person would do it."""

import re
import subprocess

import pytest
from playwright.sync_api import Page, expect

from benchmarks.portal import Portal

pytestmark = pytest.mark.browser


def post(portal: Portal, feed: str) -> str:
    """What curl prints of a delivery, status line and headers included."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "-i",
            "--data-binary",
            "@-",
            "-H",
            f"Feed: {feed}",
            f"http://127.0.0.1:{portal.port}/datafeed",
        ],
        input=b"one line\n",
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def test_an_administrator_rejects_a_feed_and_the_next_sender_reads_why(portal: Portal, admin: Page) -> None:
    assert post(portal, "BADGE-READERS").startswith("HTTP/1.1 200 ")

    admin.goto("/admin/feeds/feed/?q=BADGE")
    admin.get_by_role("link", name="BADGE-READERS").first.click()
    admin.get_by_role("link", name="Edit").click()
    admin.get_by_role("radio", name="Reject").check()
    admin.get_by_role("button", name="Save", exact=True).first.click()
    expect(admin.get_by_text("changed successfully").first).to_be_visible()

    refused = post(portal, "BADGE-READERS")
    assert refused.startswith("HTTP/1.1 406 ")
    assert "stroom-status: 110\r\n" in refused.lower()
    assert refused.endswith("\n")

    where = re.search(r"^See: (\S+)", refused, re.MULTILINE)
    assert where is not None
    admin.goto(where.group(1))
    expect(admin.get_by_role("heading", level=1)).to_contain_text("110")
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Feed is not set to receive data")
    expect(admin.get_by_role("heading", name="What to do now")).to_be_visible()
    assert admin.complaints == []  # type: ignore[attr-defined]
