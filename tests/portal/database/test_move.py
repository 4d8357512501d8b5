"""`move_database`: everything arrives in PostgreSQL, equal and usable, or nothing does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgresql import PostgreSql, unavailable

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]
ROOT = Path(__file__).parents[3]
FILL = """
from datetime import UTC, datetime
from django.contrib.auth.models import User
from codes import loading
from feeds.models import CertificateRule, Feed, HourlyCount
from portal.models import ApiToken
from tests.factories import make_feed, make_receipt, make_rule
loading.load()
user = User.objects.create_superuser("boss", password="correct horse battery")
feed = make_feed("FEED-A", owner="Gr\\u00fc\\u00dfe \\u2028 'quoted' \\\\ back", labels=["x", "y"])
make_rule(feed, "CN=a,O=Example,C=GB", expires=datetime(2031, 1, 1, 12, 30, 0, 123456, tzinfo=UTC))
feed.status = "Drop"; feed.save()
make_feed("GONE-FEED"); Feed.objects.get(name="GONE-FEED").delete()
CertificateRule.objects.create(feed=None, action="deny", subject_dn="CN=stolen")
for number in range(250):
    make_receipt("FEED-A", guid=f"g-{number}", headers={"System": "tab\\there", "Odd": "\\U0001f600"})
HourlyCount.objects.create(hour=datetime(2026, 2, 24, 18, tzinfo=UTC), feed="FEED-A", outcome="received",
    http_status=200, stroom_status=0, count=250, bytes=2**40)
print(ApiToken.objects.issue(user)[1])
"""
LOOK = """
from django.contrib.auth import authenticate
from feeds.models import CertificateRule, Feed, Receipt
from portal.models import ApiToken
from tests.factories import make_feed, make_receipt
import sys
assert Receipt.objects.count() == 250
assert Feed.objects.policy_for("FEED-A").status == "Drop"
assert Feed.history.filter(name="GONE-FEED").count() == 2
assert CertificateRule.objects.get(feed=None).subject_dn == "CN=stolen"
assert Feed.objects.get().owner == "Gr\\u00fc\\u00dfe \\u2028 'quoted' \\\\ back"
assert ApiToken.objects.usable(sys.stdin.readline().strip())
assert authenticate(username="boss", password="correct horse battery")
make_feed("NEXT-FEED"); make_receipt("NEXT-FEED", receipt_id="1796000000000_0000_P_other")
print("fine")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as running:
        yield running


def manage(folder: Path, *arguments: str, url: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PORTAL_", "DATABASE_"))}
    environ |= {"PORTAL_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    if url:
        environ["DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=ROOT,
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with something in every corner, and the secret of a token."""
    folder = tmp_path_factory.mktemp("data")
    assert manage(folder, "migrate", "--verbosity", "0").returncode == 0
    done = manage(folder, "shell", "-c", FILL)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout.splitlines()[-1]


def test_everything_arrives_and_goes_on_working(server: PostgreSql, filled: tuple[Path, str]) -> None:
    folder, secret = filled
    url = server.create("moved")
    moved = manage(folder, "move_database", "--to", url)
    assert moved.returncode == 0, moved.stderr[-2000:]
    assert "every digest is equal" in moved.stdout
    assert "feeds_receipt  250  equal" in moved.stdout
    looked = manage(folder, "shell", "-c", LOOK, url=url, stdin=f"{secret}\n")
    assert looked.stdout.splitlines()[-1:] == ["fine"], looked.stderr[-2000:]
    audited = manage(folder, "verify_audit", url=url)
    assert "The audit record is whole" in audited.stdout, audited.stderr
    with psycopg.connect(url) as raw, pytest.raises(psycopg.Error, match="only ever appended"):
        raw.execute("DELETE FROM portal_auditrecord")


def test_a_target_that_is_not_empty_is_refused(server: PostgreSql, filled: tuple[Path, str]) -> None:
    url = server.create("occupied")
    with psycopg.connect(url) as raw:
        raw.execute("CREATE TABLE somebody_elses (id integer)")
    refused = manage(filled[0], "move_database", "--to", url)
    assert refused.returncode == 1
    assert "not empty: it has the table somebody_elses" in refused.stderr
    with psycopg.connect(url) as raw:
        assert raw.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("sqlite:////tmp/other.sqlite3", "must be the URL of a PostgreSQL database"),
        ("postgres://nobody@127.0.0.1:1/none", "cannot be used"),
    ],
)
def test_a_target_that_cannot_be_used_is_named(filled: tuple[Path, str], target: str, words: str) -> None:
    refused = manage(filled[0], "move_database", "--to", target)
    assert refused.returncode == 1
    assert words in refused.stderr


def test_a_portal_on_postgresql_has_nothing_to_move(server: PostgreSql, filled: tuple[Path, str]) -> None:
    url = server.create("own")
    assert manage(filled[0], "migrate", "--verbosity", "0", url=url).returncode == 0
    refused = manage(filled[0], "move_database", "--to", server.url("elsewhere"), url=url)
    assert refused.returncode == 1
    assert "not SQLite" in refused.stderr
