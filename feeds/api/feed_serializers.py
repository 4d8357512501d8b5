"""Serializers of feeds and their rules (interface section 4)."""

from datetime import datetime
from functools import cached_property
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from feeds.changes.apply import GIVEN, MAX_COMMENT, MAX_RULES, WRITABLE, FeedChange, RuleValues
from feeds.changes.files_out import rule_values
from feeds.models import (
    FEED_NAME_LENGTH,
    MAX_LABEL,
    MAX_LABELS,
    CertificateRule,
    Feed,
    validate_feed_name,
    validate_rule_dn,
)
from portal.rest.fields import Flag, Instant, StrictKeysMixin, Text
from portal.rest.problems import PreconditionFailed
from portal.rest.queries import ChosenFieldsMixin
from portal.text import instant_text

DEFAULT_PATTERN = "^[A-Z0-9_-]{3,}$"


class RuleSerializer(StrictKeysMixin):
    """One allow or deny entry."""

    action = serializers.ChoiceField(
        choices=CertificateRule.Action.choices,
        default="allow",
        help_text="Whether a matching certificate may send; `deny` takes precedence over `allow`.",
    )
    subject_dn = Text(
        max_length=2000,
        validators=[validate_rule_dn],
        help_text="A whole DN, `CN=client-a,OU=Test,O=Example,C=GB`, a single `CN=client-a`, or `token:` and the "
        "name of sender tokens.",
    )
    expires = Instant(
        allow_null=True, default=None, help_text="From this instant on the rule matches nothing; null: never."
    )
    comment = Text(max_length=500, allow_blank=True, default="", help_text="Comment for other administrators.")


@extend_schema_field({"type": "string", "maxLength": FEED_NAME_LENGTH, "pattern": DEFAULT_PATTERN})
class FeedName(Text):
    """The name by which senders call the feed. Its pattern is a setting; the description has the default."""


#: Keys that name the state that a write was made for. A feed that is made has none yet, so any is fine.
_STATES = ("version", "etag")


def etag_of(feed: Feed) -> str:
    """Return the feed's ETag. The version increases with every change; a feed created again is another row."""
    return f'"{feed.pk}-{feed.version}"'


class VersionConflict(PreconditionFailed):
    """The `version` or `etag` in a body is not the current one."""

    def __init__(self, field: str, current: int | str) -> None:
        super().__init__(f"{field}: the current one is {current}. Read the feed again, then send your change.")
        self.field = field


