"""`manage.py check_proxy` finds what a proxy lets through, and nothing where the shipped file is in place."""

import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.environment import read_environment
from portal.server.proxy_check import Address, CannotCheck, ProxyCheck, Report
from portal.server.proxy_probe import PROBE_HEADER, probe_key
from tests.deploy.authority import Certificates
from tests.deploy.portal import ROOT, Portal
from tests.deploy.proxy import NGINX, Nginx

pytestmark = [
    pytest.mark.server,
    pytest.mark.long,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

Change = tuple[str, str]
INTO_PAGES = r"location / \{"


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with tempfile.TemporaryDirectory(prefix="portal-checked-") as path:
        portal = Portal(Path(path), workers=2)
        portal.environment["PORTAL_SIGNIN_HEADER"] = "X-Remote-User"
        with portal:
            yield portal


def check(portal: Portal, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check_proxy", *arguments],
        env=portal.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check_through(portal: Portal, certificates: Certificates, folder: Path, *changes: Change) -> Report:
    """What a check finds through the shipped file with these changes."""
    environment = read_environment(portal.environment)
    tls = ssl.create_default_context(cafile=str(certificates.ca))
    with Nginx(folder, certificates, portal.upstream, changes) as nginx, probe_key(portal.folder) as key:
        return ProxyCheck(environment, Address.of(f"https://localhost:{nginx.https}", tls=tls), key).run()


def test_s38_the_shipped_file_lets_nothing_through(
    portal: Portal, certificates: Certificates, folder: Path
) -> None:
    with Nginx(folder, certificates, portal.upstream) as nginx:
        done = check(portal, f"https://localhost:{nginx.https}", "--ca", str(certificates.ca))
        named = check(portal, "portal.example.org", "--connect", f"127.0.0.1:{nginx.https}", "--insecure")
    for run in (done, named):
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith("The portal believes its peer 127.0.0.1 (PORTAL_TRUSTED_PROXIES).\n")
        assert "No identity header of a client gets through" in run.stdout
    assert not (portal.folder / "proxy-probe").exists()


#: What operators do to the file, and the headers that then get through.
BROKEN: dict[str, tuple[tuple[Change, ...], set[str]]] = {
    "a header set in the location of pages": (
        ((INTO_PAGES, "location / { proxy_set_header X-Remote-User $portal_user;"),),
        {"x-ssl-client-s-dn", "x-ssl-client-verify", "x-ssl-client-v-end", "remotedn", "x-forwarded-for"},
    ),
    "one in the location of deliveries": (
        ((r"if \(\$portal_endless\)", "proxy_set_header X-Site a; if ($portal_endless)"),),
        {"x-ssl-client-s-dn", "x-ssl-client-verify", "x-remote-user"},
    ),
    "gchq's own, which sets one name alone": (
        (
            (r"proxy_set_header (RemoteDN|X-SSL-Client-Verify|X-SSL-Client-V-End|RemoteCertExpiry) [^;]*;", ""),
            (r"proxy_set_header (UploadUser|X-Remote-User|X-Forwarded-Proto)[^;]*;", ""),
        ),
        {"x-ssl-client-verify", "x-ssl-client-v-end", "remotedn", "uploaduserid", "x-remote-user"},
    ),
    "the sign-on header forgotten": (
        ((r"proxy_set_header X-Remote-User [^;]*;", ""),),
        {"x-remote-user"},
    ),
    "the sign-on header taken over": (
        ((r"proxy_set_header X-Remote-User [^;]*;", "proxy_set_header X-Remote-User $http_x_remote_user;"),),
        {"x-remote-user"},
    ),
    "the sender's own address taken over": (
        ((r"\$proxy_add_x_forwarded_for", "$http_x_forwarded_for"),),
        {"x-forwarded-for"},
    ),
}


@pytest.mark.parametrize(("changes", "names"), BROKEN.values(), ids=BROKEN)
def test_s38_what_a_broken_file_lets_through_is_named(
    portal: Portal, certificates: Certificates, tmp_path: Path, changes: tuple[Change, ...], names: set[str]
) -> None:
    report = check_through(portal, certificates, tmp_path, *changes)
    found = set(report.arrived)
    assert names <= found
    assert len(names) > 1 or names == found
    assert report.peers == {"127.0.0.1": True}


def test_s38_spellings_that_the_portal_never_reads_are_told_and_are_no_door(
    portal: Portal, certificates: Certificates, tmp_path: Path
) -> None:
    change = (r"underscores_in_headers off;", "underscores_in_headers on;")
    report = check_through(portal, certificates, tmp_path, change)
    assert report.arrived == {}
    assert "POST /datafeed" in report.other["x_ssl_client_s_dn"]


def test_s38_a_place_that_the_proxy_keeps_for_itself_is_told(
    portal: Portal, certificates: Certificates, tmp_path: Path
) -> None:
    change = (INTO_PAGES, "location /admin/ { return 403; } location / {")
    report = check_through(portal, certificates, tmp_path, change)
    assert report.arrived == {}
    assert report.unseen == ["GET /admin/ (403)", "GET /admin/login/ (403)"]


def test_s38_past_the_proxy_everything_arrives(portal: Portal) -> None:
    done = check(portal, f"http://127.0.0.1:{portal.port}")
    assert done.returncode == 1
    assert "x-ssl-client-s-dn arrives as the client sent it" in done.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://portal.example.org", "not the address of a site"),
        ("https://portal.example.org/path", "not the address of a site"),
        ("https://portal.example.org:port", "is not an address"),
        ("https://", "not the address of a site"),
    ],
)
def test_what_is_no_address_is_told(url: str, reason: str) -> None:
    with pytest.raises(CannotCheck, match=reason):
        Address.of(url, tls=ssl.create_default_context())


@pytest.mark.parametrize(("arguments", "reason"), [((), "Which address?"), (("http://127.0.0.1:1",), "be reached")])
def test_a_check_that_cannot_be_made_is_no_clean_one(
    portal: Portal, arguments: tuple[str, ...], reason: str
) -> None:
    done = check(portal, *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_another_portal_is_no_clean_check(portal: Portal, tmp_path: Path) -> None:
    address = Address.of(f"http://127.0.0.1:{portal.port}", tls=ssl.create_default_context())
    with (
        probe_key(tmp_path) as key,
        pytest.raises(CannotCheck, match="No probe came to the portal of this data folder"),
    ):
        ProxyCheck(read_environment(portal.environment), address, key).run()


def test_s38_a_probe_needs_the_key_of_a_check_that_runs(portal: Portal) -> None:
    def ask(key: str) -> int:
        address = f"http://127.0.0.1:{portal.port}/docs/"
        asked = urllib.request.Request(address, headers={PROBE_HEADER: key})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return b'"peer"' in answer.read()

    with probe_key(portal.folder) as key:
        assert ask(key)
        assert not ask(key[:-1])
        assert not ask("")
        file = portal.folder / "proxy-probe"
        assert file.stat().st_mode & 0o777 == 0o600
        assert key not in file.read_text()
        file.write_text(file.read_text().split()[0] + " 1\n")
        assert not ask(key), "its time is over"
    assert not ask(key)
