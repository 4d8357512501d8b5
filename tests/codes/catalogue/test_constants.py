"""Names in programs, asked of the languages and libraries themselves where they are installed."""

import json
import re
import shutil
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
from rest_framework import status

from codes.catalogue.values import Catalogue, Constant

#: Other versions than the one that runs the tests, where somebody keeps them.
PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
NAMES_OF_PYTHON = """
import json, sys
from http import HTTPStatus
names = {name: int(member) for name, member in HTTPStatus.__members__.items()}
print(json.dumps([list(sys.version_info[:2]), names, {member.name: int(member) for member in HTTPStatus}]))
"""


def said(authored: Catalogue, library: str) -> list[Constant]:
    return [constant for constant in authored.constants if constant.library == library]


def version(text: str, default: tuple[int, int]) -> tuple[int, int]:
    if not text:
        return default
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_names_of_this_python_are_those_that_it_has(authored: Catalogue) -> None:
    check_python(
        authored, sys.version_info[:2], {name: int(member) for name, member in HTTPStatus.__members__.items()}
    )


@pytest.mark.skipif(not PYTHONS, reason="no other versions of Python are installed below ~/.pyenv")
@pytest.mark.parametrize("python", PYTHONS, ids=[path.parents[1].name for path in PYTHONS])
def test_the_names_of_every_python_here_are_those_that_it_has(authored: Catalogue, python: Path) -> None:
    found, names, _ = json.loads(run(str(python), "-c", NAMES_OF_PYTHON))
    check_python(authored, (found[0], found[1]), names)


def check_python(authored: Catalogue, found: tuple[int, int], names: dict[str, int]) -> None:
    claimed = {
        constant.name: constant.code
        for constant in said(authored, "http.HTTPStatus")
        if version(constant.since, (3, 0)) <= found <= version(constant.until, (9, 0))
    }
    assert claimed == names


@pytest.mark.skipif(not PYTHONS, reason="no other versions of Python are installed below ~/.pyenv")
@pytest.mark.parametrize("python", PYTHONS, ids=[path.parents[1].name for path in PYTHONS])
def test_what_is_said_of_main_names_is_so_in_every_python_here(authored: Catalogue, python: Path) -> None:
    found, _, main = json.loads(run(str(python), "-c", NAMES_OF_PYTHON))
    for constant in said(authored, "http.HTTPStatus"):
        if match := re.match(r"The main name up to 3\.(\d+);", constant.note):
            assert (constant.name in main) is (tuple(found) <= (3, int(match[1]))), constant.name


def test_the_names_of_the_rest_framework_are_those_that_it_has(authored: Catalogue) -> None:
    claimed = {constant.name: constant.code for constant in said(authored, "rest_framework.status")}
    assert claimed == {name: value for name, value in vars(status).items() if name.startswith("HTTP_")}


@pytest.mark.skipif(shutil.which("javap") is None, reason="no JDK is installed")
def test_the_names_of_java_are_those_that_it_has(authored: Catalogue) -> None:
    shown = run("javap", "-constants", "-public", "java.net.HttpURLConnection")
    found = {name: int(value) for name, value in re.findall(r"int (HTTP_\w+) = (\d+);", shown)}
    assert len(found) > 30
    claimed = {constant.name: constant.code for constant in said(authored, "java.net.HttpURLConnection")}
    assert claimed == found


def node_version() -> str:
    return run("node", "-p", "process.versions.node") if shutil.which("node") else ""


@pytest.mark.skipif(
    not node_version().startswith("20."), reason="Node.js 20, whose texts they are, is not installed"
)
def test_the_texts_of_node_are_those_that_it_has(authored: Catalogue) -> None:
    found = json.loads(run("node", "-p", "JSON.stringify(require('http').STATUS_CODES)"))
    claimed = {str(constant.code): constant.name for constant in said(authored, "http.STATUS_CODES")}
    assert claimed == found


# Where Go's name is not the registered name of today without its blanks (net/http, status.go).
OWN_NAMES_OF_GO = {
    203: "NonAuthoritativeInfo",
    407: "ProxyAuthRequired",
    413: "RequestEntityTooLarge",
    414: "RequestURITooLong",
    416: "RequestedRangeNotSatisfiable",
    418: "Teapot",
    422: "UnprocessableEntity",
}


def test_the_names_of_go_are_those_of_its_package(authored: Catalogue) -> None:
    names = {
        meaning.code: re.sub(r"[^A-Za-z]", "", meaning.name)
        for meaning in authored.meanings
        if meaning.registry == "http" and meaning.owner == "ietf" and meaning.code not in {104, 306}
    }
    expected = {code: f"Status{name}" for code, name in {**names, **OWN_NAMES_OF_GO}.items()}
    assert {constant.code: constant.name for constant in said(authored, "net/http")} == expected
