"""A receipt service with a store of its own, used without a server."""

import gzip
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from feeds.monitoring.counts import DeliveryCounts
from feeds.receipt.results import DeliveryResult
from feeds.receipt.service import ReceiptService, ReceiptSettings
from feeds.rules.metadata import RequestMetadata, read_request
from feeds.store.ids import ReceiptIds
from feeds.store.slots import take_slot
from feeds.store.spool import SpaceMark, StoreFolder
from portal.http.client import IdentityNames
from tests.factories import NOW

DATA = b"a line of the log\n" * 40_000


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("1.meta", "Feed:OPEN-FEED")
        file.writestr("1.dat", DATA)
    return buffer.getvalue()


KINDS = {"NONE": DATA, "GZIP": gzip.compress(DATA), "ZIP": archive()}


@dataclass
class Workshop:
    """A receipt service with its store, and how often it was told of a store fault."""

    root: Path
    service: ReceiptService = field(init=False)
    store_faults: int = 0

    def __post_init__(self) -> None:
        self.root.mkdir()
        slot = take_slot(self.root)
        settings = ReceiptSettings(
            host="portal", trusts=lambda _: False, identity=IdentityNames(), space=SpaceMark(self.root, 0)
        )
        self.service = ReceiptService(
            settings, StoreFolder(self.root), slot, ReceiptIds("test-1"), DeliveryCounts(), on_store_fault=self.note
        )

    def note(self) -> None:
        self.store_faults += 1

    def request(self, compression: str) -> RequestMetadata:
        headers = [(b"feed", b"OPEN-FEED"), (b"compression", compression.encode())]
        return read_request(
            headers,
            b"",
            peer="192.0.2.1",
            trusts=lambda _: False,
            identity=IdentityNames(),
            require_verify=True,
            now=NOW,
        )

    def receive(self, compression: str = "NONE", body: bytes | None = None) -> DeliveryResult:
        """As the receiver does it: decide, begin, write in batches, finish; a fault in between is `fail`."""
        request = self.request(compression)
        body = KINDS[compression] if body is None else body
        decision = self.service.decide(request)
        assert decision.accepted
        delivery = self.service.begin(request, decision, self.service.ids.next())
        try:
            delivery.write([body[:1000]])
        except Exception as fault:  # noqa: BLE001  # as the receiver does
            return delivery.fail(fault)
        return delivery.finish([body[1000:]])

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and path.name != "lock"]
