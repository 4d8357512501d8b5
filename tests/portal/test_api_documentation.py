"""Every example of docs/api.md is run against the real server; every endpoint has one in curl and one in Python."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.urls import resolve

from codes import loading
from feeds.models import Feed
from portal.models import ApiToken
from tests.live import Live, running
from tests.portal.test_api_description import api_methods, without_converters

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.server, pytest.mark.slow]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
PASSWORD = "correct horse battery"


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture
def live(tmp_path: Path, settings) -> Iterator[Live]:
    User.objects.create_superuser("admin", password=PASSWORD)
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


def test_every_endpoint_has_an_example_in_curl_that_works(live: Live, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}CALL %{method} %{url_effective}\\n"\n')
    script = blocks("sh").replace("127.0.0.1:8000", f"127.0.0.1:{live.port}")
    done = subprocess.run(
        ["bash", "-xeuo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PASSWORD": PASSWORD, "CURL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    calls = re.findall(r"^CALL (\S+) (\S+)$", done.stderr, re.MULTILINE)
    assert set(api_methods()) <= endpoints(calls)
    assert not Feed.objects.exists()
    assert not ApiToken.objects.exists()


def test_every_endpoint_has_an_example_in_python_that_works(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []
    send = requests.Session.request

    def recorded(self: requests.Session, method: str, url: str, **kwargs: object) -> requests.Response:
        calls.append((method.upper(), url))
        return send(self, method, url, **kwargs)

    monkeypatch.setattr(requests.Session, "request", recorded)
    monkeypatch.setenv("PASSWORD", PASSWORD)
    program = blocks("python").replace("127.0.0.1:8000", f"127.0.0.1:{live.port}")
    exec(compile(program, str(PAGE), "exec"), {})
    assert set(api_methods()) <= endpoints(calls)
    assert not Feed.objects.exists()
    assert not ApiToken.objects.exists()


def test_every_filter_is_named() -> None:
    from feeds.filters import FeedFilters, ReceiptFilters, RejectionFilters

    text = PAGE.read_text()
    for filters in (FeedFilters, ReceiptFilters, RejectionFilters):
        missing = [name for name in filters.base_filters if f"`{name}`" not in text and f"`{name}=`" not in text]
        assert not missing
