"""Every trial, in the order in which they are made: what ends soon leaves its time to what is without end."""

from collections.abc import Sequence

from benchmarks.soak import bodies, durability, faults, keeping, mutated, security, stress
from benchmarks.soak.trial import Trial

NOTHING_LOST = "0 lost, 0 unexplained"

TRIALS = (
    Trial("S04", "random names written and read", 100_000, "names", "0 differ", 0.5, security.write_and_read_names),
    Trial("S23", "ways of tampering with the audit record", 1000, "changes", "all found", 0.5, security.tamper),
    Trial("R11", "deliveries sent again after a lost answer", 1000, "resends", "all stored and marked", 0.5,
          bodies.resend),
    Trial("R07", "bodies cut anywhere", 10_000, "cuts", "0 stored, 0 acknowledged", 1.5, bodies.cut_bodies),
    Trial("R18", "archives of any mixture of feeds", 10_000, "archives", "whole or not at all", 1,
          bodies.send_archives),
    Trial("R09", "damaged GZIP and ZIP compared with zlib and zipfile", 1_000_000, "cases", "0 false accepts", 3,
          bodies.damage_compressed),
    Trial("R26", "refusals of unknown feeds", 1_000_000, "refusals", "database grows ≤ 50 MiB", 3, stress.refuse),
    Trial("R16", "500 senders at 1 byte/s next to normal ones", 3, "rounds", "p99 ≤ 2 ×, all cut off", 1.5,
          stress.with_slow_senders),
    Trial("R17", "clock set up to a day forwards or back under load", 1000, "jumps", "0 lost, ids unique", 1.5,
          faults.jump_clock),
    Trial("R24", "every migration back and forth", 100_000, "receipts", "0 rows changed, ≤ 60 s a step", 2,
          keeping.migrate),
    Trial("R12", "objects checked", 100_000, "objects", "check ≤ 10 s, every flipped bit found", 1.5,
          durability.many_objects),
    Trial("R19", "rule changed while uploads end", 1000, "races", "0 by the old rule", 2, faults.change_rules),
    Trial("R21", "restarts under load, socket held open", 100, "restarts", "0 uploads failed", 3, faults.restart),
    Trial("R25", "retention killed at random moments", 1000, "kills", "file and row together", 2,
          keeping.kill_retention),
    Trial("R06", "disk filled under load, and freed", 100, "cycles", f"{NOTHING_LOST}, taken again ≤ 5 s", 2.5,
          stress.fill_disk),
    Trial("R10", "one chunked upload", 10, "GiB", "added RSS ≤ 32 MiB", 2, stress.upload_much),
    Trial("R23", "backup under load, restore, rebuild", 10, "drills", NOTHING_LOST, 2.5, keeping.drill),
    Trial("R15", "500 senders at once after a stop; 200 on 64 descriptors", 20, "storms",
          "goodput ≥ 80 %, back ≤ 5 s, 0 lost", 3, stress.storm),
    Trial("S12", "hostile requests", 10_000, "requests", "one line an event, no strange file", 1,
          security.send_hostile),
    Trial("S17", "passwords guessed", 100_000, "tries", "0 past the limit", 3, security.guess_passwords),
    Trial("S21", "unknown, rejecting and badly named feeds timed in turn", 10_000, "of each",
          "the same bytes, AUC 0.45 to 0.55", 1, security.time_refusals),
    Trial("S27", "list of receipts by every filter", 1_000_000, "receipts", "≤ 200 ms of work", 2,
          security.query_many),
    Trial("R08", "uploads of 0 to 64 MiB compared with what is stored", 5000, "uploads", "0 differ", 3,
          bodies.send_and_compare),
    Trial("R02", "power cuts replayed from recorded calls", 10_000, "cuts", "0 lost", 4, durability.replay_cuts),
    Trial("R12", "crash states started and checked", 1000, "states", "0 unexplained", 3, durability.crash_states),
    Trial("R04", "each call of a delivery fails with each of 6 errors, 3 kinds of upload", 0, "failed calls",
          "a documented answer, nothing left", 6, durability.fail_calls),
    Trial("R13", "database gone, locked, damaged, read-only", 3000, "s of fault", "503/999 with Retry-After", 2,
          faults.break_database),
    Trial("R02", "power cuts of a whole portal under load", 500, "cuts", NOTHING_LOST, 6, durability.cut_power),
    Trial("R03", "SIGKILL of any process under load", 10_000, "kills", NOTHING_LOST, 7, durability.kill_processes),
    Trial("S29", "mutated requests to every address", 1_000_000, "requests", "0 uncaught, 0 undescribed", 7,
          mutated.mutate_requests),
    Trial("R10", "mixed load", 8 * 3600, "s", "≤ 1 MiB/h a worker, descriptors constant", 5, stress.load_for_long),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[Trial, ...]:
    """Those of these demands, or all.

    Raises:
        SystemExit: a name is of no trial.
    """
    wanted = {name.upper() for name in names}
    unknown = wanted - {trial.name for trial in TRIALS}
    if unknown:
        raise SystemExit(f"There is no trial {', '.join(sorted(unknown))}; --list says which there are.")
    return tuple(trial for trial in TRIALS if not wanted or trial.name in wanted)
