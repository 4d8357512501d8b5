"""S24: no secret is in the repository, in a log or on an error page, and none has a default."""

import base64
import hashlib
import logging
import math
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client

from portal.environment import BASE_DIR, read_environment
from portal.logs import OneLine
from portal.setting_values import usable_secret_key

#: Random to the eye, the same in every process, and not written down anywhere.
GOOD_KEY = base64.urlsafe_b64encode(hashlib.sha512(b"a key for tests").digest()).decode().rstrip("=")

#: What only a secret looks like.
SHAPES = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    "a token of ours": r"\bsp_[A-Za-z0-9_-]{43}\b",
    "a key of Django's": r"django-insecure-[^\"'\s]{20}",
    "a cloud key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a token of a code host": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|glpat-[A-Za-z0-9_-]{20}|xox[abp]-[0-9A-Za-z-]{20})",
    "a signed web token": r"\beyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}",
    "a password in an address": r"\b[a-z]+://[^\s/:@\"'<>{}$]+:(?!\*|…|PASSWORD|password|pa55word)[^\s/:@\"'<>{}$]{6,}@(?!example)",
}
#: Names whose values are secrets: a literal beside one is looked at.
NAMED = re.compile(
    r"""(?i)(?<![a-z])(?:secret_key|secret|api_?key|token|password|passwd|pwd)\b["']?\s*[:=]\s*["']?([^\s"'`,;(){}\[\]]{12,})(?![(\[])"""
)


