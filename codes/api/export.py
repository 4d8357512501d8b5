"""Exports of the whole catalogue, made once for each load and kept as bytes."""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from codes.api.code_serializers import CodeSerializer, ListedDisagreementSerializer
from codes.api.serializers import ClassSerializer, RegistrySerializer, SourceSerializer, VendorSerializer
from codes.lookup import all_codes
from codes.models import CodeClass, Disagreement, Owner, Registry, Source, Vendor
from codes.release import content_version
from portal.rest.csv_renderer import csv_text
from portal.site import public_link

SCHEMA_FILE = Path(__file__).with_name("export.schema.json")
SCHEMA_ADDRESS = "/api/v1/codes/export.schema.json"


def current_digest() -> str:
    return content_version().digest


def entity_tag(digest: str) -> str:
    """Return the ETag of the exports: the digest, and where links are absolute also what they begin with."""
    base = public_link("")
    return f'"{digest}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"' if base else f'"{digest}"'


@lru_cache(maxsize=2)
def export_json(digest: str) -> bytes:
    """Return the catalogue as JSON, without the notes of this site, which are not part of a load."""
    content = {
        "$schema": public_link(SCHEMA_ADDRESS),
        "digest": digest,
        "registries": RegistrySerializer(Registry.objects.with_counts(), many=True).data,
        "classes": [_without(ClassSerializer(row).data, "codes") for row in CodeClass.objects.all()],
        "vendors": [_without(row, "codes") for row in VendorSerializer(Vendor.objects.all(), many=True).data],
        "owners": list(Owner.objects.values("slug", "name", "vendors", "note")),
        "sources": SourceSerializer(Source.objects.with_counts(), many=True).data,
        "codes": [_without(CodeSerializer(code).data, "local_notes") for code in all_codes()],
        "class_disagreements": ListedDisagreementSerializer(
            Disagreement.objects.filter(status_code=None), many=True
        ).data,
    }
    return json.dumps(content, ensure_ascii=False).encode()


@lru_cache(maxsize=1)
def export_schema(_digest: str) -> bytes:
    """Return the JSON Schema of `export_json`."""
    return SCHEMA_FILE.read_bytes()


@lru_cache(maxsize=2)
def export_csv(_digest: str) -> bytes:
    """Return one CSV line for each meaning."""
    return csv_text(list(_meaning_lines())).encode()


def _meaning_lines() -> Iterator[dict[str, Any]]:
    for found in all_codes():
        for meaning in found.meanings:
            yield {
                "registry": found.registry.slug,
                "code": found.code,
                "owner": meaning.owner_id,
                "name": meaning.name,
                "standing": found.standing,
                "http_statuses": found.http_statuses,
                "retry": meaning.retry_verdict,
                **{key: value for key, value in meaning.retry.items() if key not in {"verdict", "source"}},
                "cacheability": meaning.cacheability,
                "body": meaning.body,
                "headers": [f"{header.name}:{header.level}" for header in meaning.headers.all()],
                "summary": meaning.summary,
                **{f"what_to_do_{who}": text for who, text in meaning.what_to_do.items()},
                "url": meaning.get_absolute_url(),
            }


def _without(row: Any, key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
