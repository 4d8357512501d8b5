"""Starts portals quickly, again and again: Python and Django are loaded once, and each portal is a fork.

Reads commands from its standard input and answers each with one line, both JSON. What it forks is what `manage.py
serve` runs: a supervisor with its workers, or one worker of which every part has a single thread, so that the n-th
call of a delivery is always the same one.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from codes import loading
from feeds.maintenance.integrity import StoreCheck
from feeds.maintenance.takeover import NEWEST_HOURS
from feeds.models import Feed
from feeds.receipt import delivery, head, service
from feeds.receipt.policies import read_policy
from feeds.store.ids import ReceiptIds
from portal.environment import Environment
from portal.http import body
from portal.models import ApiToken
from portal.server import supervisor, worker, worker_limits

FEEDS = ("OPEN-FEED", "OTHER-FEED", "DROP-FEED", "REJECT-FEED", "GUARDED-FEED")
PASSWORD = "not-a-real-secret-1"
PR_SET_PDEATHSIG = 1


def prepare() -> str:
    """Schema, catalogue, feeds, and somebody who may ask what they do."""
    settings.STORE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
    loading.load()
    special = {"DROP-FEED": {"status": "Drop"}, "REJECT-FEED": {"status": "Reject"}}
    special["GUARDED-FEED"] = {"certificate_policy": "required"}
    for name in FEEDS:
        Feed.objects.get_or_create(name=name, defaults=special.get(name, {}))
    if not User.objects.exists():
        user = User.objects.create_superuser("admin", password=PASSWORD)
        _, key = ApiToken.objects.issue(user, scopes=["check"])
        (settings.DATA_DIR / "check.token").write_text(key)
    return "prepared"


def check(*, repair: bool = True, deep: bool = True, newest: int | None = None) -> list[tuple[str, str, bool]]:
    """What is found wrong in the store."""
    findings = StoreCheck(settings.STORE_DIR, deep=deep, repair=repair, newest=newest).run()
    return [(finding.kind.value, finding.path, finding.repaired) for finding in findings]


def start_up() -> list[tuple[str, str, bool]]:
    """What each start does about a crash."""
    return check(deep=False, newest=NEWEST_HOURS)


COMMANDS: dict[str, Callable[..., Any]] = {"prepare": prepare, "check": check, "start_up": start_up}


def be_alone(listener: socket.socket, tell: Callable[[Any], None], *, threads: int = 1, **changes: Any) -> None:
    """One worker with so many threads for each kind of work; says which the first ones are."""
    make = worker.make_worker

    def make_and_tell(environment: Environment) -> worker.Worker:
        made = make(environment)
        pools = {
            "work": made.receiver.pools.work,
            "small": made.receiver.pools.small,
            "decision": made.receiver.pools.decisions,
        }
        ids = {"loop": threading.get_native_id()}
        for name, pool in pools.items():
            ids[name] = pool.submit(threading.get_native_id).result()
            # Its connection is opened now, so that a delivery's calls are the same from the first one on.
            pool.submit(read_policy, FEEDS[0]).result()
        made.committer.start()
        ids["committer"] = made.committer.native_id or 0
        made.committer.start = lambda: None  # type: ignore[method-assign]  # it runs already
        tell(ids)
        return made

    start_up()
    connections.close_all()
    change(**changes)
    worker_limits.DECISION_THREADS = worker_limits.SMALL_THREADS = worker_limits.WORK_THREADS = threads
    worker_limits.INFLATION_THREADS = worker_limits.VERIFICATION_THREADS = threads
    worker.make_worker = make_and_tell
    worker.serve(settings.ENVIRONMENT, [listener], None)


def be_supervisor(
    listener: socket.socket, tell: Callable[[Any], None], *, held_open: bool = False, **changes: Any
) -> None:
    """All that `manage.py serve` does once everything is prepared."""
    os.setpgid(0, 0)
    start_up()
    connections.close_all()
    change(**changes)
    watcher = supervisor.Supervisor(
        lambda lifeline: worker.serve(settings.ENVIRONMENT, [listener], lifeline, held_open=held_open),
        workers=settings.ENVIRONMENT.workers,
        stop_seconds=int(worker.GRACE_SECONDS) + worker.CLOSE_SECONDS + 10,
    )
    tell({})
    sys.exit(watcher.run())


def change(
    *,
    careless: bool = False,
    descriptors: int = 0,
    busy_seconds: float = 0,
    read_only: bool = False,
    rate_window: float = 0,
    clock: str = "",
) -> None:
    """Make this portal's life harder, or a test of it shorter.

    Args:
        careless: no file is flushed, to see that a test would notice.
        descriptors: most files and sockets that it may have open.
        busy_seconds: how long it waits for a locked database.
        read_only: its database takes no writes.
        rate_window: over how many seconds a sender's rate is judged.
        clock: a file that says by how many seconds the time of day is wrong.
    """
    options = settings.DATABASES["default"]["OPTIONS"]
    if careless:
        os.fsync = lambda _: None  # type: ignore[assignment]
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    if busy_seconds:
        options["timeout"] = busy_seconds
    if read_only:
        options["init_command"] += " PRAGMA query_only=ON;"
    if rate_window:
        body.RATE_WINDOW_SECONDS = rate_window
    if clock:
        set_clock(Path(clock))


def set_clock(file: Path) -> None:
    """Let ids and receipts be made by a clock that is wrong."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=float(file.read_text()))

    service.datetime = delivery.datetime = head.datetime = Clock  # type: ignore[attr-defined]
    worker.ReceiptIds = partial(ReceiptIds, clock=lambda: Clock.now(UTC).timestamp())  # type: ignore[assignment, attr-defined]


def fork(work: Callable[[Callable[[Any], None]], None]) -> tuple[int, Any]:
    """Run something in a child; its process id and what it tells first."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            become_child()

            def tell(value: Any) -> None:
                os.write(writing, json.dumps(value).encode())
                os.close(writing)

            work(tell)
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:  # noqa: BLE001  # a fork must never return into its parent's code
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    return pid, json.loads(told) if told else None


def become_child() -> None:
    """End with the zygote, and leave its conversation alone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)


def main() -> None:
    # Children that end are nobody's: the tests watch them by their process ids.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", 0), backlog=worker.BACKLOG)
    listener.settimeout(0)
    say({"port": listener.getsockname()[1]})
    for line in sys.stdin:
        command, options = json.loads(line)
        if command == "alone":
            answer = fork(lambda tell, options=options: be_alone(listener, tell, **options))  # type: ignore[misc]
        elif command == "supervisor":
            answer = fork(lambda tell, options=options: be_supervisor(listener, tell, **options))  # type: ignore[misc]
        else:
            answer = fork(lambda tell, command=command, options=options: tell(COMMANDS[command](**options)))  # type: ignore[misc]
        say(answer)


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
