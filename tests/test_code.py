"""Limits of the code: lines of a module and of a function, and one meaning for each name of a class."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.environment import BASE_DIR

MOST_LINES_OF_MODULE = 400
#: Without the docstring.
MOST_LINES_OF_FUNCTION = 40
#: A longer module says in its docstring why it is one thing.
REASON = "One module because"
FOLDERS = ("portal", "feeds", "codes", "benchmarks", "deploy")

FILES = [
    path.relative_to(BASE_DIR)
    for folder in FOLDERS
    for path in sorted((BASE_DIR / folder).rglob("*.py"))
    if "migrations" not in path.parts
]


def tree_of(path: Path) -> ast.Module:
    return ast.parse((BASE_DIR / path).read_text(encoding="utf-8"))


def test_there_is_code() -> None:
    assert len(FILES) > 300


def test_a_module_is_not_too_long_or_says_why() -> None:
    too_long = {
        str(path): lines
        for path in FILES
        if (lines := (BASE_DIR / path).read_text(encoding="utf-8").count("\n")) > MOST_LINES_OF_MODULE
        and REASON not in (ast.get_docstring(tree_of(path)) or "")
    }
    assert not too_long, f"split by subject, or say in the docstring: {REASON} …"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return _lines(function) - (_lines(function.body[0]) if ast.get_docstring(function) else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_is_too_long() -> None:
    too_long = {
        f"{path}: {function.name}": lines
        for path in FILES
        for function in functions(tree_of(path))
        if (lines := length(function)) > MOST_LINES_OF_FUNCTION
    }
    assert not too_long


@pytest.mark.parametrize(
    ("text", "lines"), [("def f():\n    '''a\n    b'''\n    g()\n", 2), ("def f():\n    1\n    2", 3)]
)
def test_the_docstring_of_a_function_does_not_count(text: str, lines: int) -> None:
    assert [length(function) for function in functions(ast.parse(text))] == [lines]


#: Names that are used more than once on purpose: for a value of the catalogue's files and its table, and for the
#: classes of management commands, which Django demands.
SAME_ON_PURPOSE = {
    "Command": "management commands",
    **dict.fromkeys(
        ("CodeClass", "Disagreement", "HeaderUse", "Meaning", "Owner", "Registry", "Source", "Vendor"),
        "value in codes.catalogue.values, table in codes.models",
    ),
}


def test_a_class_name_means_one_thing() -> None:
    where: dict[str, list[str]] = {}
    for path in FILES:
        if path.parts[0] in {"portal", "feeds", "codes"}:
            for node in tree_of(path).body:
                if isinstance(node, ast.ClassDef):
                    where.setdefault(node.name, []).append(str(path))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in SAME_ON_PURPOSE} == {}
    assert set(SAME_ON_PURPOSE) <= set(twice)
    for name, paths in twice.items():
        if name != "Command":
            assert [Path(path).parts[1] for path in paths] == ["catalogue", "models"], name


#: Words that documentation does not use, with a standard term for each.
DIALECT = {
    "anew": "again",
    "beside": "next to, in addition to, compared with",
    "in vain": "timed out, failed",
    "nobody": "no user, no client",
    "reckoned": "counted",
    "whoever": "the caller, anyone who",
}
#: The words in patterns of what people write, in names of tests' data, and in texts that may not be changed.
QUOTED = ("CN=nobody", '"nobody"', "everyone|nobody", "NOBODY", "Metadata as stored beside the data.")
WRITTEN = [
    path.relative_to(BASE_DIR)
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "templates/**/*.html")
    for path in sorted(BASE_DIR.glob(pattern))
]


def test_code_and_documents_are_in_plain_language() -> None:
    word = re.compile(rf"\b({'|'.join(DIALECT)})\b", re.IGNORECASE)
    found = [
        f"{path}:{number}: {line.strip()}: write {DIALECT[hit[0].lower()]}"
        for path in [*FILES, *WRITTEN]
        for number, line in enumerate((BASE_DIR / path).read_text(encoding="utf-8").splitlines(), 1)
        if (hit := word.search(line)) and not any(quoted in line for quoted in QUOTED)
    ]
    assert not found
