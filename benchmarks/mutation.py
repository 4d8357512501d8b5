"""Would the tests notice? Small faults are put into the deciding modules one at a time, and their tests are run.

    python -m benchmarks.mutation [module…]      for example feeds.rules.dn; all of TARGETS when none is named

A fault that no test notices survives. Each survivor is printed, and must be explained in docs/mutation.md; the exit
code is 1 where one is not, or where fewer than 95 % of a module's faults are noticed. No package does this here:
those at hand either leave code outside functions alone, where our tables and patterns are, or start a process per
fault. The tests are collected once; for each fault inside a function a fork of that process gives the function its
faulty code and runs them. A fault outside functions needs a process of its own that imports the module again.
"""

import ast
import contextlib
import ctypes
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import mmap
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from benchmarks.mutants import Fault, faults

ROOT = Path(__file__).resolve().parent.parent
_METADATA = [
    "tests/feeds/rules/test_metadata.py",
    "tests/feeds/rules/test_certificate.py",
    "tests/feeds/rules/test_stored_metadata.py",
    "tests/feeds/rules/test_properties.py",
]
TARGETS = {
    "feeds.rules.dn": ["tests/feeds/rules/test_dn.py", "tests/feeds/rules/test_properties.py"],
    "feeds.rules.arguments": _METADATA,
    "feeds.rules.certificate": _METADATA,
    "feeds.rules.metadata": _METADATA,
    "feeds.rules.stored_metadata": _METADATA,
    "feeds.rules.decision": ["tests/feeds/rules/test_decision.py", "tests/feeds/rules/test_properties.py"],
    "feeds.store.compression": ["tests/feeds/store/test_compression.py"],
    "feeds.store.archive": ["tests/feeds/store/test_archive.py"],
    "feeds.store.zip_directory": ["tests/feeds/store/test_archive.py"],
    "feeds.store.zip_records": ["tests/feeds/store/test_archive.py"],
}
#: Words in the names of tests that take long: they come last, for most faults are noticed before.
SLOW_TESTS = ("bomb", "bit_flip", "truncation", "1_mib", "common_tools", "properties", "random")
EXPLANATIONS = ROOT / "docs" / "mutation.md"
WANTED_SCORE = 0.95
#: A fault that makes a test loop is noticed: each test gets as much of the processor as all need without the fault,
#: and some seconds. That is soon, and does not depend on what else the machine does.
LEAST_PROCESSOR_SECONDS = 5.0
#: One that makes the tests wait is noticed later: they get so many times as long as without it, and some seconds.
LONGEST_RUN, LEAST_SECONDS = 10, 60
PROCESSES = int(os.environ.get("PROCESSES", os.cpu_count() or 1))
#: Only the faults whose printed text holds this are tried, for example once a test was written for a survivor.
ONLY = os.environ.get("FAULT", "")
#: Costly to import and no concern of the modules under test; loaded once and shared by every run.
PRELOADED = ["pytest", "hypothesis", "cryptography.x509", "django.db.models"]
PR_SET_PDEATHSIG = 1
PLUGINS = ["pytest_django.plugin", "_hypothesis_pytestplugin"]

#: Place of the test that noticed the fault before, shared by all processes: it comes first, for it often notices
#: the next fault as well.
NOTICED_BY = mmap.mmap(-1, 4)
#: Runs the collected tests, given the seconds of the processor that each may take, with the exit code as result.
Run = Callable[[float], int]


class _Faulty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the module under test with its fault, wherever it is imported from."""

    def __init__(self, module: str, code: CodeType) -> None:
        self._module, self._code = module, code

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)  # our own code, faulty on purpose


class _Plugin:
    """Takes over pytest's loop once the tests are collected."""

    def __init__(self, loop: Callable[[Run], object]) -> None:
        self._loop = loop

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: any(word in item.nodeid for word in SLOW_TESTS))

    def pytest_runtestloop(self, session: Any) -> bool:
        self._loop(functools.partial(_run_collected, session))
        return True


