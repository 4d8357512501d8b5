"""Would the tests notice? Small faults are put into the pure modules one at a time, and their tests are run.

    python -m benchmarks.mutation [module…]      for example feeds.dn; all of TARGETS when none is named

A fault that no test notices survives. Each survivor is printed, and must be explained in docs/mutation.md; the exit
code is 1 where one is not, or where fewer than 95 % of a module's faults are noticed. No package does this here:
those at hand either leave code outside functions alone, where our tables and patterns are, or start a process per
fault. Takes about a quarter of an hour on two cores.
"""

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {
    "feeds.dn": ["tests/feeds/test_dn.py", "tests/feeds/test_properties.py"],
    "feeds.metadata": ["tests/feeds/test_metadata.py", "tests/feeds/test_properties.py"],
    "feeds.policy": ["tests/feeds/test_policy.py", "tests/feeds/test_properties.py"],
}
EXPLANATIONS = ROOT / "docs" / "mutation.md"
WANTED_SCORE = 0.95
LONGEST_RUN = 60  # seconds; a fault that makes the tests hang is noticed
PROCESSES = os.cpu_count() or 1
#: Costly to import and no concern of the modules under test; loaded once and shared by every run.
PRELOADED = ["pytest", "hypothesis", "cryptography.x509", "django.db.models"]

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
#: Words about the code, which no test could see.
SILENT_FIELDS = {"annotation", "returns", "decorator_list", "type_params"}


@dataclass(frozen=True)
class Place:
    """Where a node hangs in its tree, and the function it belongs to."""

    parent: ast.AST
    field: str
    index: int | None
    function: str

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


@dataclass(frozen=True)
class Fault:
    """One change of one place; `text` names it without line numbers, so that explanations stay valid."""

    text: str
    line: int
    place: Place
    before: ast.AST
    after: ast.AST


def places(tree: ast.AST, function: str = "module") -> Iterator[tuple[Place, ast.AST]]:
    for name, value in ast.iter_fields(tree):
        if name in SILENT_FIELDS:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_docstring(tree, node):
                continue
            inner = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else function
            yield Place(tree, name, index, inner), node
            yield from places(node, inner)


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and hasattr(parent, "body")


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """The same code with one small fault."""
    match node:
        case ast.operator() | ast.cmpop() | ast.boolop() if type(node) in SWAPS:
            yield SWAPS[type(node)]()
        case ast.Constant(value=value):
            yield from map(ast.Constant, _other_constants(value))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield _copied(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Slice():
            yield from (_copied(node, **{end: None}) for end in ("lower", "upper") if getattr(node, end))
        case ast.Call(keywords=keywords):
            yield from (_copied(node, keywords=[k for k in keywords if k is not left_out]) for left_out in keywords)


def _other_constants(value: object) -> list[object]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return [value + "XX", ""] if value else ["XX"]
        case bytes():
            return [value + b"XX"]
        case None:
            return [0]
        case _:
            return []


def _copied(node: ast.AST, **changes: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **changes})


def faults(tree: ast.AST) -> list[Fault]:
    found = []
    for place, node in places(tree):
        for after in alternatives(node):
            shown = [ast.unparse(ast.fix_missing_locations(part)) or type(part).__name__ for part in (node, after)]
            line = getattr(node, "lineno", getattr(place.parent, "lineno", 0))
            if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
                shown[0] += f" in {ast.unparse(place.parent)}"
            before, changed = (part.replace("\n", " ; ")[:160] for part in shown)
            found.append(Fault(f"{place.function}: {before} -> {changed}", line, place, node, after))
    return found


class _Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the module under test with its fault, wherever it is imported from."""

    def __init__(self, module: str, code: object) -> None:
        self._module, self._code = module, code

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # type: ignore[call-overload]  # our own code, faulty on purpose


def run_tests(module: str, code: object, tests: Sequence[str]) -> int:
    """In a forked process: 0 where every test passes."""
    import pytest

    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Faulty(module, code))
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *tests]))


def start(module: str, tree: ast.AST, tests: Sequence[str]) -> int:
    code = compile(ast.fix_missing_locations(tree), f"{module} (faulty)", "exec")  # type: ignore[call-overload]
    pid = os.fork()
    if pid:
        return pid
    status = 1
    with contextlib.suppress(BaseException):
        status = run_tests(module, code, tests)
    os._exit(status)


def demand_passing(module: str, tree: ast.AST, tests: Sequence[str]) -> None:
    if os.waitpid(start(module, tree, tests), 0)[1] != 0:
        raise SystemExit(f"The tests of {module} fail without any fault.")


def survivors_of(module: str, tests: Sequence[str]) -> tuple[int, list[Fault]]:
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()
    tree = ast.parse(source)
    demand_passing(module, tree, tests)
    todo = faults(tree)
    running: dict[int, tuple[Fault, float]] = {}
    survived = []
    for fault in [*todo, *[None] * PROCESSES]:
        while len(running) >= PROCESSES or (fault is None and running):
            for pid, (tried, since) in list(running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    del running[pid]
                    survived += [tried] if status == 0 else []
                elif time.monotonic() - since > LONGEST_RUN:
                    os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)
        if fault is not None:
            fault.place.put(fault.after)
            running[start(module, tree, tests)] = (fault, time.monotonic())
            fault.place.put(fault.before)
    demand_passing(module, tree, tests)  # again: had they broken meanwhile, every later fault would look noticed
    return len(todo), sorted(survived, key=lambda fault: fault.line)


def main(names: Sequence[str]) -> int:
    os.chdir(ROOT)
    for name in PRELOADED:
        importlib.import_module(name)
    explained = Counter(EXPLANATIONS.read_text().splitlines()) if EXPLANATIONS.exists() else Counter()
    failed = False
    for module in names or TARGETS:
        count, survived = survivors_of(module, TARGETS[module])
        score = 1 - len(survived) / count
        print(f"{module}: {count} faults, {len(survived)} survive, score {score:.1%}", flush=True)
        for fault in survived:
            known = any(f"`{module} {fault.text}`" in line for line in explained)
            failed |= not known
            print(f"  {'explained  ' if known else 'UNEXPLAINED'} line {fault.line}: {fault.text}", flush=True)
        failed |= score < WANTED_SCORE
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
