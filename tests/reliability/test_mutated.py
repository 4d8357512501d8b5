"""Twenty thousand requests of every shape to every address of the real server (S29)."""

import random
from pathlib import Path

import pytest

from benchmarks.soak.mutated import mutate_requests
from benchmarks.soak.trial import Run
from tests.helpers.tiers import sizes

REQUESTS = 20_000


@pytest.mark.server
@pytest.mark.parametrize("requests", sizes(500, REQUESTS))
def test_s29_mutated_requests_are_answered_as_described_and_none_is_an_uncaught_error(
    tmp_path: Path, requests: int
) -> None:
    """The outer limit of time is for a machine that does other things too; alone it takes about a minute."""
    folder = tmp_path / "trial"
    folder.mkdir()
    run = Run(goal=requests, seconds=900, chance=random.Random(29), folder=folder)
    mutate_requests(run)
    assert run.wrong == []
    assert run.done >= requests
