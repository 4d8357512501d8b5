"""The portal reads and writes the same text in every locale: no file, pipe or command depends on it (safety B7)."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ROOT

SOURCES = sorted(
    path
    for folder in ("portal", "codes", "feeds", "deploy")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)
#: Calls that work with text unless a mode or a flag says otherwise.
TEXT_METHODS = {"read_text", "write_text"}
OPENERS = {"open", "fdopen"}
TEMPORARY = {"NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"}
PROCESSES = {"run", "Popen", "check_output", "check_call", "call"}
#: Objects whose `open` gives bytes, or is no file's at all.
NOT_FILES = {"archive", "os", "room", "self._zip", "self._address"}


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def owner_of(call: ast.Call) -> str:
    return ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def mode_of(call: ast.Call) -> str:
    """The mode as it is written in the call."""
    words = (*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode"))
    texts = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return next((text for text in texts if text and set(text) <= set("rwaxbt+")), "")


def depends_on_locale(call: ast.Call) -> bool:
    name, given = name_of(call), {keyword.arg for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in TEXT_METHODS:
        return not call.args or name == "write_text"
    if name == "open" and owner_of(call) in NOT_FILES:
        return False
    if name in OPENERS:
        return "b" not in mode_of(call)
    if name in TEMPORARY:
        return bool(mode_of(call)) and "b" not in mode_of(call)
    return name in PROCESSES and bool(given & {"text", "universal_newlines"})


def calls_in(source: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_b7_every_text_names_its_encoding(path: Path) -> None:
    found = [
        f"{path.name}:{call.lineno}: {ast.unparse(call)}"
        for call in calls_in(path.read_text(encoding="utf-8"))
        if depends_on_locale(call)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('rb')", False),
        ("path.open('w')", True),
        ("os.fdopen(descriptor, 'w')", True),
        ("os.fdopen(descriptor, 'wb')", False),
        ("tempfile.TemporaryFile()", False),
        ("tempfile.TemporaryFile('w+')", True),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command)", False),
    ],
)
def test_the_search_finds_what_it_looks_for(source: str, expected: bool) -> None:
    [call] = calls_in(source)
    assert depends_on_locale(call) is expected


LOCALES = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
]


@pytest.mark.parametrize("locale", LOCALES, ids=["C", "POSIX", "latin-1"])
def test_b7_text_is_printed_and_documents_are_read_in_any_locale(locale: dict[str, str], tmp_path: Path) -> None:
    code = "print('\\u2026 \\u4e2d \\udce9'); from portal.documentation import pages; print(len(pages()))"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LC_", "LANG", "PORTAL_", "DJANGO_"))
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env={**kept, "PORTAL_DATA_DIR": str(tmp_path), **locale},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 5
