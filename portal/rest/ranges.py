"""Parts of a file over HTTP (RFC 9110, section 14): one range of bytes, and a reader that stops at its end."""

import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import BinaryIO

from rest_framework import exceptions

_RANGE = re.compile(r"bytes=\s*(?P<first>[0-9]{0,19})-(?P<last>[0-9]{0,19})\s*", re.IGNORECASE | re.ASCII)


class RangeNotSatisfiable(exceptions.APIException):
    """The range begins behind the end of the data."""

    status_code = 416
    default_code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The data has {size} bytes; the range lies outside of it.")
        self.headers = {"Content-Range": f"bytes */{size}"}


@dataclass(frozen=True)
class ByteRange:
    """First and last byte of a part, counted from 0, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def asked_range(
    range_header: str | None, if_range: str | None, *, state: Collection[str], size: int
) -> ByteRange | None:
    """Return the part that a request asks for; None for the whole.

    The whole is the answer to a header that is malformed, has another unit or several ranges, and to an If-Range
    that names another state of the data.

    Args:
        state: values that If-Range may have: the strong ETag, and Last-Modified of data that never changes.
        size: of the whole, in bytes.

    Raises:
        RangeNotSatisfiable: the part begins behind the end.
    """
    match = _RANGE.fullmatch((range_header or "").strip())
    if match is None or (if_range is not None and if_range.strip() not in state):
        return None
    first, last = match["first"], match["last"]
    if not first:
        return _suffix(last, size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)


def _suffix(length: str, size: int) -> ByteRange | None:
    """Return the last bytes."""
    if not length:
        return None
    if int(length) == 0 or size == 0:
        raise RangeNotSatisfiable(size)
    return ByteRange(max(0, size - int(length)), size - 1)


class FilePart(io.RawIOBase):
    """Reader of one part of an open file, which it closes."""

    def __init__(self, file: BinaryIO, part: ByteRange) -> None:
        super().__init__()
        file.seek(part.first)
        self._file = file
        self._left = part.length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()
