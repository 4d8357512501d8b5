"""Settings are judged at the start: every fault named at once, each with its remedy (demand R22)."""

import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from portal.environment import BASE_DIR, BadEnvironment, Environment, read_environment
from portal.http.client import DIALECTS, IdentityNames, TrustedProxies
from portal.settings_page import PAGE, settings_page
from portal.settings_table import SETTINGS

GOOD_KEY = "".join(chr(33 + number) for number in range(60))


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def faults(data_dir: str, **settings: str) -> list[str]:
    with pytest.raises(BadEnvironment) as refusal:
        read_environment({"PORTAL_DATA_DIR": data_dir, **settings})
    return str(refusal.value).splitlines()


BROKEN = [
    ("HOST", "not a host"),
    ("HOST", "example.org/path"),
    ("HOST", "http://localhost"),
    ("HOST", "unix:relative"),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "eighty"),
    ("PORT", "8_000"),
    ("PORT", "80.5"),
    ("PORTAL_DATA_DIR", "/dev/null/data"),
    ("PORTAL_DATA_DIR", "/proc/portal"),
    ("PORTAL_DATA_DIR", "~no-such-user/data"),
    ("PORTAL_DATA_DIR", "a\x00b"),
    ("DATABASE_URL", "mysql://user:pa55word@db/portal"),
    ("DATABASE_URL", "postgres://user:pa55word@db"),
    ("DATABASE_URL", "postgres://user:pa55word@db/"),
    ("DATABASE_URL", "postgres://user:pa55word@db:port/portal"),
    ("DATABASE_URL", "postgres://user:pa55word@[db/portal"),
    ("DATABASE_URL", "user:pa55word@db/portal"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "postgres://user:pa55word@db/portal?options=-c%20synchronous_commit=off"),
    ("PORTAL_ADMIN_USERNAME", "two words"),
    ("PORTAL_ADMIN_USERNAME", "a" * 151),
    ("PORTAL_SECRET_KEY", "short"),
    ("PORTAL_SECRET_KEY", "a" * 80),
    ("PORTAL_SECRET_KEY", "django-insecure-" + GOOD_KEY),
    ("PORTAL_SECRET_KEY", "ChangeMe" + GOOD_KEY),
    ("PORTAL_SECRET_KEY", GOOD_KEY[:49]),
    ("PORTAL_ALLOWED_HOSTS", "*"),
    ("PORTAL_ALLOWED_HOSTS", "*.example.org"),
    ("PORTAL_ALLOWED_HOSTS", ","),
    ("PORTAL_ALLOWED_HOSTS", "http://example.org"),
    ("PORTAL_ALLOWED_HOSTS", "example.org:8000"),
    ("PORTAL_ALLOWED_HOSTS", "good.example.org,bad host"),
    ("PORTAL_PUBLIC_URL", "portal.example.org"),
    ("PORTAL_PUBLIC_URL", "ftp://portal.example.org"),
    ("PORTAL_PUBLIC_URL", "https://portal.example.org/path"),
    ("PORTAL_PUBLIC_URL", "https://portal.example.org?x=1"),
    ("PORTAL_PUBLIC_URL", "https://user:word@portal.example.org"),
    ("PORTAL_PUBLIC_URL", "https://portal.example.org:99999"),
    ("PORTAL_PUBLIC_URL", "https://portal.example.org:0"),
    ("PORTAL_PUBLIC_URL", "https://"),
    ("PORTAL_TRUSTED_PROXIES", "nginx.example.org"),
    ("PORTAL_TRUSTED_PROXIES", "10.0.0.0/33"),
    ("PORTAL_TRUSTED_PROXIES", "10.0.0.1 10.0.0.2"),
    ("PORTAL_TRUSTED_PROXIES", "10.0.0.1,*"),
    ("PORTAL_DN_HEADERS", "X_SSL_CLIENT_S_DN"),
    ("PORTAL_DN_HEADERS", ","),
    ("PORTAL_DN_HEADERS", "RemoteDN,bad header"),
    ("PORTAL_VERIFY_HEADER", "X-SSL-Client-Verify:"),
    ("PORTAL_EXPIRY_HEADER", "X_Expiry"),
    ("PORTAL_NODE_ID", "node_1"),
    ("PORTAL_NODE_ID", "node/1"),
    ("PORTAL_NODE_ID", "n" * 61),
    ("PORTAL_WORKERS", "0"),
    ("PORTAL_WORKERS", "65"),
    ("PORTAL_WORKERS", "many"),
    ("PORTAL_THREADS", "0"),
    ("PORTAL_THREADS", "4.0"),
    ("PORTAL_KEEPALIVE_SECONDS", "0"),
    ("PORTAL_KEEPALIVE_SECONDS", "3601"),
    ("PORTAL_KEEPALIVE_SECONDS", "75s"),
    ("PORTAL_MAX_RECEIPT_BYTES", "0"),
    ("PORTAL_MAX_RECEIPT_BYTES", "-1"),
    ("PORTAL_MAX_RECEIPT_BYTES", "1GB"),
    ("PORTAL_MIN_FREE_BYTES", "-1"),
    ("PORTAL_MIN_FREE_BYTES", "5%"),
    ("PORTAL_FEED_NAME_PATTERN", "^[A-Z"),
    ("PORTAL_FEED_NAME_PATTERN", "a{99999999999}"),
    ("PORTAL_TRY_ENDPOINTS", "maybe"),
    ("PORTAL_LOG_DELIVERIES", "some"),
    ("PORTAL_REQUIRE_VERIFY_HEADER", "2"),
    ("PORTAL_CHANGE_COMMENT", "sometimes"),
    ("PORTAL_SECOND_APPROVAL", "required"),
    ("PORTAL_DEBUG", "ja"),
]


