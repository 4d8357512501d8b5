"""Feeds written to files: for Stroom, and so that `feeds.changes.files` reads back exactly what was written."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from feeds.changes.apply import WRITABLE
from feeds.changes.feed_docs import FEED_DOC
from feeds.changes.import_rows import COLUMNS
from feeds.models import Feed
from feeds.store.stroom_packs import FEED, META, NODE, default_uuid, file_prefix, safe_file_name, write_properties
from portal import text


def export_rows(feeds: Iterable[Feed]) -> list[dict[str, Any]]:
    """Feeds as our REST bodies have them. The queryset should prefetch the rules."""
    return [
        {
            **{name: getattr(feed, name) for name in ("name", *WRITABLE[:5])},
            "certificate_rules": [rule_values(rule) for rule in feed.certificate_rules.all()],
            **{name: getattr(feed, name) for name in WRITABLE[5:]},
        }
        for feed in feeds
    ]


def rule_values(rule: Any) -> dict[str, Any]:
    """Return a rule as files and the REST interface show it."""
    expires = text.instant_text(rule.expires) if rule.expires else None
    return {"action": rule.action, "subject_dn": rule.subject_dn, "expires": expires, "comment": rule.comment}


def write_json(feeds: Iterable[Feed]) -> bytes:
    """Write the feeds as JSON, in the form of the REST interface."""
    return (json.dumps(export_rows(feeds), indent=2, ensure_ascii=False) + "\n").encode()


def write_csv(feeds: Iterable[Feed]) -> bytes:
    """Write the feeds as CSV in which no spreadsheet sees formulas."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(COLUMNS)
    writer.writerows([csv_cell(row[column]) for column in COLUMNS] for row in export_rows(feeds))
    return output.getvalue().encode()


def csv_cell(value: Any) -> str:
    """Return the text of a cell as `read_file` reads it back."""
    return text.csv_cell(value, text.escape_cell, _json)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=text.instant_text) if value else ""


def write_zip(feeds: Iterable[Feed]) -> bytes:
    """Write a ZIP that Stroom imports. FeedDoc has no certificate policy, rules, owner or labels."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for feed in feeds:
            node = {"path": "", **_kept(feed, "node")}
            key = feed.stroom_uuid or default_uuid(feed.name)
            node |= {"name": feed.name, "type": FEED, "uuid": key}
            base = _folder(node["path"]) + file_prefix(feed.name, key)
            archive.writestr(_entry(f"{base}{META}"), json.dumps(_as_feed_doc(feed, key), indent=2) + "\n")
            archive.writestr(_entry(f"{base}{NODE}"), write_properties(node))
    return output.getvalue()


def _kept(feed: Feed, part: str) -> dict[str, Any]:
    kept = feed.stroom.get(part, {})
    return dict(kept) if isinstance(kept, dict) else {}


def _folder(path: str) -> str:
    """Return the folder in which Stroom puts the files of a document with this path."""
    return "".join(f"{safe_file_name(element)}/" for element in path.split("/") if element)


def _entry(name: str) -> zipfile.ZipInfo:
    """Return an entry with a fixed time, so that the same feeds give the same bytes."""
    info = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _as_feed_doc(feed: Feed, key: str) -> dict[str, Any]:
    ours = {theirs: getattr(feed, name) for theirs, name in FEED_DOC.items() if theirs != "feedStatus"}
    own = {"type": FEED, "uuid": key, "version": key}
    return {**own, **_kept(feed, "doc"), **ours, "status": feed.status.upper()}


def export_name(kind: str, now: datetime) -> str:
    return f"feeds-{now:%Y%m%d-%H%M%S}.{kind}"
