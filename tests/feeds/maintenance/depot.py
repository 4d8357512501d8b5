"""A store that is filled the way the receiver fills it: parts, verification, rename, row."""

import io
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from feeds.models import Receipt
from feeds.monitoring.counts import DeliveryCounts
from feeds.receipt.results import DeliveryResult
from feeds.receipt.service import ReceiptService, ReceiptSettings
from feeds.rules.metadata import read_request
from feeds.store.ids import ReceiptIds
from feeds.store.slots import take_slot
from feeds.store.spool import SpaceMark, StoreFolder
from portal.http.client import IdentityNames


class Depot:
    """One worker's receiver without its server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._running = False
        self.start_again()

    def start_again(self) -> None:
        """Be another process: with a slot of its own, knowing nothing of folders made before."""
        self.close()
        self.slot = take_slot(self.root)
        self._running = True
        self.ids = ReceiptIds(f"test-{self.slot.number}")
        settings = ReceiptSettings(
            host="portal.example.org",
            trusts=lambda _: False,
            identity=IdentityNames(),
            space=SpaceMark(self.root, 0),
        )
        self._service = ReceiptService(settings, StoreFolder(self.root), self.slot, self.ids, DeliveryCounts())

    def close(self) -> None:
        """Die: the lock on the slot goes."""
        if self._running:
            self.slot.release()
        self._running = False

    def die(self) -> None:
        """Be killed, and replaced by another process: the lock goes, nothing is put in order before."""
        os.close(self.slot.descriptor)
        self._running = False
        self.start_again()

    def send(
        self, feed: str, body: bytes, compression: str = "", receipt_id: str = "", **arguments: str
    ) -> DeliveryResult:
        """Deliver to a feed; what the sender would be told."""
        arguments = {"Feed": feed, **({"Compression": compression} if compression else {}), **arguments}
        request = read_request(
            [(name.encode(), value.encode()) for name, value in arguments.items()],
            b"",
            peer="192.0.2.7",
            trusts=lambda _: False,
            identity=IdentityNames(),
            require_verify=True,
            now=datetime.now(UTC),
        )
        decision = self._service.decide(request)
        assert decision.accepted, decision
        return self._service.begin(request, decision, receipt_id or self.ids.next()).finish([body])

    def keep(self, feed: str, body: bytes, compression: str = "", **arguments: str) -> Receipt:
        """Deliver, and get the row of what was stored."""
        outcome = self.send(feed, body, compression, **arguments)
        assert outcome.decision.accepted, outcome
        return Receipt.objects.get(receipt_id=outcome.receipt_id)

    def data(self, receipt: Receipt) -> Path:
        return self.root / receipt.path


def packed(entries: dict[str, bytes | str]) -> bytes:
    """A ZIP of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def running_depot(root: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depot]:
    """A depot in the place of the configured store, for a fixture to yield."""
    settings.STORE_DIR = root
    # The receiver replaces connections that were left in the middle of something; a test's is always so.
    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", lambda _: None)
    depot = Depot(root)
    yield depot
    depot.close()
