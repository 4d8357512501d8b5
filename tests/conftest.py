"""What all tests share."""

import pytest


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name long byte strings by their length: compressed data bears the time, and two workers must agree on names."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) and len(val) > 16 else None
