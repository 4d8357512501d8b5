"""Serializers of the dry run: the described request and its result (interface section 4)."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from feeds.models import (
    Feed,
)
from portal.rest.fields import Flag, Shape, StrictKeysMixin, Text


class TraceSerializer(Shape):
    """One evaluated step: its number in the contract, and why it passed or stopped."""

    step = serializers.IntegerField(help_text="Its number in the order of the checks.")
    outcome = serializers.ChoiceField(choices=["pass", "stop"], help_text="`pass`, or `stop` where it decided.")
    explanation = serializers.CharField(help_text="Why.")


class DescribedCertificateSerializer(StrictKeysMixin):
    """A client certificate as the proxy would report it."""

    dn = Text(max_length=4096, allow_blank=True, help_text="Subject; empty for no certificate.")
    verified = Flag(default=True, help_text="Whether the proxy verified it.")
    expires = Text(
        max_length=64,
        allow_null=True,
        allow_blank=True,
        default=None,
        help_text="End of its validity, as the proxy would write it.",
    )


class DescribedTokenSerializer(StrictKeysMixin):
    """A sender's token."""

    name = Text(max_length=100, allow_blank=True, help_text="Name of the token; empty for no token.")
    valid = Flag(default=True, help_text="Whether it is in force and has the scope `send`.")


class HeadersField(serializers.DictField):
    """Names and values as a sender would write them."""

    child = Text(allow_blank=True, allow_null=True, max_length=65536, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and len(data) > 1000:
            raise serializers.ValidationError("At most 1000 headers.")
        return super().to_internal_value(data)


class CheckSerializer(StrictKeysMixin):
    """A described request: its headers, and the sender's certificate in one of two forms."""

    headers = HeadersField(
        help_text="Names and values as a sender would write them; identity headers among them are ignored."
    )
    sender_dn = Text(
        allow_null=True,
        allow_blank=True,
        max_length=4096,
        required=False,
        help_text="Subject of the client certificate; null for none.",
    )
    verified = Flag(required=False, help_text="Whether the proxy verified `sender_dn`; true when left out.")
    certificate = DescribedCertificateSerializer(
        allow_null=True, required=False, help_text="Alternative to `sender_dn` and `verified`."
    )
    token = DescribedTokenSerializer(
        allow_null=True,
        required=False,
        help_text="The sender's token; null for none. It counts where `PORTAL_SENDER_TOKENS` is on.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        twice = attrs.get("sender_dn") is not None or attrs.get("verified") is False
        if attrs.get("certificate") is not None and twice:
            raise serializers.ValidationError(
                {"certificate": ["Give either certificate, or sender_dn and verified."]}
            )
        return attrs


class WouldAnswerSerializer(Shape):
    """The answer that `/datafeed` would send."""

    headers = serializers.DictField(child=serializers.CharField(), help_text="Names and values.")
    body = serializers.CharField(help_text="The text; `<receipt id>` stands where an id would.")


class DryRunSerializer(Shape):
    """Result of the described request, and its reasons."""

    decision = serializers.ChoiceField(choices=Feed.Status.choices, help_text="What would happen to the data.")
    http_status = serializers.IntegerField(help_text="The HTTP status.")
    stroom_status = serializers.IntegerField(help_text="The Stroom-Status.")
    message = serializers.CharField(help_text="The message that belongs to the Stroom-Status.")
    stored = serializers.BooleanField(help_text="Whether whole and valid data would be kept.")
    response = WouldAnswerSerializer(help_text="What `/datafeed` would send.")
    trace = TraceSerializer(many=True, help_text="Every step of the decision, in order.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What of the request was left aside.")
