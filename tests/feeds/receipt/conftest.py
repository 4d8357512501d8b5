"""Fixtures for the receipt tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import make_feed
from tests.feeds.receipt.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    make_feed("OPEN-FEED")
    workshop = Workshop(tmp_path / "store")
    yield workshop
    workshop.service.slot.release()
