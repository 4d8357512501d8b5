"""An index of packages on this machine: the locked releases, and decoys that an installation must not take."""

import base64
import functools
import hashlib
import http.server
import importlib.metadata
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKED = "the locked release"
DECOY = "a decoy"


@dataclass(frozen=True)
class Pin:
    """One package of a lock file: name, extras and marker as they are written there."""

    name: str
    extras: tuple[str, ...]
    version: str
    marker: str

    @property
    def applies(self) -> bool:
        requirement = Requirement(f"{self.name}; {self.marker}" if self.marker else self.name)
        return requirement.marker is None or requirement.marker.evaluate()

    def line(self, digest: str, *, extras: bool = True) -> str:
        kept = f"[{','.join(self.extras)}]" if extras and self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{kept}=={self.version}{marker} \\\n    --hash=sha256:{digest}\n"


def read_lock(path: Path) -> list[Pin]:
    """All pins of a lock file."""
    pins = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip("\\ "))
            [clause] = requirement.specifier
            marker = str(requirement.marker) if requirement.marker else ""
            pins.append(Pin(requirement.name, tuple(sorted(requirement.extras)), clause.version, marker))
    return pins


def requirements_of(pin: Pin) -> list[str]:
    """What the real package of this release asks for, where it is installed here."""
    try:
        found = importlib.metadata.distribution(pin.name)
    except importlib.metadata.PackageNotFoundError:
        return []
    return list(found.requires or []) if found.version == pin.version else []


def write_wheel(
    folder: Path, name: str, version: str, *, content: str = LOCKED, requires: Sequence[str] = ()
) -> str:
    """Write a wheel that holds one module; the result is its digest."""
    module = canonicalize_name(name).replace("-", "_")
    info = f"{module}-{version}.dist-info"
    extras = sorted({extra for line in requires for extra in _extras_in(line)})
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    files = {
        f"{module}_decoy.py": f"CONTENT = {content!r}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_record(text)},{len(text.encode())}\n" for path, text in files.items())
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def _extras_in(line: str) -> list[str]:
    marker = Requirement(line).marker
    words = str(marker).replace('"', "'").split("extra == '")[1:] if marker else []
    return [word.partition("'")[0] for word in words]


def _record(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def make_index(folder: Path, pins: Sequence[Pin]) -> dict[str, str]:
    """Write `simple` (locked, newer, yanked, uncompiled) and `shadow` (the same version again, newer ones).

    The result has the digest of each locked release by name.
    """
    digests = {}
    for pin in pins:
        module = canonicalize_name(pin.name)
        simple, shadow = folder / "simple" / module, folder / "shadow" / module
        simple.mkdir(parents=True)
        shadow.mkdir(parents=True)
        digests[pin.name] = write_wheel(simple, pin.name, pin.version, requires=requirements_of(pin))
        write_wheel(simple, pin.name, f"{pin.version}.post99", content=DECOY)
        write_wheel(simple, pin.name, "99999.1", content=DECOY)
        write_wheel(simple, pin.name, "99999.2", content=DECOY)  # yanked
        (simple / f"{module}-{pin.version}.tar.gz").write_bytes(b"would have to be compiled")
        write_wheel(shadow, pin.name, pin.version, content=DECOY)
        write_wheel(shadow, pin.name, "99999.3", content=DECOY)
        for page in (simple, shadow):
            (page / "index.html").write_text(_page(page), encoding="utf-8")
    return digests


def _page(folder: Path) -> str:
    links = []
    for file in sorted(folder.iterdir()):
        yanked = ' data-yanked="broken"' if "-99999.2-" in file.name else ""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        links.append(f'<a href="{file.name}#sha256={digest}"{yanked}>{file.name}</a><br>')
    return "<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP; the value is its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
