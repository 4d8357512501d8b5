"""A stroom-proxy's directory scanner, by its published rules: what it takes, what it fails, and what it leaves.

Rules of gchq/stroom v7.12: `ZipDirScanner` (which files are archives and sidecars, what is moved away, what is
deleted), `ProxyZipValidator` (when an archive need not be rewritten), `ZipReceiver` (one bad feed or type fails all
of it), `StreamTypeValidator`. Nothing of the portal is used here.

    python tests/stroom_proxy.py FOLDER FAILURES

scans once, as whichever user runs it, and prints what it did as JSON.
"""

import json
import sys
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: `StreamTypeNames`, the default of `receive.metaTypes`.
TYPES = {
    *("Raw Events", "Raw Reference", "Events", "Reference", "Records", "Meta Data", "Error", "Context"),
    *("Test Events", "Test Reference", "Detections"),
}
#: What may stand before each kind of entry in a group.
BEFORE = {"mf": set(), "meta": {"mf"}, "ctx": {"mf", "meta"}, "dat": {"mf", "meta", "ctx"}}


@dataclass
class Taken:
    """One archive that the proxy has taken."""

    name: str
    attributes: dict[str, str]
    keys: list[tuple[str, str]]
    fast: bool
    data: list[str]


@dataclass
class Scan:
    """What one scan did."""

    taken: list[Taken] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def scan(root: Path, failures: Path) -> Scan:
    """Take every archive below a folder, then remove the folders in it that are empty."""
    found = Scan()
    failures.mkdir(exist_ok=True)
    walk(root, failures, found)
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return found


def walk(folder: Path, failures: Path, found: Scan) -> None:
    try:
        names = sorted(folder.iterdir())
    except PermissionError:
        found.unreadable.append(str(folder))
        return
    strangers = []
    for path in names:
        if path.is_dir():
            walk(path, failures, found)
        elif path.suffix.lower() == ".zip":
            take(path, failures, found)
        elif path.exists() and not is_sidecar(path):
            strangers.append(path)
    for path in strangers:
        found.unknown.append(path.name)
        path.rename(failures / path.name)


def is_sidecar(path: Path) -> bool:
    if path.name == "error.log":
        return any(other.suffix.lower() == ".zip" for other in path.parent.iterdir())
    return path.suffix in {".meta", ".entries"} and path.with_suffix(".zip").exists()


def take(path: Path, failures: Path, found: Scan) -> None:
    beside = path.with_suffix(".meta")
    try:
        attributes = read_meta(beside.read_bytes()) if beside.is_file() else {}
        found.taken.append(receive(path, attributes))
    except PermissionError:
        found.unreadable.append(path.name)
        return
    except (ValueError, zipfile.BadZipFile) as fault:
        found.failed.append(f"{path.name}: {fault}")
        for one in (beside, path):
            one.rename(failures / one.name)
        return
    for one in (path, beside):
        try:
            one.unlink(missing_ok=True)
        except PermissionError:
            found.left.append(one.name)


def receive(path: Path, attributes: dict[str, str]) -> Taken:
    """Each feed and type of the archive is asked for; the first that is not allowed fails all of it."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        metas = {name.rpartition(".")[0]: read_meta(archive.read(name)) for name in names if name.endswith(".meta")}
        data = [archive.read(name).decode("latin-1") for name in names if name.endswith(".dat")]
    keys = {
        (meta.get("Feed", attributes.get("Feed", "")), meta.get("Type", attributes.get("Type", "")))
        for base, meta in metas.items()
        if f"{base}.dat" in names
    }
    for feed, kind in sorted(keys):
        if not feed:
            raise ValueError("100 Feed must be specified")
        if kind.strip() and kind.strip() not in TYPES:
            raise ValueError(f"102 Invalid type {kind}")
    return Taken(path.name, attributes, sorted(keys), fault_of(names) == "" and len(keys) == 1, data)


def fault_of(names: list[str]) -> str:
    """Why an archive is not in the proxy's own form; empty when it is."""
    last_base = last_kind = ""
    seen: set[str] = set()
    count = 0
    for name in names:
        base, _, kind = name.rpartition(".")
        if kind not in BEFORE:
            return f"{name} is of an unknown kind"
        if base != last_base:
            count += 1
            if last_base and last_kind != "dat":
                return f"{last_base}.dat is missing before {name}"
            if base != f"{count:010d}":
                return f"{name} is not number {count}"
            seen = set()
        if kind == "mf" and last_base:
            return f"{name} is a manifest that is not the first entry"
        if not seen <= BEFORE[kind] or (kind == "dat" and "meta" not in seen):
            return f"{name} is out of order"
        last_base, last_kind = base, kind
        seen.add(kind)
    return "" if last_kind == "dat" else "the last entry is no data"


def read_meta(content: bytes) -> dict[str, str]:
    """`AttributeMapUtil.read`: a line is a key, a colon and a value; both are trimmed."""
    pairs = (line.partition(":") for line in content.decode().split("\n") if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(scan(Path(sys.argv[1]), Path(sys.argv[2])))))
