"""Parts of the catalogue's JSON that several answers share."""

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from codes.catalogue.values import Verdict
from codes.lookup import FoundCode
from portal.site import public_link


class MappedSerializer(serializers.Serializer[Any]):
    """Serializer whose `keys` map attributes to JSON keys that Python or DRF reserves: `class`, `source`."""

    keys: ClassVar[Mapping[str, str]] = {}

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in self.keys:
            fields[name].source = fields[name].source or name
        return {self.keys.get(name, name): field for name, field in fields.items()}


class KeptMixin(serializers.Serializer[Any]):
    """Representation that is made once for each row of a snapshot, and kept with the row, which never changes.

    It must not depend on anything but the row and the public address.
    """

    def to_representation(self, instance: Any) -> dict[str, Any]:
        kept: dict[Any, dict[str, Any]] = vars(instance).setdefault("_represented", {})
        key = (type(self), public_link(""))
        if key not in kept:
            whole = type(self)() if "chosen_fields" in self.context else self
            kept[key] = whole._represent(instance)
        return {str(name): kept[key][str(name)] for name in self.fields}

    def _represent(self, instance: Any) -> dict[str, Any]:
        return dict(super().to_representation(instance))


class LinkField(serializers.Field[Any, Any, str, Any]):
    """The object's page."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, value: Any) -> str:
        return public_link(value.url if isinstance(value, FoundCode) else value.get_absolute_url())


PageLink = extend_schema_field(str)(LinkField)


RETRY_SOURCE = (
    "What the verdict is based on: `document`, `section` and `url`; or `source` and `lines`; or, where no source "
    "says it, `judgement`, the reason for our own verdict."
)


class SpecSerializer(MappedSerializer):
    """A document that defines the code."""

    document = serializers.CharField(help_text="Short name of the document, as in RFC 9110.")
    section = serializers.CharField(help_text="Section of the document; empty for the whole document.")
    url = serializers.CharField(help_text="URL of the document.")
    current = serializers.BooleanField(help_text="Whether it is in force, and not replaced by another.")
    cited_by = serializers.ListField(child=serializers.CharField(), help_text="Slugs of the sources that cite it.")


class ReferenceSerializer(MappedSerializer):
    """A section of a document."""

    document = serializers.CharField(help_text="Short name of the document, as in RFC 9110.")
    section = serializers.CharField(help_text="Section of the document; empty for the whole document.")
    url = serializers.CharField(help_text="URL of the document.")


class FormerNameSerializer(MappedSerializer):
    """Name that a code had before."""

    name = serializers.CharField(help_text="The former name.")
    until = serializers.CharField(help_text="Until when, or in which document, it was called so.")


class AdviceSerializer(MappedSerializer):
    """Advice for each reader."""

    sender = serializers.CharField(help_text="For the sender of the request.")
    server = serializers.CharField(help_text="For the operator of the server that answered.")
    administrator = serializers.CharField(help_text="For the administrator of Stroom or of the network.")


class RetrySerializer(MappedSerializer):
    """Whether and how to send the request again."""

    verdict = serializers.ChoiceField(choices=list(Verdict), help_text="Whether to send again.")
    same_request = serializers.BooleanField(help_text="Whether the same request can work later, unchanged.")
    honours_retry_after = serializers.BooleanField(help_text="Whether to wait for as long as Retry-After says.")
    idempotent_only = serializers.BooleanField(help_text="Whether only requests that may be repeated safely.")
    needs_person = serializers.CharField(help_text="Role that has to act first; empty for none.")
    backoff = serializers.CharField(help_text="How long to wait between attempts.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "source": serializers.DictField(help_text=RETRY_SOURCE)}


class HeaderUseSerializer(MappedSerializer):
    """A header that belongs to a code."""

    name = serializers.CharField(help_text="The header as it is usually written.")
    direction = serializers.CharField(help_text="Message that carries the header: `request` or `response`.")
    level = serializers.CharField(help_text="How binding it is: `must`, `should` or `may`.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")


class RelatedSerializer(MappedSerializer):
    """A code that is confused with this one, replaces it or follows it."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    kind = serializers.CharField(help_text="How they are related, such as `confused_with`.")
    when = serializers.CharField(help_text="Case in which the relation applies.")
    url = serializers.SerializerMethodField(help_text="Page in this portal.")

    def get_url(self, relation: dict[str, Any]) -> str:
        return public_link(f"/codes/{relation['registry']}/{relation['code']}/")


class ClaimSerializer(MappedSerializer):
    """One comparable statement of a source."""

    key = serializers.CharField(help_text="Subject of the claim, such as `retry`.")
    value = serializers.JSONField(help_text="Statement of the source.")
    level = serializers.CharField(help_text="How binding it is.")


class LinesField(serializers.ListField):
    """First and last line in the source's document, counted from 1; null where it has none."""

    child = serializers.IntegerField()

    def __init__(self) -> None:
        super().__init__(
            allow_null=True,
            help_text="First and last line in the source's document, counted from 1; null where it has none.",
        )


class PositionSerializer(MappedSerializer):
    """Statement of one source in a disagreement."""

    lines = LinesField()
    text = serializers.CharField(help_text="Statement of the source.")

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(help_text="Slug of the source."), **super().get_fields()}


class LocalNoteSerializer(MappedSerializer):
    """Note of this site about a code."""

    owner = serializers.CharField(
        source="meaning.owner_id", help_text="Slug of the owner whose meaning the note is about."
    )
    text = serializers.CharField(help_text="Markdown.")
    html = serializers.CharField(help_text="The same as HTML.")
    updated = serializers.DateTimeField(help_text="Time of the last change.")


class ConstantSerializer(MappedSerializer):
    """Name of the code in a programming language or library."""

    language = serializers.CharField(help_text="Programming language.")
    library = serializers.CharField(help_text="Library or module.")
    name = serializers.CharField(help_text="The constant as it is written in programs.")
    since = serializers.CharField(help_text="Version that brought it; empty if it was always there.")
    until = serializers.CharField(help_text="Last version that has it; empty if it is still there.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")


class ShownSerializer(MappedSerializer):
    """Words that a client shows in place of a status."""

    client = serializers.CharField(help_text="Program or library.")
    text = serializers.CharField(help_text="What it shows; an ellipsis stands for numbers that differ.")


class CitedSerializer(MappedSerializer):
    """Document that a note rests on."""

    document = serializers.CharField(help_text="As in RFC 9114.")
    section = serializers.CharField(help_text="Section; may be empty.")
    url = serializers.CharField(help_text="Address of it; may be empty.")


class OverHttp3Serializer(MappedSerializer):
    """Difference that HTTP/3 and QUIC make to a status."""

    text = serializers.CharField(help_text="What happens.")
    shown = ShownSerializer(many=True, help_text="What clients show instead of the status.")
    sources = CitedSerializer(many=True, help_text="Documents that say so.")


class ClassNameSerializer(MappedSerializer):
    """Key and name of a class."""

    key = serializers.CharField(source="slug", help_text="Name in URLs, such as `4xx`.")
    name = serializers.CharField(help_text="Name.")


class ReleaseRangeSerializer(MappedSerializer):
    """Releases of Stroom that send a code with one HTTP status and one message."""

    first = serializers.CharField(help_text="First release of Stroom, as in 7.2.")
    last = serializers.CharField(help_text="Last release; empty for the newest.")
    http_status = serializers.IntegerField(help_text="HTTP status that these releases send.")
    name = serializers.CharField(help_text="The message that these releases send.")