def _run_collected(session: Any, seconds: float) -> int:
    """Run the tests up to the first that fails; 0 where none does. A test that needs longer ends the process."""
    last = int.from_bytes(NOTICED_BY[:], "little")
    items = session.items[last : last + 1] + session.items[:last] + session.items[last + 1 :]
    for item, following in zip(items, [*items[1:], None], strict=True):
        signal.setitimer(signal.ITIMER_PROF, seconds)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            NOTICED_BY[:] = session.items.index(item).to_bytes(4, "little")
            return 1
    return 0


def collect(tests: Sequence[str], folder: Path, loop: Callable[[Run], object]) -> None:
    """Collect the tests and call `loop` with what runs them."""
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = [part for plugin in PLUGINS for part in ("-p", plugin)]
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "--assert=plain", "-o", "faulthandler_timeout=0"]
    folders = [f"--basetemp={folder}/{os.getpid()}", "-o", "tmp_path_retention_policy=none"]
    status = pytest.main([*plugins, *options, *folders, *tests], plugins=[_Plugin(loop)])
    if status:
        raise SystemExit(f"The tests {', '.join(tests)} cannot be collected.")


def forked(work: Callable[[], int]) -> int:
    """Do something in a process of its own, of which nothing is heard but its exit code; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    with contextlib.suppress(BaseException):
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no fault may loop on when we are gone
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        status = work()
    os._exit(status)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Trial:
    """The faults of one module, tried one after another."""

    def __init__(self, module: str, tests: Sequence[str], folder: Path) -> None:
        self.module = module
        self._tests = tests
        self._folder = folder
        self._path = (ROOT / module.replace(".", "/")).with_suffix(".py")
        self._tree = ast.parse(self._path.read_text())
        self.faults = [fault for fault in faults(self._tree) if ONLY in fault.text]
        if not self.faults:
            raise SystemExit(f"{module} has no fault with the text {ONLY!r}.")
        #: How long the tests take without a fault, by the clock and on the processor; 0 while that is not known.
        self._seconds = self._processor_seconds = 0.0

    def survivors(self) -> list[Fault]:
        """Every fault that no test notices."""
        result = self._folder / f"{self.module}.json"
        collector = os.fork()
        if collector == 0:
            status = 1
            try:
                collect(self._tests, self._folder, lambda run: result.write_text(json.dumps(self._try_swaps(run))))
                status = 0
            finally:
                os._exit(status)
        if exit_code(collector):
            raise SystemExit(f"{self.module} could not be tried.")
        survived, left = json.loads(result.read_text())
        self._seconds = self._processor_seconds = 0.0
        survived += self._tried(left, self._run_again)
        return [self.faults[number] for number in sorted(survived)]

    def _try_swaps(self, run: Run) -> tuple[list[int], list[int]]:
        """Survivors among the faults inside functions, and the faults that are not."""
        original = _functions(self._compiled(None))
        swaps: dict[int, Callable[[], None]] = {}
        for number, fault in enumerate(self.faults):
            swap = _swap(sys.modules[self.module], original, _functions(self._compiled(fault)))
            if swap is not None:
                swaps[number] = swap

        def run_swapped(number: int | None) -> int:
            if number is not None:
                swaps[number]()
            return run(self._longest_test())

        return self._tried(list(swaps), run_swapped), [n for n in range(len(self.faults)) if n not in swaps]

    def _run_again(self, number: int | None) -> int:
        """Import the module with its fault, and everything else after it."""
        sys.meta_path.insert(
            0, _Faulty(self.module, self._compiled(None if number is None else self.faults[number]))
        )
        status = 1

        def loop(run: Run) -> None:
            nonlocal status
            status = run(self._longest_test())

        collect(self._tests, self._folder, loop)
        return status

    def _compiled(self, fault: Fault | None) -> CodeType:
        if fault is not None:
            fault.place.put(fault.after)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fault may well be odd
            code = compile(ast.fix_missing_locations(self._tree), str(self._path), "exec")
        if fault is not None:
            fault.place.put(fault.before)
        return code

    def _tried(self, numbers: Sequence[int], run: Callable[[int | None], int]) -> list[int]:
        """Those of the faults with which the tests pass, several being tried at once."""
        self._demand_passing(run)
        running: dict[int, tuple[int, float]] = {}
        survived = []
        for number in [*numbers, *[None] * PROCESSES]:
            while len(running) >= PROCESSES or (number is None and running):
                for pid, (tried, since) in list(running.items()):
                    done, status = os.waitpid(pid, os.WNOHANG)
                    if done:
                        del running[pid]
                        survived += [tried] if status == 0 else []
                    elif time.monotonic() - since > LEAST_SECONDS + LONGEST_RUN * self._seconds:
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(pid, signal.SIGKILL)
                time.sleep(0.002)
            if number is not None:
                running[forked(functools.partial(run, number))] = (number, time.monotonic())
        self._demand_passing(run)  # again: had they broken meanwhile, every later fault would look noticed
        return survived

    def _demand_passing(self, run: Callable[[int | None], int]) -> None:
        began = time.monotonic()
        _, status, used = os.wait4(forked(functools.partial(run, None)), 0)
        if status:
            raise SystemExit(f"The tests of {self.module} fail without any fault.")
        self._seconds = max(self._seconds, time.monotonic() - began)
        self._processor_seconds = max(self._processor_seconds, used.ru_utime + used.ru_stime)

    def _longest_test(self) -> float:
        """Seconds of the processor that one test may take; 0, for any number, while it is not known."""
        return self._processor_seconds and LEAST_PROCESSOR_SECONDS + self._processor_seconds


def _functions(code: CodeType) -> dict[str, CodeType]:
    """The code of functions and methods by qualified name; what is inside them belongs to them."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & inspect.CO_OPTIMIZED:
                found[constant.co_qualname] = constant
            else:
                found.update(_functions(constant))
    return found


