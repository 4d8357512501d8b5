"""The catalogue is read into memory before the first page asks for it."""

from queue import SimpleQueue

import pytest
from django.test import Client

from codes import snapshot
from codes.pages import warm
from codes.pages.warm import Warmer
from codes.release import LoadVersion, content_version
from codes.templatetags import catalogue as tags

pytestmark = pytest.mark.django_db

FIRST, SECOND = LoadVersion(1, "a", ""), LoadVersion(2, "b", "")


def test_after_it_a_page_reads_and_renders_no_rows(
    catalogue: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm.warm()
    monkeypatch.setattr(snapshot, "_read", lambda: pytest.fail("read again"))
    monkeypatch.setattr(tags, "render_to_string", lambda *_: pytest.fail("rendered again"))
    for address in ("/codes/", "/codes/http/", "/codes/disagreements/", "/codes/headers/", "/codes/?q=too+large"):
        assert client.get(address).status_code == 200
    assert content_version().load is not None


def test_it_runs_once_for_each_load_and_not_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: SimpleQueue[str] = SimpleQueue()
    monkeypatch.setattr(warm, "warm", lambda: runs.put("run"))
    warmer = Warmer()
    warmer.follow(FIRST)
    warmer.is_started = True
    for load in (None, FIRST, FIRST, SECOND):
        warmer.follow(load)
    assert [runs.get(timeout=30) for _ in range(2)] == ["run", "run"]
    assert runs.empty()