@pytest.mark.parametrize(("name", "value"), BROKEN)
def test_r22_a_bad_setting_is_named_with_its_remedy(name: str, value: str, data_dir: str) -> None:
    (line,) = faults(data_dir, **{name: value})
    assert line.startswith(f"  {name}")
    assert "cannot be used" in line
    assert re.search(r"\. Give .+\.$", line)
    assert "pa55word" not in line


def test_r22_all_faults_are_named_at_once(data_dir: str) -> None:
    broken = dict(BROKEN)
    lines = faults(data_dir, **broken, PORTAL_TRUSTED_PROXY="10.0.0.1")
    assert len(broken) >= 19
    assert [line.split("=")[0].split()[0] for line in lines[:-1]] == sorted(
        broken, key=lambda name: next(place for place, line in enumerate(lines) if line.startswith(f"  {name}"))
    )
    assert len(lines) == len(broken) + 1


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("PORTAL_TRUSTED_PROXY", "Did you mean PORTAL_TRUSTED_PROXIES?"),
        ("PORTAL_MAX_RECEIPT_BYTE", "Did you mean PORTAL_MAX_RECEIPT_BYTES?"),
        ("portal_node_id", "Did you mean PORTAL_NODE_ID?"),
        ("PORTAL_Node_Id", "Did you mean PORTAL_NODE_ID?"),
        ("PORTAL_QQQ", "Correct its name or remove it."),
        ("PORTAL_", "Correct its name or remove it."),
    ],
)
def test_r22_a_misspelt_setting_is_no_silent_default(name: str, remedy: str, data_dir: str) -> None:
    assert faults(data_dir, **{name: "10.0.0.1"}) == [f"  {name} is not a setting of the portal. {remedy}"]


def test_names_of_others_are_left_alone(data_dir: str) -> None:
    read_environment({"PORTAL_DATA_DIR": data_dir, "PORTALS": "x", "MY_PORTAL_X": "y", "PATH": "/bin"})


@pytest.mark.parametrize("name", ["PORTAL_SECRET_KEY", "DATABASE_URL"])
def test_s24_a_bad_secret_is_not_printed(name: str, data_dir: str) -> None:
    (line,) = faults(data_dir, **{name: "hush-hush"})
    assert line.startswith(f"  {name} cannot be used (its value is not shown). Give ")


