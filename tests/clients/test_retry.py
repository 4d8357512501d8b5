"""The functions that senders copy: the same decisions in five languages, and those of the catalogue."""

import importlib.util
import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from codes.catalogue.reader import read_catalogue
from codes.catalogue.values import HTTP, STROOM, Catalogue, Verdict
from codes.loading import DATA_DIRECTORY

FOLDER = Path(__file__).parents[2] / "clients" / "retry"
TABLE: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]
EXPECTED = [(case["action"], case["seconds"]) for case in CASES]
LATER = {Verdict.AS_IS_LATER, Verdict.AFTER_WAIT}


def run(*command: str | Path, cwd: Path, stdin: str = "") -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def decisions(output: str) -> list[tuple[str, int]]:
    return [(action, int(seconds)) for action, seconds in map(str.split, output.splitlines())]


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture(scope="module")
def authored() -> Catalogue:
    return read_catalogue(DATA_DIRECTORY)


@pytest.fixture(scope="module")
def python() -> Any:
    spec = importlib.util.spec_from_file_location("retry", FOLDER / "retry.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python(python: Any) -> None:
    now = datetime.fromisoformat(TABLE["now"])
    found = [
        python.after_delivery(case["http_status"], case["stroom_status"], case["retry_after"], now)
        for case in CASES
    ]
    assert found == EXPECTED


def test_javascript(tmp_path: Path) -> None:
    node = needs("node")
    (tmp_path / "run.mjs").write_text(
        f'import {{ readFileSync }} from "node:fs";\nimport {{ afterDelivery }} from "{FOLDER}/retry.mjs";\n'
        f'const table = JSON.parse(readFileSync("{FOLDER}/cases.json"));\n'
        "for (const c of table.cases) {\n"
        "  const d = afterDelivery(c.http_status, c.stroom_status || null, c.retry_after, new Date(table.now));\n"
        "  console.log(d.action, d.seconds);\n}\n"
    )
    assert decisions(run(node, "run.mjs", cwd=tmp_path)) == EXPECTED


def test_bash(tmp_path: Path) -> None:
    now = int(datetime.fromisoformat(TABLE["now"]).timestamp())
    (tmp_path / "run.sh").write_text(
        f". {FOLDER}/retry.sh\n"
        f'while IFS=\'|\' read -r http stroom retry _; do after_delivery "$http" "$stroom" "$retry" {now}; done\n'
    )
    lines = "".join(f"{case['http_status']}|{case['stroom_status']}|{case['retry_after']}|\n" for case in CASES)
    assert decisions(run("bash", "-eu", "run.sh", cwd=tmp_path, stdin=lines)) == EXPECTED


@pytest.mark.long
def test_java(tmp_path: Path) -> None:
    javac, java = needs("javac"), needs("java")
    calls = "".join(
        f"        print(Retry.afterDelivery({case['http_status']}, {json.dumps(case['stroom_status'])}, "
        f'{json.dumps(case["retry_after"])}, java.time.Instant.parse("{TABLE["now"]}")));\n'
        for case in CASES
    )
    (tmp_path / "Run.java").write_text(
        "class Run {\n    static void print(Retry.Decision d) {\n"
        '        System.out.println(d.action().name().toLowerCase() + " " + d.seconds());\n    }\n'
        f"    public static void main(String[] none) {{\n{calls}    }}\n}}\n"
    )
    run(javac, "-Xlint:all", "-Werror", "-d", tmp_path, FOLDER / "Retry.java", "Run.java", cwd=tmp_path)
    assert decisions(run(java, "-cp", tmp_path, "Run", cwd=tmp_path)) == EXPECTED


@pytest.mark.long
def test_go(tmp_path: Path) -> None:
    go = needs("go")
    (tmp_path / "retry").mkdir()
    shutil.copy(FOLDER / "retry.go", tmp_path / "retry" / "retry.go")
    (tmp_path / "go.mod").write_text("module example.test\n\ngo 1.19\n")
    (tmp_path / "main.go").write_text(
        'package main\n\nimport (\n\t"encoding/json"\n\t"fmt"\n\t"os"\n\t"time"\n\n\t"example.test/retry"\n)\n\n'
        "func main() {\n\tvar table struct {\n\t\tNow   time.Time\n\t\tCases []struct {\n"
        '\t\t\tHTTP   int    `json:"http_status"`\n\t\t\tStroom string `json:"stroom_status"`\n'
        '\t\t\tRetry  string `json:"retry_after"`\n\t\t}\n\t}\n'
        f'\tdata, _ := os.ReadFile("{FOLDER}/cases.json")\n'
        "\tif err := json.Unmarshal(data, &table); err != nil {\n\t\tpanic(err)\n\t}\n"
        "\tfor _, c := range table.Cases {\n"
        "\t\taction, wait := retry.AfterDelivery(c.HTTP, c.Stroom, c.Retry, table.Now)\n"
        "\t\tfmt.Println(action, int(wait.Seconds()))\n\t}\n}\n"
    )
    run("env", f"GOCACHE={tmp_path}/cache", go, "vet", "./...", cwd=tmp_path)
    assert decisions(run("env", f"GOCACHE={tmp_path}/cache", go, "run", ".", cwd=tmp_path)) == EXPECTED


def test_a_copy_is_deleted_only_after_200_and_0(python: Any) -> None:
    """R1: the whole plane of statuses, not only the cases of the table."""
    for http in (0, *range(100, 1000)):
        for stroom in ("", "0", "1", "00", "x", *map(str, range(100, 1000, 7))):
            action, _ = python.after_delivery(http, stroom)
            assert (action == "delete") == ((http, stroom) == (200, "0")), (http, stroom)


def test_a_missing_header_is_as_good_as_an_empty_one(python: Any) -> None:
    assert python.after_delivery(200, None, None) == ("hold", 0)
    assert python.after_delivery(503, None, None) == ("again", 60)


@pytest.mark.parametrize("status", ["", "abc", "-1", "2 0", "0x0", "1e2", "2000", "x[$(touch stolen)]"])
def test_what_is_no_status_keeps_the_copy_and_runs_nothing(status: str, tmp_path: Path) -> None:
    """Bash evaluates arithmetic, also of text that came from elsewhere."""
    answer = run("bash", "-euc", f'. {FOLDER}/retry.sh; after_delivery "$1" 0', "bash", status, cwd=tmp_path)
    assert decisions(answer)[0][0] != "delete"
    assert not list(tmp_path.iterdir())


def test_the_decisions_are_those_of_the_catalogue(authored: Catalogue, python: Any) -> None:
    first: dict[tuple[str, int], Verdict] = {}
    for meaning in authored.meanings:
        first.setdefault((meaning.registry, meaning.code), meaning.retry.verdict)
    for (registry, code), verdict in first.items():
        if (registry, code) == (STROOM, 0):
            continue
        asked = (code, "") if registry == HTTP else (406, str(code))
        action, _ = python.after_delivery(*asked)
        wanted = "again" if verdict in LATER else "hold"
        assert action == wanted, (registry, code, verdict)


def test_each_language_has_the_same_numbers(python: Any) -> None:
    """A table that was edited in one language only is found also where its compiler is missing."""
    hold = {int(number) for number in python.HOLD_STROOM}
    again = {int(number) for number in python.AGAIN_STROOM}
    for name in ("retry.mjs", "retry.go", "Retry.java"):
        numbers = {int(number) for number in re.findall(r"\b[1-9][0-9]{2}\b", (FOLDER / name).read_text())}
        assert python.AGAIN_HTTP | python.HOLD_5XX | hold | again <= numbers, name


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".json"))
def test_each_file_says_its_licence(file: str) -> None:
    assert "SPDX-License-Identifier: Apache-2.0" in "".join((FOLDER / file).read_text().splitlines()[:2])
