"""Run all tests. What fails in the crowd is tried once more by itself, printed and counted; more than three fail.

Tests that start servers, kill them or slow them down share the machine with each other here.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_REPEATED = 3
#: The quick tier as the README runs it, what that leaves out, and what depends on the database most on PostgreSQL.
RUNS = [("test", ""), ("test-all", "-m long"), ("test-postgresql", "-m 'both_databases and not long'")]


def main() -> int:
    repeated: list[str] = []
    for target, arguments in RUNS:
        if target == "test-postgresql" and shutil.which("pg_ctlcluster") is None:
            print("PostgreSQL is not installed: nothing was tested on it.")
            continue
        with tempfile.TemporaryDirectory(prefix="tests-") as cache:
            began = time.monotonic()
            repeated += run(
                target, f"-q {arguments} -o cache_dir={cache}", Path(cache), MOST_REPEATED - len(repeated)
            )
            print(f"make {target}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(repeated)} tests had to be repeated{':' if repeated else '.'}", *repeated, sep="\n  ")
    return 0


def run(target: str, arguments: str, cache: Path, most: int) -> list[str]:
    """Run the tests of one target; return those that passed only when they were repeated."""
    if make(target, arguments):
        return []
    record = cache / "v" / "cache" / "lastfailed"
    failed = sorted(json.loads(record.read_text())) if record.exists() else []
    if not 0 < len(failed) <= most:
        sys.exit(f"make {target} failed: {len(failed)} tests, and at most {most} more may be repeated")
    print(f"Repeating {len(failed)} tests by themselves:", *failed, sep="\n  ", flush=True)
    if not make(target, f"{arguments} --last-failed -n 0"):
        sys.exit(f"make {target} failed when the failed tests were repeated")
    return failed


def make(target: str, arguments: str) -> bool:
    return subprocess.run(["make", target, f"T={arguments}"], cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
