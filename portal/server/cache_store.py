"""Storage of the response cache: complete responses in plain, gzip and 304 form, limited in number and bytes."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import ItemsView
from dataclasses import dataclass
from typing import Self

from portal.http.request_fields import is_known
from portal.server.cache_key import CacheRequest, Fields, Key

MAX_ANSWERS = 1024
MAX_BYTES = 32 * 1024 * 1024
#: Smallest body that is compressed.
WORTH_PACKING = 256
_UNCHANGED_KEEPS = frozenset(
    {
        b"access-control-allow-origin",
        b"access-control-expose-headers",
        b"cache-control",
        b"content-security-policy",
        b"strict-transport-security",
        b"vary",
    }
)


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a response: header fields and body for ASGI, and the fields as lines for the socket."""

    status: int
    fields: Fields
    body: bytes
    lines: bytes

    @classmethod
    def of(cls, status: int, fields: Fields, body: bytes) -> Self:
        return cls(status, fields, body, b"".join(b"%s: %s\r\n" % field for field in fields))


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """Response in all its forms; the gzip form is the plain one where compression gains nothing.

    A 304 has the tag that the 200 to the same request would have (RFC 9110, section 15.4.5): one for each form.
    """

    tag: bytes
    plain: Form
    packed: Form
    unchanged: Form
    packed_unchanged: Form

    def form_for(self, asked: CacheRequest) -> Form:
        if asked.known_tags and is_known(self.tag, asked.known_tags):
            return self.packed_unchanged if asked.gzip else self.unchanged
        return self.packed if asked.gzip else self.plain

    @property
    def size(self) -> int:
        """Bytes of all forms; each head is kept both as fields and as lines."""
        forms = {id(form): form for form in (self.plain, self.packed, self.unchanged, self.packed_unchanged)}
        return sum(len(form.body) + 2 * len(form.lines) for form in forms.values())


class ResponseStore:
    """Responses by key, limited in number and bytes; the least recently used is evicted."""

    def __init__(self) -> None:
        self._responses: OrderedDict[Key, CachedResponse] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._responses)

    def get(self, key: Key) -> CachedResponse | None:
        """Return the response; None where there is none."""
        return self._responses.get(key)

    def items(self) -> ItemsView[Key, CachedResponse]:
        """Return keys and responses, the least recently used first."""
        return self._responses.items()

    def note_use(self, key: Key) -> None:
        """Mark a stored response as the most recently used."""
        self._responses.move_to_end(key)

    def keep(self, key: Key, response: CachedResponse) -> None:
        """Store a response, and evict others above the limits."""
        before = self._responses.pop(key, None)
        self._responses[key] = response
        self.size += _size(key, response) - (_size(key, before) if before else 0)
        while len(self._responses) > MAX_ANSWERS or self.size > MAX_BYTES:
            self.size -= _size(*self._responses.popitem(last=False))

    def clear(self) -> None:
        """Remove all responses."""
        self._responses.clear()
        self.size = 0


def _size(key: Key, response: CachedResponse) -> int:
    return response.size + sum(map(len, key))


def make_response(fields: Fields, body: bytes) -> CachedResponse:
    """Return Django's response in all its forms. An ETag of Django's is kept, so that both compare the same tag."""
    rest = [field for field in fields if field[0] not in {b"content-length", b"etag", b"vary"}]
    kind = next((value for name, value in rest if name == b"content-type"), b"")
    own_tag = next((value for name, value in fields if name == b"etag"), b"")
    tag = own_tag or b'W/"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
    small = gzip.compress(body, 6, mtime=0) if _is_text(kind) and len(body) >= WORTH_PACKING else body
    varies = [part.strip() for name, value in fields if name == b"vary" for part in value.split(b",")]
    vary = [(b"vary", b", ".join(dict.fromkeys([*varies, b"Accept-Encoding"])))]
    if all(name != b"cache-control" for name, _ in rest):
        rest.append((b"cache-control", b"no-cache"))
    common = [*rest, *vary]
    plain = Form.of(200, [*common, (b"etag", tag), _length(body)], body)
    unchanged = _unchanged(common, tag)
    if len(small) >= len(body):
        return CachedResponse(tag, plain, plain, unchanged, unchanged)
    # The gzip form differs in its bytes, which a strong tag would deny.
    weak = tag if tag.startswith(b"W/") else b"W/" + tag
    packed = [*common, (b"etag", weak), (b"content-encoding", b"gzip"), _length(small)]
    return CachedResponse(tag, plain, Form.of(200, packed, small), unchanged, _unchanged(common, weak))


def _unchanged(common: Fields, tag: bytes) -> Form:
    return Form.of(304, [*(field for field in common if field[0] in _UNCHANGED_KEEPS), (b"etag", tag)], b"")


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


def _is_text(kind: bytes) -> bool:
    return kind.startswith(b"text/") or b"json" in kind
