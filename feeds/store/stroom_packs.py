"""Stroom's export format: which files of a ZIP make one document, by the rule that Stroom itself goes by. Pure.

Each document has a `.node`, Java properties with its name, type and uuid; its other files share a prefix made of
these. Stroom first renames files next to a `.node` of another prefix, so those are found too.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FEED = "Feed"
NODE, META = ".node", ".meta"
MAX_NAME = 100
MAX_UUID = 100
_UNSAFE_IN_NAME = re.compile("[^A-Za-z0-9]")
_UNSAFE_IN_SEGMENT = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")
_IDENTITY = ("name", "type", "uuid")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f", "\\": "\\\\"}
_PAIR = re.compile(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class PackedDocument:
    """One document: the entry that stands for it, its `.meta`, and the properties of its `.node`."""

    place: str
    meta: str | None
    node: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """Something of a file that no feed is made of, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Pack:
    """The feeds of an export, and what else it holds."""

    feeds: tuple[PackedDocument, ...]
    left_out: tuple[LeftOut, ...]


def is_safe_uuid(key: str) -> bool:
    """Whether Stroom, and a file name, take it as it is; it need not be a real UUID."""
    return 0 < len(key) <= MAX_UUID and key not in {".", ".."} and not _UNSAFE_IN_SEGMENT.search(key)


def file_prefix(name: str, key: str, kind: str = FEED) -> str:
    """Prefix of the names of a document's files."""
    return f"{safe_file_name(name)}.{kind}.{key}"


def safe_file_name(name: str) -> str:
    """A name of a document or of a folder as Stroom writes it into a file name."""
    # Java counts a character beyond the first plane as two.
    java = "".join("__" if character > "\uffff" else character for character in name)
    return _UNSAFE_IN_NAME.sub("_", java)[:MAX_NAME]


def default_uuid(name: str) -> str:
    """The uuid of a feed that comes from no Stroom, made of its first name; exports have always had it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"stroom-portal/feed/{name}"))


# --- reading ---


def read_pack(names: Sequence[str], nodes: Mapping[str, bytes]) -> Pack:
    """Pair the entries of an export.

    Args:
        names: all entries.
        nodes: the content of those that end in `.node`.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for name in names:
        folder, _, base = name.rpartition("/")
        folders[folder].add(base)
    feeds: list[PackedDocument] = []
    left: list[LeftOut] = []
    used: set[str] = set()
    for place in names:
        if not is_node(place):
            continue
        used.add(place)
        document = _document(place, read_properties(nodes[place]), folders)
        used.update(filter(None, (document.meta,)))
        kind = document.node.get("type", FEED if ".Feed." in place else "")
        if kind == FEED:
            feeds.append(document)
        else:
            left.append(LeftOut(place, f"it is {_called(kind)}, not a feed"))
    feeds += [_without_node(place) for place in names if _is_meta_of_feed(place) and place not in used]
    used |= {document.meta for document in feeds if document.meta}
    left += _others(names, used, {entry.place: entry for entry in left})
    return Pack(tuple(feeds), tuple(left))


def is_node(place: str) -> bool:
    base = place.rpartition("/")[2]
    return base.endswith(NODE) and not base.startswith(".")


def _is_meta_of_feed(place: str) -> bool:
    return ".Feed." in place.rpartition("/")[2] and place.endswith(META)


def _document(place: str, node: Mapping[str, str], folders: Mapping[str, Collection[str]]) -> PackedDocument:
    folder, _, base = place.rpartition("/")
    stem = base.removesuffix(NODE)
    missing = [key for key in _IDENTITY if not node.get(key)]
    stems = [stem] if missing else [file_prefix(*(node[key] for key in ("name", "uuid", "type"))), stem]
    found = next((one + META for one in stems if one + META in folders[folder]), None)
    meta = None if found is None else f"{folder}/{found}".lstrip("/")
    notes = (f"its .node lacks {', '.join(missing)}: Stroom would not import it",) if missing else ()
    faults = () if meta else (f"{stems[0]}{META} is missing next to its .node",)
    return PackedDocument(place, meta, node, notes, faults)


def _without_node(place: str) -> PackedDocument:
    return PackedDocument(place, place, notes=("it has no .node: Stroom would not import it",))


def _called(kind: str) -> str:
    return f"a {kind[:60]}" if kind else "of no type"


def _others(names: Iterable[str], used: Collection[str], documents: Mapping[str, LeftOut]) -> Iterator[LeftOut]:
    """Every file that belongs to no feed and to no document that is named already."""
    stems = {place.removesuffix(NODE) for place in documents}
    for place in names:
        if place in used or place.endswith("/"):
            continue
        if ".Feed." in place.rpartition("/")[2]:
            yield LeftOut(place, "a further file of a feed")
        elif _stem_in(place, stems) is None:
            yield LeftOut(place, "it belongs to no feed")


def _stem_in(place: str, stems: Collection[str]) -> str | None:
    stem = place
    while "." in stem.rpartition("/")[2]:
        stem = stem.rpartition(".")[0]
        if stem in stems:
            return stem
    return None


# --- Java properties ---


def read_properties(raw: bytes) -> dict[str, str]:
    """Java properties, as Stroom reads a `.node`: ISO 8859-1 with escapes."""
    found: dict[str, str] = {}
    for line in _logical_lines(raw.decode("latin-1")):
        match = _PAIR.match(line)
        if match and match[1]:
            found[_unescaped(match[1])] = _unescaped(match[2])
    return found


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for natural in re.split(r"\r\n|\r|\n", text):
        line = natural.lstrip(" \t\f")
        if not pending and line.startswith(("#", "!")):
            continue
        if (len(line) - len(line.rstrip("\\"))) % 2:
            pending += line[:-1]
            continue
        if pending or line:
            yield pending + line
        pending = ""
    if pending:
        yield pending


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _ESCAPES.get(match[2], match[2])

    plain = re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", one, text, flags=re.DOTALL)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def write_properties(values: Mapping[str, str]) -> bytes:
    """The same, written: sorted by key, with everything beyond ASCII escaped."""
    lines = (f"{_escaped(key, key=True)}={_escaped(values[key])}\n" for key in sorted(values))
    return "".join(lines).encode("ascii")


def _escaped(text: str, *, key: bool = False) -> str:
    return "".join(_escaped_character(one, first=place == 0, key=key) for place, one in enumerate(text))


def _escaped_character(one: str, *, first: bool, key: bool) -> str:
    if one in _SHORT:
        return _SHORT[one]
    if one in "=:#!" or (one == " " and (first or key)):
        return f"\\{one}"
    if " " <= one <= "~":
        return one
    units = one.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
