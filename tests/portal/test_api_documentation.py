"""Every example of the API's pages is run against the real server; every endpoint has one in curl and in Python."""

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import resolve

from codes import loading
from feeds.models import CertificateRule, Feed, Proposal
from portal.access.roles import CERTIFICATE_OFFICER, FEED_EDITOR
from portal.models import ApiToken
from tests.live import Live, running
from tests.portal.rest.test_description import api_methods, without_converters

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server]

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "api.md"
CLIENT = DOCS.parent / "clients" / "python"
#: Its endpoints are there only where the setting is on; all others have their examples on the first page.
APPROVAL_PAGE = DOCS / "second-approval.md"
APPROVAL = "/api/v1/proposals/"
PASSWORD = "correct horse battery"


def blocks(page: Path, language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


def without_approval() -> set[tuple[str, str]]:
    decisions = ("/approve/", "/decline/")
    return {
        (method, path)
        for method, path in api_methods()
        if not path.startswith(APPROVAL) and not path.endswith(decisions)
    }


@pytest.fixture
def live(tmp_path: Path, settings: Any) -> Iterator[Live]:
    ApiToken.objects.issue(User.objects.create_superuser("admin", password=PASSWORD), name="nightly job")
    loading.load()
    settings.STORE_DIR = tmp_path / "store"
    with running(tmp_path) as server:
        yield server


def endpoints(calls: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Calls as method and address with its placeholders."""
    return {
        (method, "/" + without_converters(str(resolve(path).route)))
        for method, url in calls
        if (path := urlsplit(url).path).startswith("/api/v1/")
    }


@pytest.fixture
def two_officers(settings: Any) -> None:
    """Alice and Bob, where neither may change a guard alone."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    call_command("migrate", verbosity=0)  # the roles, which an emptied database lacks
    for name in ("alice", "bob"):
        user = User.objects.create_user(name, password=PASSWORD)
        user.groups.set(Group.objects.filter(name__in=[CERTIFICATE_OFFICER, FEED_EDITOR]))


def run_curl(live: Live, folder: Path, page: Path) -> set[tuple[str, str]]:
    """Run the examples of a page; which endpoints they called."""
    command = folder / "bin" / "stroom-portal"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={CLIENT} exec {sys.executable} -m stroom_portal_client "$@"\n')
    command.chmod(0o755)
    (folder / ".curlrc").write_text('write-out = "%{stderr}CALL %{method} %{url_effective}\\n"\n')
    script = blocks(page, "sh").replace("127.0.0.1:8000", f"127.0.0.1:{live.port}")
    done = subprocess.run(
        ["bash", "-xeuo", "pipefail", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "PASSWORD": PASSWORD,
            "CURL_HOME": str(folder),
            "PATH": f"{command.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return endpoints(re.findall(r"^CALL (\S+) (\S+)$", done.stderr, re.MULTILINE))


def run_python(live: Live, monkeypatch: pytest.MonkeyPatch, page: Path) -> set[tuple[str, str]]:
    calls: list[tuple[str, str]] = []
    send = requests.Session.request

    def recorded(self: requests.Session, method: str, url: str, **kwargs: object) -> requests.Response:
        calls.append((method.upper(), url))
        return send(self, method, url, **kwargs)

    monkeypatch.setattr(requests.Session, "request", recorded)
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.chdir(live.store.parent)
    program = blocks(page, "python").replace("127.0.0.1:8000", f"127.0.0.1:{live.port}")
    exec(compile(program, str(page), "exec"), {})
    return endpoints(calls)


def test_every_endpoint_has_an_example_in_curl_that_works(live: Live, tmp_path: Path) -> None:
    assert without_approval() <= run_curl(live, tmp_path, PAGE)
    assert not Feed.objects.exists()
    assert [token.name for token in ApiToken.objects.all()] == ["nightly job"], "only the tour's own is revoked"


def test_every_endpoint_has_an_example_in_python_that_works(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_approval() <= run_python(live, monkeypatch, PAGE)
    assert not Feed.objects.exists()
    assert [token.name for token in ApiToken.objects.all()] == ["nightly job"], "only the tour's own is revoked"


def test_the_second_approval_has_examples_in_curl_that_work(two_officers: None, live: Live, tmp_path: Path) -> None:
    assert set(api_methods()) - without_approval() <= run_curl(live, tmp_path, APPROVAL_PAGE)
    assert_approved()


def test_the_second_approval_has_examples_in_python_that_work(
    two_officers: None, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(api_methods()) - without_approval() <= run_python(live, monkeypatch, APPROVAL_PAGE)
    assert_approved()


def assert_approved() -> None:
    assert not Feed.objects.exists()
    decided = Proposal.objects.order_by("pk").values_list("state", flat=True)
    assert list(decided) == ["approved", "declined", "withdrawn", "approved"]


def test_every_filter_is_named() -> None:
    from feeds.api.filters import FeedFilters, ProposalFilters, ReceiptFilters, RejectionFilters

    for filters in (FeedFilters, ProposalFilters, ReceiptFilters, RejectionFilters):
        text = (APPROVAL_PAGE if filters is ProposalFilters else PAGE).read_text()
        missing = [name for name in filters.base_filters if f"`{name}`" not in text and f"`{name}=`" not in text]
        assert not missing


def test_the_reconciler_of_the_page_keeps_500_feeds_as_files_say(live: Live, tmp_path: Path) -> None:
    """As printed, with 500 files: made, unchanged in a second run, and drift of each kind repaired."""
    token = ApiToken.objects.issue(User.objects.get(username="admin"), name="git")[1]
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    program = re.search(r"^def reconcile.*?^            return plan$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert program
    scope: dict[str, Any] = {
        "PORTAL": f"http://127.0.0.1:{live.port}/api/v1",
        "portal": session,
        "pathlib": pathlib,
    }
    exec(f"import stroom_portal_client as client\n{program[0]}", scope)
    for number in range(500):
        feed: dict[str, Any] = {"name": f"GIT-{number:04}", "labels": ["git"], "owner": f"Team {number % 7}"}
        if number % 2:
            rule = {"subject_dn": f"CN=client-{number},O=Example,C=GB", "expires": "2031-01-01"}
            feed |= {"certificate_policy": "restricted", "certificate_rules": [rule]}
        (tmp_path / f"{number:04}.json").write_text(json.dumps(feed))
    Feed.objects.create(name="SOMEBODY-ELSES")
    reconcile = scope["reconcile"]

    first = reconcile(tmp_path, "git", comment="commit 1f2e3d")
    assert (len(first.create), first.change, first.delete) == (500, [], [])
    versions = dict(Feed.objects.values_list("name", "version"))
    assert not reconcile(tmp_path, "git")
    assert dict(Feed.objects.values_list("name", "version")) == versions, "a run with nothing to do changes nothing"

    Feed.objects.filter(name__in=["GIT-0010", "GIT-0011"]).delete()
    Feed.objects.filter(name="GIT-0012").update(status="Drop", owner="by hand", version=9)
    CertificateRule.objects.filter(feed__name="GIT-0013").update(expires=None)
    Feed.objects.create(name="GIT-EXTRA", labels=["git"])
    (tmp_path / "0014.json").unlink()
    drift = reconcile(tmp_path, "git")
    assert [feed["name"] for feed in drift.create] == ["GIT-0010", "GIT-0011"]
    # A file that does not give a status does not decide about it.
    assert [(one.name, list(one.new)) for one in drift.change] == [
        ("GIT-0012", ["owner"]),
        ("GIT-0013", ["certificate_rules"]),
    ]
    assert sorted(feed["name"] for feed in drift.delete) == ["GIT-0014", "GIT-EXTRA"]
    assert not reconcile(tmp_path, "git")
    assert Feed.objects.count() == 500, "499 of the files, and the one without the label"
