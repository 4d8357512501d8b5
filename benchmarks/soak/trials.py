"""Every trial, in the order in which they are made."""

from collections.abc import Sequence

from benchmarks.soak import bodies, durability
from benchmarks.soak.trial import Trial

NOTHING_LOST = "0 lost, 0 unexplained"

TRIALS = (
    Trial("R12", "objects checked", 100_000, "objects", "check ≤ 10 s, every flipped bit found", 1.5,
          durability.many_objects),
    Trial("R02", "power cuts replayed from recorded calls", 10_000, "cuts", "0 lost", 4, durability.replay_cuts),
    Trial("R02", "power cuts of a whole portal under load", 500, "cuts", NOTHING_LOST, 6, durability.cut_power),
    Trial("R03", "SIGKILL of any process under load", 10_000, "kills", NOTHING_LOST, 7, durability.kill_processes),
    Trial("R04", "each call of a delivery fails with each of 6 errors, 3 kinds of upload", 0, "failed calls",
          "a documented answer, nothing left", 6, durability.fail_calls),
    Trial("R12", "crash states started and checked", 1000, "states", "0 unexplained", 3, durability.crash_states),
    Trial("R07", "bodies cut anywhere", 10_000, "cuts", "0 stored, 0 acknowledged", 1.5, bodies.cut_bodies),
    Trial("R08", "uploads of 0 to 64 MiB compared with what is stored", 5000, "uploads", "0 differ", 3,
          bodies.send_and_compare),
    Trial("R09", "damaged GZIP and ZIP beside zlib and zipfile", 1_000_000, "cases", "0 false accepts", 3,
          bodies.damage_compressed),
    Trial("R11", "deliveries sent again after a lost answer", 1000, "resends", "all stored and marked", 0.5,
          bodies.resend),
    Trial("R18", "archives of any mixture of feeds", 10_000, "archives", "whole or not at all", 1,
          bodies.send_archives),
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
