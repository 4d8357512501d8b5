"""What the deployment tests share: certificates, and folders with short names (Unix sockets need them)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.authority import Certificates


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    with tempfile.TemporaryDirectory(prefix="portal-ca-") as folder:
        yield Certificates.make(Path(folder))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="portal-nginx-") as path:
        yield Path(path)