def _swap(
    module: ModuleType, original: dict[str, CodeType], faulty: dict[str, CodeType]
) -> Callable[[], None] | None:
    """Return what puts a fault into a module that is imported already; None where it is not inside one function."""
    changed = [name for name, code in faulty.items() if original.get(name) != code]
    if len(changed) != 1:
        return None
    (name,) = changed
    try:
        found: object = module
        for part in name.split("."):
            found = vars(found)[part]
    except KeyError:
        return None
    found = getattr(found, "fget", None) or getattr(found, "func", None) or getattr(found, "__func__", found)
    function = inspect.unwrap(found)  # type: ignore[arg-type]  # what is none is refused below
    code = faulty[name]
    if not isinstance(function, FunctionType) or code.co_freevars != function.__code__.co_freevars:
        return None
    return functools.partial(setattr, function, "__code__", code)


def main(names: Sequence[str]) -> int:
    os.chdir(ROOT)
    for name in PRELOADED:
        importlib.import_module(name)
    explanations = EXPLANATIONS.read_text() if EXPLANATIONS.exists() else ""
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    failed = False
    try:
        for module in names or TARGETS:
            trial = Trial(module, TARGETS[module], folder)
            survived = trial.survivors()
            score = 1 - len(survived) / len(trial.faults)
            print(f"{module}: {len(trial.faults)} faults, {len(survived)} survive, score {score:.1%}", flush=True)
            for fault in survived:
                known = f"`{module} {fault.text}`" in explanations
                failed |= not known
                print(f"  {'explained  ' if known else 'UNEXPLAINED'} line {fault.line}: {fault.text}", flush=True)
            failed |= score < WANTED_SCORE and not ONLY  # a score of chosen faults says nothing
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
