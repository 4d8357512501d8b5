"""The shape of what is made from the catalogue's files belongs to `loading.FORMAT`: both change together."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from codes import loading

pytestmark = pytest.mark.django_db

# The format and the digest of the shape that belongs to it. When the test fails: raise FORMAT and enter both.
RECORDED = (5, "ecb0f5fa3274bcf6")
API = "/api/v1/codes"


def paths(value: Any, path: str = "$") -> Iterator[str]:
    """Each path of a JSON document with the type found there; list items share one path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{path}.{'#' if key.isdigit() else key}")
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[]")
    else:
        yield f"{path}: {type(value).__name__}"


def shape(site: Client) -> list[str]:
    found = {
        f"{name} {path}"
        for name in ("export.json", "retry.json", "http/404/", "stroom/110/")
        for path in _paths(site, name)
    }
    found.add(site.get(f"{API}/export.csv").content.splitlines()[0].decode())
    found.add(hashlib.sha256(site.get(f"{API}/export.schema.json").content).hexdigest())
    for model in apps.get_app_config("codes").get_models():
        found |= {
            f"{model.__name__}.{field.name}: {field.get_internal_type()}"
            for field in model._meta.get_fields()
            if field.concrete
        }
    return sorted(found)


def _paths(site: Client, name: str) -> set[str]:
    return set(paths(json.loads(site.get(f"{API}/{name}").content)))


def test_another_shape_is_another_format(site: Client) -> None:
    digest = hashlib.sha256("\n".join(shape(site)).encode()).hexdigest()[:16]
    assert (loading.FORMAT, digest) == RECORDED
