"""List every package that an installation consists of, as a CycloneDX 1.5 document (threat model, S26).

    python deploy/sbom.py > sbom.json

Read from constraints.txt, which every installation is checked against, so the list is what is installed: name,
version, and the digests of every file that may be installed for it. Licences are added where the package is
installed here. There is no time in it, so two lists of the same packages are the same.
"""

import json
import re
import sys
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "constraints.txt"


class NotPinned(Exception):
    """A line of the lock file has no exact version or no digest."""


@dataclass(frozen=True)
class Package:
    """One pinned package."""

    name: str
    version: str
    digests: tuple[str, ...]
    marker: str = ""

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(text: str) -> list[Package]:
    """The packages of a lock file.

    Raises:
        NotPinned: one is not pinned to a version and to digests.
    """
    packages = []
    for line in text.replace("\\\n", " ").splitlines():
        content = line.partition("#")[0].strip()
        if not content:
            continue
        requirement, _, marker = content.partition("--hash")[0].partition(";")
        found = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s=*]+)", requirement.strip())
        digests = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", content))
        if not found or not digests:
            raise NotPinned(content.split()[0])
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        packages.append(Package(name, found[2], digests, marker.strip()))
    return packages


def version_of_portal() -> str:
    """The newest heading of the change log."""
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "0"


def document(packages: list[Package]) -> dict[str, Any]:
    """The CycloneDX document."""
    portal = {"type": "application", "name": "stroom-portal", "version": version_of_portal(), "bom-ref": "portal"}
    names = json.dumps([(package.purl, package.digests) for package in packages])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, names)}",
        "version": 1,
        "metadata": {"component": portal},
        "components": [component(package) for package in packages],
        "dependencies": [{"ref": "portal", "dependsOn": [package.purl for package in packages]}],
    }


def component(package: Package) -> dict[str, Any]:
    """One package; its files may be several, one for each kind of machine."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "properties": [{"name": "file:sha256", "value": digest} for digest in package.digests],
    }
    if package.marker:
        found["properties"].append({"name": "marker", "value": package.marker})
    licence = licence_of(package.name)
    if licence:
        found["licenses"] = [{"license": {"name": licence}}]
    return found


def licence_of(name: str) -> str:
    """What the installed package says of its licence; empty when it is not installed or says nothing short."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    said = about.get("License-Expression") or about.get("License") or ""  # type: ignore[attr-defined]
    if said and "\n" not in said and len(said) < 80:
        return said
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    return classifiers[0].rpartition(" :: ")[2] if classifiers else ""


if __name__ == "__main__":
    json.dump(document(read_lock(LOCK.read_text(encoding="utf-8"))), sys.stdout, indent=1)
    sys.stdout.write("\n")