def test_s24_debug_cannot_be_on_where_the_portal_is_public(data_dir: str) -> None:
    assert faults(data_dir, PORTAL_DEBUG="on", PORTAL_PUBLIC_URL="https://portal.example.org") == [
        "  PORTAL_DEBUG shows internal details of the portal to every visitor. Remove it, or PORTAL_PUBLIC_URL."
    ]
    assert read_environment({"PORTAL_DATA_DIR": data_dir, "PORTAL_DEBUG": "on"}).debug


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is writable for root")
def test_r22_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (line,) = faults(str(tmp_path))
    assert "not writable" in line


def test_r22_a_folder_without_write_permission_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    (line,) = faults(str(tmp_path))
    assert "not writable" in line
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_without_any_setting_there_are_safe_defaults(monkeypatch: pytest.MonkeyPatch, data_dir: str) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(socket, "gethostname", lambda: "host_1.example.org")
    assert read_environment({"PORTAL_DATA_DIR": data_dir}) == Environment(
        host="127.0.0.1",
        port=8000,
        data_dir=Path(data_dir),
        database_url="",
        admin_username="admin",
        admin_password="",
        secret_key="",
        allowed_hosts=("localhost", "127.0.0.1", "[::1]"),
        public_url="",
        trusted_proxies=TrustedProxies(),
        identity_headers=IdentityNames(),
        node_id="host-1-example-org",
        workers=4,
        threads=4,
        max_receipt_bytes=None,
        min_free_bytes=None,
        feed_name_pattern="^[A-Z0-9_-]{3,}$",
        try_endpoints=True,
        log_deliveries=True,
        require_verify_header=True,
        change_comment_required=False,
        second_approval=False,
        anonymous_rate=12000,
        token_rate=60000,
        keepalive_seconds=75,
        debug=False,
    )
    assert Path(data_dir).stat().st_mode & 0o777 == 0o700


def test_each_setting_has_a_field_a_text_and_a_remedy() -> None:
    own = {field.name for field in fields(Environment)} - {"identity_headers"}
    assert {setting.field for setting in SETTINGS} == own | {"dialect", "dn", "verify", "expiry", "certificate"}
    assert (
        len({setting.name for setting in SETTINGS}) == len({setting.field for setting in SETTINGS}) == len(SETTINGS)
    )
    assert all(setting.doc and (setting.hint or setting.parse is None) for setting in SETTINGS)


def test_the_document_of_the_settings_is_written_from_their_table() -> None:
    """`python -m portal.settings_page` writes it."""
    assert PAGE.read_text(encoding="utf-8") == settings_page()


def test_a_fault_elsewhere_hides_no_contradiction(data_dir: str) -> None:
    lines = faults(data_dir, HOST="not a host", PORTAL_DEBUG="on", PORTAL_PUBLIC_URL="https://portal.example.org")
    assert [line.split("=")[0].split()[0] for line in lines] == ["HOST", "PORTAL_DEBUG"]


def test_blank_settings_are_the_defaults(data_dir: str) -> None:
    blank = dict.fromkeys(["HOST", "PORT", "DATABASE_URL", "PORTAL_PUBLIC_URL", "PORTAL_THREADS"], " ")
    assert read_environment({"PORTAL_DATA_DIR": data_dir, **blank}) == read_environment(
        {"PORTAL_DATA_DIR": data_dir}
    )


def test_the_default_data_folder_is_next_to_the_code() -> None:
    assert Path(__file__).resolve().parents[2] == BASE_DIR


@pytest.mark.parametrize(
    ("host_name", "node_id"),
    [("a" * 80, "a" * 60), ("", "portal"), ("büro", "b-ro"), ("plain", "plain")],
)
def test_the_node_id_is_made_of_any_host_name(
    host_name: str, node_id: str, data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host_name)
    assert read_environment({"PORTAL_DATA_DIR": data_dir}).node_id == node_id


