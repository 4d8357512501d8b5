"""Serializer fields that take what the API's description says and nothing that merely resembles it.

DRF's own read 1 as "1", "yes" as true and ignore keys they do not know; a typing error would change data unseen.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

Shape = serializers.Serializer[Any]


class Text(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        return text


class Flag(serializers.BooleanField):
    """JSON true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Instant(serializers.DateTimeField):
    """ISO 8601 text; without a zone it is UTC."""

    def to_internal_value(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) > 64:
            self.fail("invalid", format="2027-01-31T12:00:00Z")
        return super().to_internal_value(value)


class StrictKeysMixin(Shape):
    """Refuses a body with keys that the serializer does not have."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [str(name)[:80] for name in data if name not in self.fields]
            if unknown:
                reason = serializers.ErrorDetail("There is no such key.", "unknown_key")
                raise serializers.ValidationError({name: [reason] for name in unknown})
        return super().to_internal_value(data)
