"""Everyday words for status codes, read from `phrases.toml`: `"http/404"` leads to its phrases. Pure."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

PHRASES: Mapping[str, tuple[str, ...]] = {
    f"{registry}/{code}": tuple(phrases)
    for registry, codes in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
    for code, phrases in codes.items()
}
