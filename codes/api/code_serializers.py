"""JSON of codes, as interface section 4 has it; keys beyond it are additions."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from codes.api.parts import (
    AdviceSerializer,
    ClaimSerializer,
    ClassNameSerializer,
    ConstantSerializer,
    FormerNameSerializer,
    HeaderUseSerializer,
    KeptMixin,
    LinesField,
    LocalNoteSerializer,
    MappedSerializer,
    OverHttp3Serializer,
    PageLink,
    PositionSerializer,
    ReferenceSerializer,
    RelatedSerializer,
    ReleaseRangeSerializer,
    RetrySerializer,
    SpecSerializer,
)
from codes.catalogue.values import Severity, Standing, Verdict
from codes.models import Disagreement, Meaning, SourceEntry, StatusCode
from portal.rest.queries import ChosenFieldsMixin
from portal.site import public_link


class MeaningSerializer(MappedSerializer):
    """The meaning that one owner gives to the number."""

    owner = serializers.CharField(
        source="owner_id", help_text="Slug of the owner that gives the number this meaning."
    )
    name = serializers.CharField(help_text="Name.")
    former_names = FormerNameSerializer(many=True, help_text="Former names.")
    vendors = serializers.SerializerMethodField(help_text="Slugs of the vendors that use it so.")
    summary = serializers.CharField(help_text="In a sentence or two.")
    detail = serializers.CharField(help_text="More than the summary, where there is more to say.")
    what_to_do = AdviceSerializer(help_text="Advice for each reader.")
    retry = RetrySerializer(help_text="Whether and how to send again.")
    carried = serializers.CharField(help_text="Content of an answer with this code.")
    cacheability = serializers.CharField(help_text="Whether it may be cached: `heuristic`, `explicit` or `never`.")
    body = serializers.CharField(help_text="Whether it may have a body.")
    methods = serializers.CharField(help_text="The request methods that it answers; empty for all.")
    headers = HeaderUseSerializer(many=True, help_text="Headers that belong to it.")
    specs = SpecSerializer(many=True, help_text="Documents that define it.")
    related = RelatedSerializer(
        many=True, help_text="Codes that it is confused with, that replace it or that follow it."
    )
    url = PageLink(help_text="Page in this portal.")

    def get_vendors(self, meaning: Meaning) -> list[str]:
        return [vendor.slug for vendor in meaning.vendors.all()]


class EntrySerializer(KeptMixin, MappedSerializer):
    """Statement of one source about the code."""

    owner = serializers.CharField(
        source="owner_id", help_text="Slug of the owner that gives the number this meaning."
    )
    name = serializers.CharField(help_text="The name as the source spells it.")
    lines = LinesField()
    summary = serializers.CharField(help_text="In a sentence or two.")
    claims = ClaimSerializer(many=True, help_text="Statements of the source in comparable form.")
    rfcs = serializers.SerializerMethodField(help_text="Documents that the source cites here.")
    local_note = serializers.SerializerMethodField(help_text="Note of this site; null without one.")

    def get_fields(self) -> dict[str, Any]:
        return {
            "source": serializers.CharField(source="source_id", help_text="Slug of the source."),
            **super().get_fields(),
        }

    @extend_schema_field(ReferenceSerializer(many=True))
    def get_rfcs(self, entry: SourceEntry) -> list[dict[str, str]]:
        return [{key: cited[key] for key in ("document", "section", "url")} for cited in entry.rfcs]

    def get_local_note(self, entry: SourceEntry) -> str | None:
        return entry.local_note or None


class DisagreementSerializer(KeptMixin, MappedSerializer):
    """A disagreement between sources about a code."""

    aspect = serializers.CharField(help_text="Property in which they differ, such as `retry` or `name`.")
    severity = serializers.ChoiceField(choices=list(Severity), help_text="Severity of the disagreement.")
    positions = PositionSerializer(many=True, help_text="Statements of the sources that differ; at least two.")
    standard = serializers.CharField(help_text="What the standard says.")
    standard_reference = ReferenceSerializer(allow_null=True, help_text="Section of the standard.")
    advice = serializers.CharField(help_text="Recommended action.")
    owner = serializers.CharField(
        help_text="Slug of the owner whose meaning it is about; empty for the whole number."
    )
    authored = serializers.BooleanField(
        help_text="Whether the text was written by a person; otherwise it is computed."
    )


class ListedDisagreementSerializer(ChosenFieldsMixin, DisagreementSerializer):
    """A disagreement with the code, or the class, that it is about."""

    keys = {"class_key": "class"}
    registry = serializers.CharField(source="registry_id", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(
        source="status_code.code",
        default=None,
        allow_null=True,
        help_text="The number; null where it is about a class.",
    )
    class_key = serializers.SerializerMethodField(
        "get_class_key", help_text="Key of the class that it is about; null where it is about a number."
    )
    url = PageLink(help_text="Page in this portal.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        first = [name for name in ("registry", "code", "class") if name in fields]
        return {name: fields[name] for name in [*first, *(name for name in fields if name not in first)]}

    def get_class_key(self, disagreement: Disagreement) -> str | None:
        return disagreement.class_key or None


class CodeSerializer(ChosenFieldsMixin, MappedSerializer):
    """One number, known or not. `meanings` and `entries` are always lists."""

    keys = {"code_class": "class"}
    registry = serializers.CharField(source="registry.slug", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    known = serializers.BooleanField(help_text="Whether the catalogue knows the number.")
    valid = serializers.BooleanField(help_text="Whether the number is within the range of the registry.")
    treat_as = serializers.IntegerField(
        allow_null=True, help_text="Number as which a client treats an unknown one; null where none is defined."
    )
    name = serializers.CharField(help_text="Name of its first meaning; empty for a number without one.")
    code_class = ClassNameSerializer(
        allow_null=True, help_text="Class by the first digit; null for a Stroom-Status without a class."
    )
    standing = serializers.ChoiceField(
        choices=[*Standing, "unassigned", "invalid"], help_text="How official the number is."
    )
    registered = serializers.CharField(
        source="row.registered", default="", help_text="When IANA registered it; empty where it did not."
    )
    expires = serializers.CharField(
        source="row.expires", default="", help_text="When a temporary registration ends; empty otherwise."
    )
    standing_note = serializers.CharField(source="row.note", default="", help_text="Remark on the standing.")
    http_statuses = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="For a Stroom-Status, the HTTP statuses it is sent with, the documented one first.",
    )
    releases = ReleaseRangeSerializer(
        many=True, help_text="Releases of Stroom that send the code; empty for HTTP statuses."
    )
    delivery = serializers.CharField(
        help_text="What an HTTP status by itself says about a delivery to Stroom; empty for Stroom's own codes."
    )
    meanings = MeaningSerializer(many=True, help_text="One for each owner; the registered one first.")
    entries = EntrySerializer(many=True, help_text="Statement of each source, in the order of the sources.")
    disagreements = DisagreementSerializer(many=True, help_text="Disagreements between sources.")
    constants = ConstantSerializer(many=True, help_text="Constants in programming languages.")
    http3 = OverHttp3Serializer(many=True, help_text="What HTTP/3 and QUIC change; at most one note.")
    local_notes = LocalNoteSerializer(many=True, help_text="Notes of this site.")
    url = PageLink(help_text="Page in this portal.")


class ListedCodeSerializer(ChosenFieldsMixin, MappedSerializer):
    """One code in a list."""

    keys = {"code_class": "class"}
    registry = serializers.CharField(source="registry_id", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    name = serializers.CharField(help_text="Name of its first meaning.")
    owners = serializers.ListField(child=serializers.CharField(), help_text="Slugs of all who give it a meaning.")
    code_class = serializers.SerializerMethodField(
        "get_code_class", help_text="Key of the class, by the first digit."
    )
    standing = serializers.ChoiceField(choices=list(Standing), help_text="How official the number is.")
    retry = serializers.ChoiceField(choices=list(Verdict), help_text="Verdict of its first meaning.")
    url = PageLink(help_text="Page in this portal.")

    def get_code_class(self, row: StatusCode) -> str:
        return row.code_class_id.partition("/")[2]

    def to_representation(self, row: StatusCode) -> dict[str, Any]:
        """Build the same as DRF does field by field, in a fifth of the time: a list has a hundred of these."""
        item = {
            "registry": row.registry_id,
            "code": row.code,
            "name": row.name,
            "owners": row.owners,
            "class": self.get_code_class(row),
            "standing": row.standing,
            "retry": row.retry,
            "url": public_link(row.get_absolute_url()),
        }
        return {name: value for name, value in item.items() if name in self.fields}


class ComparisonRowSerializer(MappedSerializer):
    """One property of the compared codes."""

    aspect = serializers.CharField(help_text="Compared property.")
    values = serializers.ListField(
        child=serializers.CharField(), help_text="One for each code, in the order asked for."
    )
    differs = serializers.BooleanField(help_text="Whether the codes differ.")


class ComparisonSerializer(ChosenFieldsMixin, MappedSerializer):
    """Codes side by side."""

    count = serializers.IntegerField(help_text="Number of codes.")
    next = serializers.CharField(allow_null=True, help_text="URL of the next page; null on the last page.")
    previous = serializers.CharField(allow_null=True, help_text="URL of the previous page; null on the first page.")
    results = CodeSerializer(many=True, help_text="The codes, in the order asked for.")
    rows = ComparisonRowSerializer(many=True, help_text="One for each aspect.")