def repository() -> list[Path]:
    """Every file that is kept, or every file but what `make run` makes where there is no git."""
    try:
        told = subprocess.run(["git", "ls-files"], cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout
        paths = [BASE_DIR / name for name in told.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        left_out = {".git", ".venv", "var", "__pycache__", "node_modules"}
        paths = [path for path in BASE_DIR.rglob("*") if not left_out & set(path.relative_to(BASE_DIR).parts)]
    return [path for path in paths if path.is_file() and path.stat().st_size < 2_000_000]


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def entropy(text: str) -> float:
    """Bits for each letter; random letters of 64 kinds have near six, words near four."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def looks_random(text: str) -> bool:
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return len(text) >= 20 and kinds == 3 and entropy(text) > 3.7


def secrets_in(text: str) -> Iterator[str]:
    for name, shape in SHAPES.items():
        for found in re.finditer(shape, text):
            yield f"{name}: {found[0][:60]!r}"
    for found in NAMED.finditer(text):
        if looks_random(found[1]):
            yield f"a value beside its name: {found[0][:60]!r}"


def test_s24_no_secret_is_in_the_repository() -> None:
    files = repository()
    assert len(files) > 300
    own = Path(__file__).name
    found = {
        str(path.relative_to(BASE_DIR)): told
        for path in files
        if path.name != own and (told := list(secrets_in(text_of(path))))
    }
    assert found == {}


def test_s24_no_key_of_an_example_would_be_taken() -> None:
    """Whoever copies a line of the documentation gets a key that the portal refuses, or none."""
    shown = re.compile(r"PORTAL_SECRET_KEY[=: ]+[\"']?([^\s\"'`|]+)")
    taken = []
    for path in repository():
        if path.suffix in {".md", ".yaml", ".yml", ".conf", ".service", ".env", ".toml", ""}:
            taken += [(path.name, key) for key in shown.findall(text_of(path)) if is_usable(key)]
    assert taken == []


def is_usable(key: str) -> bool:
    try:
        return bool(usable_secret_key(key))
    except ValueError:
        return False


@pytest.mark.parametrize(
    "text",
    [
        f'SECRET_KEY = "{GOOD_KEY}"',
        f"PORTAL_ADMIN_PASSWORD={GOOD_KEY[:24]}",
        "DATABASE_URL=postgres://portal:hunter2hunter@db.internal/portal",
        f"Authorization: Bearer sp_{'aB3-' * 10}xyz",
        "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEEIB" * 8,
        "key AKIA" + "ABCDEFGHIJ012345",
    ],
    ids=["key", "password", "address", "token", "pem", "cloud"],
)
def test_the_scanner_finds_what_it_is_for(text: str) -> None:
    assert list(secrets_in(text))


# --- starting ---


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PORTAL_SECRET_KEY", "short"),
        ("PORTAL_SECRET_KEY", "a" * 64),
        ("PORTAL_SECRET_KEY", "ab" * 40),
        ("PORTAL_SECRET_KEY", "django-insecure-" + GOOD_KEY),
        ("PORTAL_SECRET_KEY", "changeme" * 8),
        ("PORTAL_ALLOWED_HOSTS", "*"),
        ("PORTAL_ALLOWED_HOSTS", "portal.example.org,*"),
        ("PORTAL_ALLOWED_HOSTS", ".example.org,.*"),
        ("PORTAL_DEBUG", "on"),
    ],
    ids=[
        "short",
        "one letter",
        "two letters",
        "of Django",
        "known",
        "any host",
        "any host too",
        "any end",
        "debug",
    ],
)
def test_s24_production_refuses_to_start(setting: str, value: str, tmp_path: Path) -> None:
    """The real command, told to serve the public: it ends, and says which setting and what to do."""
    ended = start(tmp_path, PORTAL_PUBLIC_URL="https://portal.example.org", **{setting: value})
    assert ended.returncode != 0
    assert setting in ended.stderr
    assert value not in ended.stderr or setting != "PORTAL_SECRET_KEY"
    assert "Traceback" not in ended.stderr


def start(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: word for name, word in os.environ.items() if not name.startswith(("PORTAL_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, *(command or ("manage.py", "check"))],
        cwd=BASE_DIR,
        env={**plain, "PORTAL_DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "portal.example.org"])
def test_s24_debug_is_for_this_machine_alone(host: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="PORTAL_DEBUG shows internal details"):
        read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_DEBUG": "on", "HOST": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "unix:/run/portal.sock"])
def test_debug_on_this_machine_is_allowed(host: str, tmp_path: Path) -> None:
    assert read_environment({"PORTAL_DATA_DIR": str(tmp_path), "PORTAL_DEBUG": "on", "HOST": host}).debug


@pytest.mark.parametrize(
    "kept", ["", "short", "a" * 70, "changeme" * 10], ids=["empty", "short", "one letter", "known"]
)
def test_s24_a_key_file_that_is_empty_short_or_known_stops_the_start(kept: str, tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(kept)
    ended = start(tmp_path)
    assert ended.returncode != 0
    assert "secret_key holds no usable key" in ended.stderr
    assert "remove the file" in ended.stderr
    assert "Traceback" not in ended.stderr


AS_SERVER = "from portal import command_line; command_line.start_serving(); import portal.settings"


def test_s24_the_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    assert start(tmp_path, "-c", AS_SERVER).returncode == 0
    file = tmp_path / "secret_key"
    first = file.read_text()
    assert is_usable(first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert start(tmp_path, "-c", AS_SERVER).returncode == 0
    assert file.read_text() == first
    assert [path.name for path in tmp_path.iterdir() if "secret_key" in path.name] == ["secret_key"]


# --- logs and error pages ---


class Collector(logging.Handler):
    """Every line of every log, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(OneLine().format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    collector = Collector()
    names = [None, "portal", "feeds", "codes", "django", "portal.requests", "django.request", "django.security"]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.INFO)
    yield collector.lines
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(collector)
        logger.setLevel(level)


@pytest.mark.django_db
def test_s24_no_secret_is_in_a_log_or_on_an_error_page(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong, new = "right-Pass-4711-phrase", "wrong-Pass-4712-phrase", "newer-Pass-4713-phrase"
    User.objects.create_superuser("boss", password=right)
    client = Client(raise_request_exception=False)
    pages = []

    def post(path: str, body: dict[str, str], **kwargs: str) -> None:
        pages.append(client.post(path, body, **kwargs).content.decode())

    def get(path: str, **headers: str) -> None:
        pages.append(client.get(path, headers=headers).content.decode())

    post("/admin/login/", {"username": "boss", "password": wrong})
    post("/admin/login/", {"username": wrong, "password": right})
    post("/api/v1/auth/token/", {"username": "boss", "password": wrong}, content_type="application/json")
    issued = client.post(
        "/api/v1/auth/token/", {"username": "boss", "password": right}, content_type="application/json"
    ).json()["token"]
    for header in (f"Bearer {issued}", f"Bearer {issued}x", f"Basic {issued}", issued):
        get("/api/v1/feeds/", Authorization=header)
        get("/api/v1/nowhere/", Authorization=header)
        get(f"/api/v1/feeds/?token={issued}", Authorization=header)
    post("/admin/login/?next=/admin/", {"username": "boss", "password": right})
    session = client.cookies["sessionid"].value
    post("/admin/password_change/", {"old_password": wrong, "new_password1": new, "new_password2": right})

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("made to fail")

    monkeypatch.setattr("feeds.templatetags.feeds_overview.overview", fail)
    get("/admin/", Authorization=f"Bearer {issued}")
    assert pages[-1].count("HTTP") >= 1
    post("/admin/", {"password": right, "token": issued})
    hidden = {
        "the key": django_settings.SECRET_KEY,
        "the right password": right,
        "a password": wrong,
        "a new password": new,
        "a token": issued,
        "the session": session,
        "the token's hash": hashlib.sha256(issued.encode()).hexdigest(),
        "the password's hash": User.objects.get(username="boss").password,
    }
    assert len(lines) > 20
    assert any("made to fail" in line for line in lines)
    log = "\n".join(lines)
    assert [name for name, word in hidden.items() if word in log] == []
    shown = "\n".join(pages)
    repeated = {"a password"}  # typed as a user name, it stands in that field again, for who typed it
    assert [name for name, word in hidden.items() if word in shown and name not in repeated] == []
    assert "made to fail" not in shown
    assert "Traceback" not in shown
