"""What is done before a 200, seen from the kernel (R1), and what a power cut would leave of it (R2)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.tiers import sizes
from tests.reliability import tracing
from tests.reliability.portal import Portal
from tests.reliability.recording import Recording, record, simulate
from tests.reliability.tracing import Call

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(tracing.unavailable()), reason=tracing.unavailable()),
]

CUTS = 300


@pytest.fixture(scope="module")
def recorded(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(portal, tmp_path_factory.mktemp("recording"))


def test_r01_every_one_of_100_uploads_is_made_durable_in_the_promised_order(recorded: Recording) -> None:
    for receipt_id in recorded.acknowledged:
        check_order(recorded, receipt_id)


def check_order(recorded: Recording, receipt_id: str) -> None:
    """Each step must have ended, and well, before the next begins."""
    part = f"{receipt_id}.part"
    calls = recorded.succeeded
    of_part = [call for call in calls if part in call.arguments]
    written = [call.ended for call in of_part if call.name == "write"]
    (flushed,) = (call for call in of_part if call.name == "fsync")
    (renamed,) = (call for call in calls if call.name == "rename" and call.paths[0].endswith(part))
    target = Path(renamed.paths[1])
    assert target.name == f"{receipt_id}.dat"
    assert max(written) < flushed.begun
    assert flushed.ended < renamed.begun
    folder_flushed = first(calls, "fsync", str(target.parent), after=renamed.ended)
    logged = [
        call
        for call in calls
        if call.name == "pwrite64" and receipt_id in call.arguments and call.path.endswith("-wal")
    ]
    committing = [call for call in logged if call.begun > folder_flushed.ended]
    assert committing, "the row is written only after the directory was flushed"
    assert not [call for call in logged if call.begun < folder_flushed.ended]
    committed = min(
        call.ended
        for call in calls
        if call.name in {"fsync", "fdatasync"}
        and call.path.endswith("-wal")
        and call.thread == committing[0].thread
        and call.begun > committing[0].ended
    )
    assert committed < recorded.answered[receipt_id]


def first(calls: Sequence[Call], name: str, path: str, *, after: int) -> Call:
    """The first flush of a path by anyone that began after a place."""
    return next(call for call in calls if call.name == name and call.path == path and call.begun > after)


def test_r01_new_folders_are_flushed_into_their_parents_before_anything_in_them_is_acknowledged(
    recorded: Recording,
) -> None:
    calls = recorded.succeeded
    made = {call.paths[0]: call for call in calls if call.name == "mkdir"}
    assert len(made) >= 3, "received, its day and its hour"
    for path, making in made.items():
        flushed = first(calls, "fsync", str(Path(path).parent), after=making.ended)
        renames = [call.paths for call in calls if call.name == "rename" and ".part" in call.arguments]
        answers = [recorded.answered[Path(new).stem] for _, new in renames if new.startswith(path)]
        assert flushed.ended < min(answers)


@pytest.mark.parametrize("cuts", sizes(40, CUTS))
def test_r02_300_simulated_power_cuts_lose_nothing(recorded: Recording, tmp_path: Path, cuts: int) -> None:
    assert list(simulate(recorded, tmp_path, cuts)) == []


@pytest.mark.parametrize("forgotten", [".part", "/received/", "-wal"])
def test_r02_the_simulation_finds_each_flush_that_is_forgotten(
    recorded: Recording, tmp_path: Path, forgotten: str
) -> None:
    def is_forgotten(call: Call) -> bool:
        return call.name in {"fsync", "fdatasync"} and forgotten in call.path

    careless = replace(recorded, calls=[call for call in recorded.calls if not is_forgotten(call)])
    assert list(simulate(careless, tmp_path, 20))
