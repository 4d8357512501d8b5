"""Answers recorded as examples of the OpenAPI description: shortened, and without what differs from run to run."""

import json
import re
from typing import Any

from portal.rest.schema_examples import ANSWERS

MOST_TEXT, MOST_LINES, MOST_KEYS = 160, 3, 2
OWN = "https://portal.example.org"
#: Objects with many keys that are values themselves: numbers of codes, addresses.
_FREE_KEYS = re.compile(r"\d{1,3}|[a-z]+/.*")
_SECRET = re.compile(r"sp_[\w-]{20,}")


def shortened(value: Any) -> Any:
    """Return an answer with one item of each list and few of the keys that are values."""
    if isinstance(value, list):
        return [shortened(item) for item in value[:1]]
    if isinstance(value, dict):
        names = list(value)
        if len(names) > MOST_KEYS and all(_FREE_KEYS.fullmatch(name) for name in names):
            names = names[:MOST_KEYS]
        return {name: shortened(value[name]) for name in names}
    return _plain(value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    text = _SECRET.sub(
        "sp_EXAMPLE-OF-A-TOKEN", text.replace("http://testserver", OWN).replace("http://localhost", OWN)
    )
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def example_of(content: bytes, form: str) -> Any:
    """Return the example that an answer gives; None for bytes."""
    if form == "application/schema+json":  # its references lead nowhere from the description
        return {name: text for name, text in json.loads(content).items() if isinstance(text, str)}
    if form.endswith("json"):
        return shortened(json.loads(content))
    if form.startswith("text/"):
        lines = content.decode().splitlines()[:MOST_LINES]
        return "".join(f"{_plain(line)}\n" for line in lines)
    return None


def shape(value: Any) -> Any:
    """Return the keys of an example, at every depth, without its values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else None


def write(recorded: dict[str, dict[str, dict[str, Any]]]) -> None:
    ANSWERS.write_text(json.dumps(recorded, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return found
