"""Memory of request heads: a head that comes again, byte for byte, need not be parsed again.

Browsers, monitors and programs send the same head for the same page. Only heads whose request was answered from the
response cache are kept, so that everything else goes through the parser.
"""

from collections import OrderedDict
from typing import Any, Generic, TypeVar

Kept = TypeVar("Kept")

#: Heads that are kept, and bytes of the longest.
MAX_HEADS = 512
MAX_HEAD = 2048
_END = b"\r\n\r\n"


class Heads(Generic[Kept]):
    """Cache of parsed heads, by their bytes and the address that sent them.

    The address counts, because it says which headers are trusted and whose requests are counted.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, Any], Kept] = OrderedDict()

    def get(self, data: bytes, peer: Any) -> Kept | None:
        """Return what was made of these bytes."""
        found = self._kept.get((data, peer))
        if found is not None:
            self._kept.move_to_end((data, peer))
        return found

    def keep(self, data: bytes, peer: Any, made: Kept) -> None:
        """Keep it where the bytes are one whole head, with nothing before or behind it."""
        if len(data) > MAX_HEAD or data.find(_END) != len(data) - len(_END):
            return
        self._kept[data, peer] = made
        if len(self._kept) > MAX_HEADS:
            self._kept.popitem(last=False)