def test_every_setting_is_taken_over(tmp_path: Path) -> None:
    found = read_environment(
        {
            "HOST": "::1",
            "PORT": "1",
            "PORTAL_DATA_DIR": str(tmp_path),
            "DATABASE_URL": "postgresql://portal@db:5432/portal",
            "PORTAL_ADMIN_USERNAME": "jo@example.org",
            "PORTAL_ADMIN_PASSWORD": " blanks are meant ",
            "PORTAL_SECRET_KEY": GOOD_KEY,
            "PORTAL_ALLOWED_HOSTS": " portal.example.org , .example.net,[2001:db8::1],",
            "PORTAL_PUBLIC_URL": "HTTPS://Portal.example.org:8443/",
            "PORTAL_TRUSTED_PROXIES": "10.0.0.1, 192.168.0.0/16,UNIX,2001:db8::/32",
            "PORTAL_DN_HEADERS": "Client-Subject, RemoteDN",
            "PORTAL_VERIFY_HEADER": "Client-Verify",
            "PORTAL_EXPIRY_HEADER": "Client-Until",
            "PORTAL_NODE_ID": "n" * 60,
            "PORTAL_WORKERS": "1",
            "PORTAL_THREADS": "64",
            "PORTAL_MAX_RECEIPT_BYTES": "1",
            "PORTAL_MIN_FREE_BYTES": "0",
            "PORTAL_KEEPALIVE_SECONDS": "120",
            "PORTAL_SIGNIN_HEADER": "X-Remote-User",
            "PORTAL_FEED_NAME_PATTERN": ".",
            "PORTAL_TRY_ENDPOINTS": "OFF",
            "PORTAL_REQUIRE_VERIFY_HEADER": "no",
            "PORTAL_CHANGE_COMMENT": "required",
            "PORTAL_SECOND_APPROVAL": "on",
            "PORTAL_DEBUG": "0",
        }
    )
    assert (found.host, found.port, found.data_dir) == ("::1", 1, tmp_path)
    assert found.database_url == "postgresql://portal@db:5432/portal"
    assert (found.admin_username, found.admin_password) == ("jo@example.org", " blanks are meant ")
    assert found.secret_key == GOOD_KEY
    assert found.allowed_hosts == ("portal.example.org", ".example.net", "[2001:db8::1]")
    assert found.public_url == "https://portal.example.org:8443"
    assert found.trusted_proxies.unix
    assert [str(network) for network in found.trusted_proxies.networks] == [
        "10.0.0.1/32",
        "192.168.0.0/16",
        "2001:db8::/32",
    ]
    assert found.identity_headers == IdentityNames(
        dn=("client-subject", "remotedn"), verify="client-verify", expiry="client-until", signin="x-remote-user"
    )
    assert found.signin_header == "x-remote-user"
    assert (found.node_id, found.workers, found.threads) == ("n" * 60, 1, 64)
    assert (found.max_receipt_bytes, found.min_free_bytes) == (1, 0)
    assert found.keepalive_seconds == 120
    assert (found.feed_name_pattern, found.try_endpoints, found.require_verify_header) == (".", False, False)
    assert (found.change_comment_required, found.second_approval, found.debug) == (True, True, False)


def test_a_dialect_chooses_the_names_of_the_identity_headers(data_dir: str) -> None:
    for dialect, names in DIALECTS.items():
        found = read_environment({"PORTAL_DATA_DIR": data_dir, "PORTAL_PROXY_DIALECT": dialect.upper()})
        assert found.identity_headers == names
        assert names.dialect == dialect
    assert DIALECTS["nginx"] == IdentityNames()


def test_single_names_of_a_dialect_can_be_set(data_dir: str) -> None:
    given = {"PORTAL_DATA_DIR": data_dir, "PORTAL_PROXY_DIALECT": "aws-alb"}
    leaf = {"PORTAL_CERTIFICATE_HEADER": "X-Amzn-Mtls-Clientcert-Leaf"}
    found = read_environment({**given, **leaf, "PORTAL_VERIFY_HEADER": "X-Verified"}).identity_headers
    assert (found.dn, found.certificate, found.verify) == ((), "x-amzn-mtls-clientcert-leaf", "x-verified")
    assert found.expiry == "x-amzn-mtls-clientcert-validity"
    both = read_environment({**given, **leaf, "PORTAL_DN_HEADERS": "X-Amzn-Mtls-Clientcert-Subject"})
    assert both.identity_headers.dn == ("x-amzn-mtls-clientcert-subject",)


