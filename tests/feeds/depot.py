"""A store that is filled the way the receiver fills it: parts, verification, rename, row."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from feeds.counting import DeliveryCounts
from feeds.metadata import IdentityNames, read_request
from feeds.models import Receipt
from feeds.receipt.ids import ReceiptIds
from feeds.receipt.service import Outcome, ReceiptService, ReceiptSettings
from feeds.receipt.slots import take_slot
from feeds.receipt.spool import SpaceMark, Store


class Depot:
    """One worker's receiver without its server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.slot = take_slot(root)
        self.ids = ReceiptIds(f"test-{self.slot.number}")
        settings = ReceiptSettings(
            host="portal.example.org", trusts=lambda _: False, identity=IdentityNames(), space=SpaceMark(root, 0)
        )
        self._service = ReceiptService(settings, Store(root), self.slot, self.ids, DeliveryCounts())

    def close(self) -> None:
        self.slot.release()

    def send(self, feed: str, body: bytes, compression: str = "", **arguments: str) -> Outcome:
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
        return self._service.begin(request, decision, self.ids.next()).finish([body])

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