class FeedSerializer(StrictKeysMixin, ChosenFieldsMixin, serializers.ModelSerializer[Feed]):
    """A feed with its rules. On a PUT, what is left out takes its default."""

    name = FeedName(
        required=False,
        max_length=FEED_NAME_LENGTH,
        validators=[validate_feed_name],
        help_text="Exactly as senders give it. Set when the feed is made; later it may only be repeated.",
    )
    description = Text(required=False, allow_blank=True, help_text="Description of the data.")
    classification = Text(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="How confidential the data is, in the site's own words.",
    )
    owner = Text(required=False, allow_blank=True, max_length=200, help_text="Contact for this feed.")
    stream_type = Text(required=False, allow_blank=True, max_length=100, help_text="Stroom's type of stream.")
    encoding = Text(required=False, allow_blank=True, max_length=50, help_text="Encoding of the data.")
    context_encoding = Text(
        required=False, allow_blank=True, max_length=50, help_text="Encoding of the context data."
    )
    data_format = Text(
        required=False, allow_blank=True, max_length=50, help_text="Format of the data, such as XML."
    )
    schema = Text(required=False, allow_blank=True, max_length=100, help_text="Schema of the data.")
    schema_version = Text(required=False, allow_blank=True, max_length=50, help_text="Version of the schema.")
    reference = Flag(required=False, help_text="Whether it is reference data.")
    labels = serializers.ListField(
        child=Text(max_length=MAX_LABEL), required=False, max_length=MAX_LABELS, help_text="Words to find feeds by."
    )
    certificate_rules = RuleSerializer(
        many=True,
        required=False,
        max_length=MAX_RULES,
        help_text="Certificate rules; a list in a request replaces all existing rules.",
    )  # type: ignore[call-arg]  # of the list
    comment = Text(
        required=False,
        allow_blank=True,
        max_length=MAX_COMMENT,
        write_only=True,
        help_text="Reason for the change; kept with the history.",
    )

    etag = serializers.SerializerMethodField(
        help_text="The ETag of the feed, as If-Match takes it. In a write: 412 if it is not the current one."
    )

    class Meta:
        model = Feed
        fields = ["name", *WRITABLE[:5], "certificate_rules", *WRITABLE[5:], *GIVEN, "comment"]
        extra_kwargs = {
            "version": {
                "help_text": "Version, incremented by every change. In a write: 412 if it is not the current one."
            },
            "created": {"help_text": "Time of creation."},
            "updated": {"help_text": "Time of the last change."},
        }
        read_only_fields = GIVEN

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if isinstance(self.instance, Feed):
            faults = {name: reason for name in GIVEN if name in data and (reason := self._fault(name, data[name]))}
            if self.instance.name != values.get("name", self.instance.name):
                faults["name"] = f"This is the address of {self.instance.name}; a feed is not renamed here."
            if faults:
                raise serializers.ValidationError({name: [reason] for name, reason in faults.items()})
            _demand_current(self.instance, data)
        elif faults := {
            name: reason for name in _STATES if name in data and (reason := self._fault(name, data[name]))
        }:
            raise serializers.ValidationError({name: [reason] for name, reason in faults.items()})
        return values

    @cached_property
    def _shown(self) -> list[str]:
        return [name for name, field in self.fields.items() if not field.write_only]

    def to_representation(self, instance: Feed) -> dict[str, Any]:
        """The same as field by field, at a fifth of the time: a list has a hundred of these with their rules."""
        return {name: _shown_value(instance, name) for name in self._shown}

    def get_etag(self, feed: Feed) -> str:
        return etag_of(feed)

    def change(self) -> FeedChange:
        """Return the change that the validated body describes."""
        values = {name: value for name, value in self.validated_data.items() if name in WRITABLE}
        rules = self.validated_data.get("certificate_rules")
        return FeedChange(values, None if rules is None else [RuleValues(**rule) for rule in rules])

    def _fault(self, name: str, value: Any) -> str:
        """Return why a read-only key may not come so; values that an earlier answer gave are fine."""
        if name == "etag":
            return "" if isinstance(value, str) else "The ETag is text; leave it out or repeat what you were given."
        present = getattr(self.instance, name, None)
        if isinstance(present, datetime):
            given = _instant(value)
            fine = given is not None and (given == present if name == "created" else given <= present)
        else:
            fine = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return "" if fine else "This key cannot be set; leave it out or repeat what you were given."


def _shown_value(feed: Feed, name: str) -> Any:
    """Return a key of a feed's answer."""
    if name == "certificate_rules":
        return [rule_values(rule) for rule in feed.certificate_rules.all()]
    if name == "etag":
        return etag_of(feed)
    value = getattr(feed, name)
    return instant_text(value) if isinstance(value, datetime) else value


class NewFeedSerializer(FeedSerializer):
    """A feed that nothing but the body names."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["name"].required = True
        return fields


def _demand_current(feed: Feed, data: Any) -> None:
    """Refuse a change of a state that the caller has not seen.

    Raises:
        VersionConflict: naming the key that is not current.
    """
    current: dict[str, int | str] = {"version": feed.version, "etag": etag_of(feed)}
    for name, value in current.items():
        if name in data and data[name] != value:
            raise VersionConflict(name, value)


def _instant(value: Any) -> datetime | None:
    try:
        found: datetime = Instant().run_validation(value)
    except serializers.ValidationError:
        return None
    return found
