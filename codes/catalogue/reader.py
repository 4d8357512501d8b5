"""Reads the reviewed TOML files of the catalogue strictly and names every fault at once, each with file and key.

An unknown key is a fault, so a misspelt optional key cannot pass for an absent one. No Django here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from codes.catalogue.consistency import faults_between
from codes.catalogue.joining import join
from codes.catalogue.records import MAKERS, SOURCE_KINDS, read_source
from codes.catalogue.toml_table import CatalogueFault, Table
from codes.catalogue.values import Catalogue, Source


def read_catalogue(*directories: Path) -> Catalogue:
    """Read, check and join the files of one or more directories.

    Raises:
        CatalogueFault: something is wrong with a file or between files; each fault names file and key.
    """
    reading = _Reading()
    for directory in directories:
        reading.read(directory)
    catalogue = reading.catalogue()
    faults = [*reading.faults, *faults_between(catalogue)]
    if faults:
        raise CatalogueFault(faults)
    return join(catalogue)


def catalogue_files(*directories: Path) -> list[Path]:
    """Return the files in the order in which they are read."""
    return [path for directory in directories for path in sorted(directory.rglob("*.toml"))]


class _Reading:
    """Tables of all files, collected."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._rows: dict[str, list[Any]] = {kind: [] for kind in MAKERS}
        self._sources: list[Source] = []

    def read(self, directory: Path) -> None:
        files = catalogue_files(directory)
        if not files:
            self.faults.append(f"{directory}: there is no TOML file in this directory")
        for path in files:
            self._read_file(path, str(path.relative_to(directory)))

    def _read_file(self, path: Path, name: str) -> None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            self.faults.append(f"{name}: is not readable as TOML ({fault})")
            return
        source = self._source(data, name)
        for kind, tables in data.items():
            if kind == "source":
                continue
            if kind not in MAKERS or not isinstance(tables, list):
                self.faults.append(f"{name}: [[{kind}]] is not known; the tables are {', '.join(MAKERS)}")
            elif kind in SOURCE_KINDS and source is None:
                self.faults.append(f"{name}: [[{kind}]] needs a [source] in the same file")
            else:
                self._read_tables(kind, tables, name, source)
        if source is not None:
            notes = tuple(note for slug, note in self._rows["class_note"] if slug == source.slug)
            self._sources.append(replace(source, notes=notes))

    def _source(self, data: Mapping[str, Any], name: str) -> Source | None:
        if not isinstance(data.get("source"), dict):
            return None
        table = Table(data["source"], f"{name}: [source]", self.faults)
        source = read_source(table)
        table.finish()
        return source

    def _read_tables(self, kind: str, tables: list[Any], name: str, source: Source | None) -> None:
        for position, data in enumerate(tables, start=1):
            table = Table(data, f"{name}: [[{kind}]] {_label(data, position)}", self.faults)
            row = MAKERS[kind](table)
            table.finish()
            if kind == "entry" and source is not None:
                self._rows[kind].append(replace(row, source=source.slug))
            elif kind == "class_note" and source is not None:
                self._rows[kind].append((source.slug, row))
            else:
                self._rows[kind].append(row)

    def catalogue(self) -> Catalogue:
        rows = self._rows
        sources = sorted(self._sources, key=lambda source: (source.rank, source.slug))
        rank = {source.slug: position for position, source in enumerate(sources)}
        registry_order = {registry.slug: position for position, registry in enumerate(rows["registry"])}
        owners = {owner.slug: position for position, owner in enumerate(rows["owner"])}

        def number(row: Any) -> tuple[int, int]:
            return registry_order.get(row.registry, len(registry_order)), row.code or 0

        return Catalogue(
            registries=tuple(rows["registry"]),
            classes=tuple(rows["class"]),
            vendors=tuple(rows["vendor"]),
            owners=tuple(rows["owner"]),
            codes=tuple(sorted(rows["code"], key=number)),
            # The registered meaning first, then the others in the order of the owners' list.
            meanings=tuple(sorted(rows["meaning"], key=lambda m: (*number(m), owners.get(m.owner, len(owners))))),
            sources=tuple(sources),
            entries=tuple(sorted(rows["entry"], key=lambda e: (*number(e), rank.get(e.source, 0)))),
            disagreements=tuple(sorted(rows["disagreement"], key=number)),
            constants=tuple(rows["constant"]),
            http3=tuple(rows["over_http3"]),
        )


def _label(data: Mapping[str, Any], position: int) -> str:
    """Return the words by which a reader finds the table in its file."""
    names = [data.get(key) for key in ("registry", "code", "key", "class_key", "owner", "slug", "aspect", "name")]
    words = [str(name) for name in names if isinstance(name, str | int)]
    return f"number {position} ({' '.join(words)})"