def test_a_dialect_that_is_none_and_a_certificate_that_no_proxy_verified_stop_the_start(data_dir: str) -> None:
    (line,) = faults(data_dir, PORTAL_PROXY_DIALECT="caddy")
    assert line.startswith("  PORTAL_PROXY_DIALECT='caddy' cannot be used")
    assert "aws-alb" in line
    (line,) = faults(data_dir, PORTAL_PROXY_DIALECT="aws-alb", PORTAL_CERTIFICATE_HEADER="X-Amzn-Mtls-Clientcert")
    assert "does not verify" in line
    assert "x-amzn-mtls-clientcert-leaf" in line


@pytest.mark.parametrize("word", ["1", "on", "On", "TRUE", "yes"])
def test_a_switch_understands_the_usual_words(word: str, data_dir: str) -> None:
    assert read_environment({"PORTAL_DATA_DIR": data_dir, "PORTAL_TRY_ENDPOINTS": word}).try_endpoints


@pytest.mark.parametrize(
    "url",
    ["", "sqlite:////var/lib/portal.sqlite3", "postgres:///portal", "postgres://u:p@h:5432/n?sslmode=require"],
)
def test_databases_that_keep_what_is_acknowledged(url: str, data_dir: str) -> None:
    assert read_environment({"PORTAL_DATA_DIR": data_dir, "DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "localhost", "my_host", "fe80::1%eth0", "::ffff:1.2.3.4", "unix:/run/portal.sock"]
)
def test_hosts_to_listen_on(host: str, data_dir: str) -> None:
    assert read_environment({"PORTAL_DATA_DIR": data_dir, "HOST": host}).host == host


# Demand S1: whom identity headers are believed from


def proxies(text: str, data_dir: str) -> TrustedProxies:
    return read_environment({"PORTAL_DATA_DIR": data_dir, "PORTAL_TRUSTED_PROXIES": text}).trusted_proxies


PEERS = ["127.0.0.1", "::1", "10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::7", "", None]
ODD_PEERS = ["unix", "localhost", "10.0.0.1:80", "10.0.0.1 ", "10.0.0.01", "10.0.0.1/32", "*", "0", "[::1]"]


@pytest.mark.parametrize(
    ("listed", "trusted"),
    [
        ("", []),
        ("unix", ["", None]),
        ("10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"]),
        ("10.0.0.0/8", ["10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1"]),
        ("10.9.9.9/8", ["10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1"]),
        ("127.0.0.1,unix", ["127.0.0.1", "", None]),
        ("::1", ["::1"]),
        ("2001:db8::/32", ["2001:db8::7"]),
        ("fe80::/10", ["fe80::1%eth0"]),
        ("::ffff:10.0.0.0/104", ["::ffff:10.0.0.1"]),
    ],
)
def test_s01_only_listed_peers_are_trusted(listed: str, trusted: list[str | None], data_dir: str) -> None:
    known = proxies(listed, data_dir)
    assert [peer for peer in PEERS if known.trusts(peer)] == trusted
    assert not any(known.trusts(peer) for peer in ODD_PEERS)


def test_s01_by_default_nobody_is_trusted() -> None:
    assert not any(TrustedProxies().trusts(peer) for peer in [*PEERS, *ODD_PEERS])


# The real start


def start(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PORTAL_DATA_DIR": str(tmp_path), **settings}
    command = [sys.executable, "manage.py", "serve"]
    return subprocess.run(
        command, check=False, cwd=BASE_DIR, env=environ, capture_output=True, text=True, timeout=20
    )


def test_r22_the_start_stops_within_three_seconds_and_says_why(tmp_path: Path) -> None:
    began = time.monotonic()
    stopped = start(tmp_path, PORT="0", PORTAL_WORKERS="none", PORTAL_TRUSTED_PROXY="x", PORTAL_SECRET_KEY="hush")
    assert time.monotonic() - began < 3
    assert stopped.returncode != 0
    for name in ("PORT=", "PORTAL_WORKERS=", "PORTAL_TRUSTED_PROXY ", "PORTAL_SECRET_KEY "):
        assert f"\n  {name}" in stopped.stderr
    assert stopped.stderr.startswith("The portal cannot start:")
    assert "Traceback" not in stopped.stderr
    assert "hush" not in stopped.stderr + stopped.stdout
