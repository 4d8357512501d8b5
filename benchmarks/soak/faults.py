"""Trials of passing faults: a broken database, a jumping clock, changed rules, restarts: R13, R17, R19 and R21."""

import threading
import time
from collections.abc import Callable

from benchmarks.soak import stage
from benchmarks.soak.trial import Run
from tests.reliability.broken import ask_status, gone, locked, send_many, with_bad_rules
from tests.reliability.portal import Portal
from tests.reliability.races import race
from tests.reliability.senders import Book, Load


def break_database(run: Run) -> None:
    """R13: one fault after the other for its part of the time; the goal is in seconds."""
    faults = {"gone": gone, "locked": locked, "bad rules": with_bad_rules}
    asked = 0
    with stage.portal(run) as portal:
        each = max(1.0, (min(run.left, run.goal) - 5) / (len(faults) + 1))
        portal.start("alone", threads=4, busy_seconds=0.1)
        send_many(portal, 8)
        for name, fault in faults.items():
            rows = len(portal.rows())
            with fault(portal):
                asked += ask_again(run, portal, each, name, guess=name == "locked")
            if len(portal.rows()) != rows:
                run.note_wrong(f"{name}: something was recorded")
            recovered(run, portal, name)
        portal.kill()
        portal.start("alone", threads=4, read_only=True, wait=False)
        asked += ask_again(run, portal, each, "read only", guess=True)
        portal.kill()
        stage.judge(run, portal, {})
    run.figures["faults"] = ", ".join([*faults, "read only"])
    run.figures["deliveries"] = f"{asked:,}"


def ask_again(run: Run, portal: Portal, seconds: float, name: str, *, guess: bool) -> int:
    """Deliver and ask for the feed's status again and again; how many deliveries were made.

    Args:
        run: notes what is wrong.
        portal: is broken.
        seconds: for how long.
        name: of the fault.
        guess: whether reading is still possible, so that a status is no guess.
    """
    began, asked = time.monotonic(), 0
    while not asked or time.monotonic() - began < seconds:
        answers = send_many(portal, 40)
        asked += 40
        run.note_wrong(
            *(f"{name}: {outcome} {n} times" for outcome, n in answers.items() if outcome != (503, 999, True))
        )
        status = ask_status(portal).status
        if status != 503 and not (guess and status == 200):
            run.note_wrong(f"{name}: getFeedStatus answered {status}")
    run.count(round(time.monotonic() - began))
    return asked


def recovered(run: Run, portal: Portal, name: str) -> None:
    deadline = time.monotonic() + 5
    while set(send_many(portal, 4)) != {(200, 0, False)}:
        if time.monotonic() > deadline:
            run.note_wrong(f"{name}: nothing is taken 5 s after its end")
            return
        time.sleep(0.1)


def jump_clock(run: Run) -> None:
    """R17: up to a day forwards and backwards, also in the middle of uploads."""
    clock = run.folder / "clock"
    clock.write_text("0")
    uploads = 0
    with stage.portal(run) as portal:
        while run.more():
            portal.start("supervisor", clock=str(clock))
            book = Book()
            with Load(portal, book, largest=100_000, seed=run.chance.randrange(10**6)):
                for _ in range(100):
                    if not run.more():
                        break
                    new = clock.with_suffix(".new")
                    new.write_text(str(run.chance.uniform(-86_400, 86_400)))
                    new.rename(clock)
                    time.sleep(0.03)
                    run.count()
            portal.stop()
            run.note_wrong(*book.wrong)
            if book.outcomes[200, 0] != len(book.acknowledged):
                run.note_wrong("an id was given twice")
            uploads += settle(run, portal, book)
    run.figures["uploads acknowledged"] = f"{uploads:,}"


def settle(run: Run, portal: Portal, book: Book) -> int:
    """Look whether all is there that was acknowledged, and empty the portal; how much it was."""
    stage.judge(run, portal, book.acknowledged)
    stage.empty(portal)
    return len(book.acknowledged)


def change_rules(run: Run) -> None:
    """R19: a rule changes while uploads end."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        while run.more():
            try:
                race(portal, pause=run.chance.uniform(0.02, 0.08))
            except AssertionError as fault:
                run.note_wrong(fault)
            run.count()
        portal.stop()
        stage.judge(run, portal, {})


def restart(run: Run) -> None:
    """R21: stops and starts under load, the socket held open as systemd holds it."""
    uploads = 0
    with stage.portal(run) as portal:
        while run.more():
            book = Book()
            portal.start("supervisor", held_open=True)
            with Load(portal, book, seed=run.chance.randrange(10**6)):
                for _ in range(10):
                    if not run.more():
                        break
                    time.sleep(run.chance.uniform(0.05, 0.4))
                    portal.stop()
                    portal.start("supervisor", held_open=True)
                    run.count()
            portal.stop()
            failed = {outcome: n for outcome, n in book.outcomes.items() if outcome != (200, 0)}
            run.note_wrong(*(f"{outcome} {n} times" for outcome, n in failed.items()))
            run.note_wrong(*["no answer"] * book.unanswered)
            uploads += settle(run, portal, book)
    run.figures["uploads, none failed"] = f"{uploads:,}"


def in_threads(works: list[Callable[[], object]]) -> None:
    """Do these side by side; what one of them raises is raised."""
    faults: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  # raised again for the caller
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
