"""S10 in a real browser: pages full of hostile text, on which nothing runs, loads, or becomes an element."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request

from benchmarks.portal import Portal, running
from tests.hostile_site import OWN_SOURCE

pytestmark = [pytest.mark.browser]

FILL = """
import json
from pathlib import Path
from django.conf import settings
from codes import loading
from tests.hostile_site import fill, own_source
own_source(Path(settings.DATA_DIR))
loading.load()
print("PAGES " + json.dumps(fill()))
"""
#: Marks in what a browser made of the page: names of elements and attributes, scripts, styles, addresses, handlers.
FOUND = """() => {
  const mark = /zqx[a-z]+[0-9]+q/i, faults = [];
  const safe = new Set(["value", "title", "aria-label", "placeholder", "data-inline-formset", "datetime", "alt"]);
  for (const element of document.querySelectorAll("*")) {
    if (mark.test(element.localName)) faults.push("element " + element.localName);
    if (["script", "style"].includes(element.localName) && mark.test(element.textContent))
      faults.push("inside " + element.localName);
    for (const {name, value} of element.attributes) {
      const told = `${element.localName} ${name}=${value}`.slice(0, 200);
      if (mark.test(name) || name.startsWith("on")) faults.push(told);
      else if (["href", "src", "action", "formaction"].includes(name)) {
        if (!URL.canParse(value, document.baseURI)) continue;
        const url = new URL(value, document.baseURI);
        const outside = element.rel === "noreferrer nofollow" || element.rel === "icon";
        if (!["http:", "https:", "mailto:"].includes(url.protocol) && element.rel !== "icon") faults.push(told);
        if (mark.test(url.host) && !outside) faults.push(told);
      } else if (element.matches("meta[name]") && name === "content") continue;
      else if (!safe.has(name) && mark.test(value)) faults.push(told);
    }
  }
  return faults.slice(0, 5);
}"""
SHOWN = "document.documentElement.outerHTML.includes('zqx')"


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[Portal, dict[str, str]]]:
    """A running portal whose every text is hostile, and the addresses of its pages."""
    with running(PORTAL_WORKERS="1") as started:
        told = started.manage("shell", "-c", FILL)
        (line,) = [line for line in told.splitlines() if line.startswith("PAGES ")]
        yield started, json.loads(line.removeprefix("PAGES "))


def watched(page: Page, port: int) -> list[str]:
    """Whatever the page says or does that it should not."""
    told: list[str] = []
    own = (f"http://127.0.0.1:{port}/", "data:")

    def dismiss(dialog: Dialog) -> None:
        told.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def asked(request: Request) -> None:
        if not request.url.startswith(own):
            told.append(request.url)

    page.on("dialog", dismiss)
    page.on("request", asked)
    page.on("pageerror", lambda error: told.append(f"error {error}"))
    page.on("popup", lambda popup: told.append(f"window {popup.url}"))
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    return told


def signed_in(portal: Portal) -> str:
    """A session of the hostile user, whose name nobody could type."""
    code = (
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "from django.contrib.auth.models import User\n"
        "user = User.objects.order_by('pk').last()\n"
        "session = SessionStore()\n"
        "session['_auth_user_id'] = str(user.pk)\n"
        "session['_auth_user_backend'] = 'portal.access.sign_in.PasswordBackend'\n"
        "session['_auth_user_hash'] = user.get_session_auth_hash()\n"
        "session.save()\n"
        "print('SESSION ' + session.session_key)\n"
    )
    return portal.manage("shell", "-c", code).rpartition("SESSION ")[2].split()[0]


def test_s10_nothing_hostile_comes_alive_in_a_browser(
    chromium: Browser, hostile: tuple[Portal, dict[str, str]]
) -> None:
    portal, pages = hostile
    base = f"http://127.0.0.1:{portal.port}"
    public = {"own source": f"/codes/sources/{OWN_SOURCE}/", "its code": "/codes/http/409/"}
    faults: dict[str, list[str]] = {}
    silent = []
    with chromium.new_context(base_url=base) as context:
        context.add_cookies([{"name": "sessionid", "value": signed_in(portal), "url": base}])
        page = context.new_page()
        told = watched(page, portal.port)
        for name, address in {**pages, **public}.items():
            told.clear()
            answer = page.goto(address)
            found = [*told, *page.evaluate(FOUND)]
            if answer is None or answer.status != 200:
                found.append(f"HTTP {answer and answer.status}")
            if found:
                faults[name] = found
            if not page.evaluate(SHOWN):
                silent.append(name)
    assert faults == {}
    assert silent == []


def test_the_watch_notices_what_comes_alive(chromium: Browser) -> None:
    page = chromium.new_page()
    told = watched(page, 1)
    page.set_content("<title>x</title><img src=x onerror=zqxseen1q()><p zqxseen2q style='color:zqxseen3q'>")
    assert len(page.evaluate(FOUND)) >= 3
    assert any("zqxseen1q" in word for word in told)
    page.close()
