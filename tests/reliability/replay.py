"""Power cuts on paper: which of a recording's changes a disk would still hold (R2).

Takes a recording of calls and a copy of the folder from before it, and builds the folder as it may look after a
power cut at any place. The model is harsher than any file system of today: what was not flushed may be gone, even
where others of the same kind survive. A file's bytes are certain only once the file was flushed, a name only once
its directory was, also after a rename and for a new directory.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.reliability.tracing import Call

_FLUSHES = {"fsync", "fdatasync"}
_CREATES = {"openat", "open", "creat"}
_RENAMES = {"rename", "renameat", "renameat2"}
_REMOVES = {"unlink", "unlinkat", "rmdir"}


@dataclass
class _Write:
    offset: int
    data: bytes


@dataclass
class _Node:
    """A file or a directory: what is certain of it, and the changes since."""

    is_folder: bool = False
    content: bytearray = field(default_factory=bytearray)
    unsure: list[_Write | int] = field(default_factory=list)
    #: Of a directory: name to node, and the changes of names since its last flush.
    names: dict[str, "_Node"] = field(default_factory=dict)
    renamed: list[tuple[str, "_Node | None"]] = field(default_factory=list)
    position: int = 0

    def change_name(self, name: str, node: "_Node | None") -> None:
        self.renamed.append((name, node))

    def flush(self) -> None:
        for change in self.unsure:
            _apply(self.content, change)
        self.unsure.clear()
        for name, node in self.renamed:
            _put(self.names, name, node)
        self.renamed.clear()

    def now(self) -> dict[str, "_Node"]:
        """The names as a running process sees them."""
        names = dict(self.names)
        for name, node in self.renamed:
            _put(names, name, node)
        return names

    def length(self) -> int:
        length = len(self.content)
        for change in self.unsure:
            length = change if isinstance(change, int) else max(length, change.offset + len(change.data))
        return length


def _apply(content: bytearray, change: "_Write | int") -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _put(names: dict[str, _Node], name: str, node: "_Node | None") -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


class Disk:
    """A folder on a disk that forgets."""

    def __init__(self, root: Path, before: Path) -> None:
        """Begin with what is on the disk for certain.

        Args:
            root: the folder that the recorded calls name.
            before: a copy of it from before the recording.
        """
        self._root = PurePosixPath(root)
        self._top = _load(before)
        self._open: dict[tuple[int, str], _Node] = {}

    def run(self, calls: Sequence[Call]) -> None:
        """Let calls happen that ended."""
        for call in calls:
            if call.succeeded:
                self._one(call)

    def _one(self, call: Call) -> None:
        if call.name in _CREATES:
            self._create(call)
        elif call.name in {"write", "pwrite64", "ftruncate"} or call.name in _FLUSHES:
            node = self._node(call.path)
            if node is not None:
                self._change(call, node)
        elif call.name in _RENAMES:
            self._rename(*call.paths)
        elif call.name in {"mkdir", "mkdirat"}:
            self._name(call.paths[0], _Node(is_folder=True))
        elif call.name in _REMOVES:
            self._name(call.paths[0], None)
        elif self._is_ours(call.path):
            raise NotImplementedError(f"the model does not know {call.name} of {call.path}")

    def _create(self, call: Call) -> None:
        path = call.paths[0]
        if not self._is_ours(path) or "O_CREAT" not in call.arguments:
            return
        node = self._node(path)
        if node is None:
            self._name(path, _Node())
        elif "O_TRUNC" in call.arguments:
            node.unsure.append(0)
            node.position = 0

    def _change(self, call: Call, node: _Node) -> None:
        if call.name in _FLUSHES:
            node.flush()
        elif call.name == "ftruncate":
            node.unsure.append(call.offset)
        elif call.name == "pwrite64":
            node.unsure.append(_Write(call.offset, call.data[: call.result]))
        else:
            # Files are only ever appended to with `write` here.
            node.unsure.append(_Write(node.length(), call.data[: call.result]))

    def _rename(self, old: str, new: str) -> None:
        node = self._node(old)
        if node is not None:
            self._name(new, node)
            self._name(old, None)

    def _is_ours(self, path: str) -> bool:
        return PurePosixPath(path).is_relative_to(self._root)

    def _node(self, path: str) -> _Node | None:
        if not self._is_ours(path):
            return None
        node: _Node | None = self._top
        for part in PurePosixPath(path).relative_to(self._root).parts:
            node = node.now().get(part) if node is not None else None
        return node

    def _name(self, path: str, node: _Node | None) -> None:
        parent = self._node(str(PurePosixPath(path).parent))
        if parent is not None:
            parent.change_name(PurePosixPath(path).name, node)

    def after_a_cut(self, chance: random.Random | None = None) -> dict[str, bytes]:
        """Every file by its path below the root, as the next start may find them.

        Without `chance` nothing survives that was not flushed; with it any of it may.
        """
        return dict(_surviving(self._top, "", chance))


def _load(path: Path) -> _Node:
    if path.is_dir():
        return _Node(is_folder=True, names={below.name: _load(below) for below in path.iterdir()})
    return _Node(content=bytearray(path.read_bytes()))


def _surviving(node: _Node, path: str, chance: random.Random | None) -> Iterator[tuple[str, bytes]]:
    if not node.is_folder:
        content = bytearray(node.content) if node.unsure else node.content
        for change in node.unsure:
            if chance is not None and chance.random() < 0.5:
                _apply(content, change)
        yield path, bytes(content)
        return
    names = dict(node.names)
    for name, changed in node.renamed:
        if chance is not None and chance.random() < 0.5:
            _put(names, name, changed)
    for name, below in names.items():
        yield from _surviving(below, f"{path}/{name}" if path else name, chance)
