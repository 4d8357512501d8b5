"""The JSON of the catalogue, as interface section 4 has it; keys beyond it are additions."""

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from codes.catalogue.values import Severity, Standing, Verdict
from codes.lookup import FoundCode
from codes.models import CodeClass, Disagreement, Meaning, Registry, SourceEntry, StatusCode, Vendor
from portal.rest.views import ChosenFieldsMixin
from portal.site import public_link


class Shape(serializers.Serializer[Any]):
    """Serializer whose `keys` map attributes to JSON keys that Python or DRF reserves: `class`, `source`."""

    keys: ClassVar[Mapping[str, str]] = {}

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in self.keys:
            fields[name].source = fields[name].source or name
        return {self.keys.get(name, name): field for name, field in fields.items()}


class LinkField(serializers.Field[Any, Any, str, Any]):
    """The object's page."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, value: Any) -> str:
        return public_link(value.url if isinstance(value, FoundCode) else value.get_absolute_url())


PageLink = extend_schema_field(str)(LinkField)


class SpecSerializer(Shape):
    """A document that defines the code."""

    document = serializers.CharField(help_text="Short name of the document, as in RFC 9110.")
    section = serializers.CharField(help_text="Section of the document; empty for the whole document.")
    url = serializers.CharField(help_text="URL of the document.")
    current = serializers.BooleanField(help_text="Whether it is in force, and not replaced by another.")
    cited_by = serializers.ListField(child=serializers.CharField(), help_text="Slugs of the sources that cite it.")


class ReferenceSerializer(Shape):
    """A section of a document."""

    document = serializers.CharField(help_text="Short name of the document, as in RFC 9110.")
    section = serializers.CharField(help_text="Section of the document; empty for the whole document.")
    url = serializers.CharField(help_text="URL of the document.")


class FormerNameSerializer(Shape):
    """Name that a code had before."""

    name = serializers.CharField(help_text="The former name.")
    until = serializers.CharField(help_text="Until when, or in which document, it was called so.")


class AdviceSerializer(Shape):
    """Advice for each reader."""

    sender = serializers.CharField(help_text="For the sender of the request.")
    server = serializers.CharField(help_text="For the operator of the server that answered.")
    administrator = serializers.CharField(help_text="For the administrator of Stroom or of the network.")


RETRY_SOURCE = (
    "What the verdict is based on: `document`, `section` and `url`; or `source` and `lines`; or, where no source "
    "says it, `judgement`, the reason for our own verdict."
)


class RetrySerializer(Shape):
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


class HeaderUseSerializer(Shape):
    """A header that belongs to a code."""

    name = serializers.CharField(help_text="The header as it is usually written.")
    direction = serializers.CharField(help_text="Message that carries the header: `request` or `response`.")
    level = serializers.CharField(help_text="How binding it is: `must`, `should` or `may`.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")


class RelatedSerializer(Shape):
    """A code that is confused with this one, replaces it or follows it."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    kind = serializers.CharField(help_text="How they are related, such as `confused_with`.")
    when = serializers.CharField(help_text="Case in which the relation applies.")
    url = serializers.SerializerMethodField(help_text="Page in this portal.")

    def get_url(self, relation: dict[str, Any]) -> str:
        return public_link(f"/codes/{relation['registry']}/{relation['code']}/")


class MeaningSerializer(Shape):
    """What one owner means by the number."""

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


class ClaimSerializer(Shape):
    """One comparable statement of a source."""

    key = serializers.CharField(help_text="Subject of the claim, such as `retry`.")
    value = serializers.JSONField(help_text="Statement of the source.")
    level = serializers.CharField(help_text="How binding it is.")


class LinesField(serializers.ListField):
    """First and last line in the source's document, counted from 1; null where it has none."""

    child = serializers.IntegerField()


class EntrySerializer(Shape):
    """Statement of one source about the code."""

    owner = serializers.CharField(
        source="owner_id", help_text="Slug of the owner that gives the number this meaning."
    )
    name = serializers.CharField(help_text="The name as the source spells it.")
    lines = LinesField(
        allow_null=True,
        help_text="First and last line in the source's document, counted from 1; null where it has none.",
    )
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


class PositionSerializer(Shape):
    """Statement of one source in a disagreement."""

    lines = LinesField(
        allow_null=True,
        help_text="First and last line in the source's document, counted from 1; null where it has none.",
    )
    text = serializers.CharField(help_text="Statement of the source.")

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(help_text="Slug of the source."), **super().get_fields()}


class DisagreementSerializer(Shape):
    """Inside a code's answer."""

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
    """In the list of all: with the code, or the class, that it is about."""

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


class LocalNoteSerializer(Shape):
    """Note of this site about a code."""

    owner = serializers.CharField(
        source="meaning.owner_id", help_text="Slug of the owner whose meaning the note is about."
    )
    text = serializers.CharField(help_text="Markdown.")
    html = serializers.CharField(help_text="The same as HTML.")
    updated = serializers.DateTimeField(help_text="Time of the last change.")


class ConstantSerializer(Shape):
    """Name of the code in a programming language or library."""

    language = serializers.CharField(help_text="Programming language.")
    library = serializers.CharField(help_text="Library or module.")
    name = serializers.CharField(help_text="The constant as it is written in programs.")
    since = serializers.CharField(help_text="Version that brought it; empty if it was always there.")
    until = serializers.CharField(help_text="Last version that has it; empty if it is still there.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")


class ClassNameSerializer(Shape):
    """Key and name of a class."""

    key = serializers.CharField(source="slug", help_text="Name in URLs, such as `4xx`.")
    name = serializers.CharField(help_text="Name.")


class ReleaseRangeSerializer(Shape):
    """Releases of Stroom that send a code with one HTTP status and one message."""

    first = serializers.CharField(help_text="First release of Stroom, as in 7.2.")
    last = serializers.CharField(help_text="Last release; empty for the newest.")
    http_status = serializers.IntegerField(help_text="HTTP status that these releases send.")
    name = serializers.CharField(help_text="The message that these releases send.")


class CodeSerializer(ChosenFieldsMixin, Shape):
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
    local_notes = LocalNoteSerializer(many=True, help_text="Notes of this site.")
    url = PageLink(help_text="Page in this portal.")


class ListedCodeSerializer(ChosenFieldsMixin, Shape):
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
        """The same as field by field, at a fifth of the time: a list has a hundred of these."""
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


class SourceSerializer(ChosenFieldsMixin, Shape):
    slug = serializers.CharField(help_text="Name in URLs.")
    title = serializers.CharField(help_text="Title of the document.")
    kind = serializers.CharField(help_text="What sort of document it is.")
    date = serializers.CharField(help_text="When it was written or read.")
    document_url = serializers.CharField(source="url", help_text="Where the document is published, if we know.")
    licence = serializers.CharField(help_text="Under which terms it is published.")
    seed = serializers.CharField(
        help_text="Number of the document among those that the catalogue was begun with; empty for others."
    )
    checksum = serializers.CharField(help_text="SHA-256 of the document that was read.")
    rank = serializers.IntegerField(help_text="Its place among the sources, the smaller the earlier.")
    summary = serializers.CharField(help_text="In a sentence or two.")
    entry_count = serializers.IntegerField(help_text="How many codes it speaks of.")
    url = PageLink(help_text="Page in this portal.")


class SourceNoteSerializer(Shape):
    """Statement of a source about a class."""

    keys = {"class_key": "class"}
    registry = serializers.CharField(help_text="`http` or `stroom`.")
    class_key = serializers.CharField(source="key", help_text="Key of the class, by the first digit.")
    lines = LinesField(
        allow_null=True,
        help_text="First and last line in the source's document, counted from 1; null where it has none.",
    )
    summary = serializers.CharField(help_text="In a sentence or two.")


class SourceEntryOfSourceSerializer(EntrySerializer):
    """Entry of a source, listed with the source."""

    registry = serializers.CharField(source="status_code.registry_id", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(source="status_code.code", help_text="The number.")
    url = serializers.SerializerMethodField(help_text="Page in this portal.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        first = ("registry", "code", "owner")
        return {name: fields[name] for name in [*first, *(n for n in fields if n not in {*first, "source"})]}

    def get_url(self, entry: SourceEntry) -> str:
        return public_link(entry.status_code.get_absolute_url())


class SourceDetailSerializer(SourceSerializer):
    notes = SourceNoteSerializer(many=True, help_text="Statements about whole classes.")
    entries = SourceEntryOfSourceSerializer(
        many=True, help_text="Statement of each source, in the order of the sources."
    )


class ClassInRegistrySerializer(Shape):
    """A class of codes within its registry."""

    key = serializers.CharField(source="slug", help_text="Name in URLs, such as `4xx`.")
    name = serializers.CharField(help_text="Name.")
    first = serializers.IntegerField(help_text="The first number of the class.")
    last = serializers.IntegerField(help_text="The last number of the class.")
    fallback = serializers.IntegerField(
        allow_null=True,
        help_text="Number that stands for an unknown number of this class; null where none is defined.",
    )
    url = PageLink(help_text="Page in this portal.")


class RegistrySerializer(ChosenFieldsMixin, Shape):
    slug = serializers.CharField(help_text="Name in URLs.")
    name = serializers.CharField(help_text="Name.")
    found_in = serializers.CharField(help_text="Part of an answer that carries the number.")
    min = serializers.IntegerField(help_text="The smallest number there can be.")
    max = serializers.IntegerField(help_text="The largest number there can be.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")
    code_count = serializers.IntegerField(help_text="How many codes the catalogue has of it.")
    classes = ClassInRegistrySerializer(many=True, help_text="Its classes.")
    url = PageLink(help_text="Page in this portal.")

    class Meta:
        model = Registry


class ClassNoteSerializer(Shape):
    """Statement of a source about a whole class."""

    lines = LinesField(
        allow_null=True,
        help_text="First and last line in the source's document, counted from 1; null where it has none.",
    )
    summary = serializers.CharField(help_text="In a sentence or two.")

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(help_text="Slug of the source."), **super().get_fields()}


class ClassSerializer(ChosenFieldsMixin, Shape):
    """A class with its rules and its codes."""

    registry = serializers.CharField(source="registry_id", help_text="`http` or `stroom`.")
    key = serializers.CharField(source="slug", help_text="Name in URLs, such as `4xx`.")
    name = serializers.CharField(help_text="Its name, as in Client Error.")
    first = serializers.IntegerField(help_text="The first number of the class.")
    last = serializers.IntegerField(help_text="The last number of the class.")
    fallback = serializers.IntegerField(
        allow_null=True,
        help_text="Number that stands for an unknown number of this class; null where none is defined.",
    )
    summary = serializers.CharField(help_text="In a sentence or two.")
    client_rules = serializers.ListField(
        child=serializers.CharField(), help_text="What a client does with any number of the class."
    )
    specs = SpecSerializer(many=True, help_text="Documents that define it.")
    source_notes = ClassNoteSerializer(many=True, help_text="Statements of sources about the whole class.")
    codes = serializers.SerializerMethodField(help_text="Codes of the class.")
    url = PageLink(help_text="Page in this portal.")

    @extend_schema_field(ListedCodeSerializer(many=True))
    def get_codes(self, code_class: CodeClass) -> Any:
        return ListedCodeSerializer(code_class.codes.order_by("code"), many=True).data


class UseSerializer(Shape):
    """A meaning in short, in the lists of vendors and headers."""

    registry = serializers.CharField(source="status_code.registry_id", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(source="status_code.code", help_text="The number.")
    owner = serializers.CharField(
        source="owner_id", help_text="Slug of the owner that gives the number this meaning."
    )
    name = serializers.CharField(help_text="Name of the meaning.")
    url = PageLink(help_text="Page in this portal.")


class VendorSerializer(ChosenFieldsMixin, Shape):
    slug = serializers.CharField(help_text="Name in URLs.")
    name = serializers.CharField(help_text="Name.")
    products = serializers.ListField(child=serializers.CharField(), help_text="Products that answer so.")
    website = serializers.CharField(source="url", help_text="Address of the vendor.")
    codes = serializers.SerializerMethodField(help_text="The meanings that it uses.")
    url = PageLink(help_text="Page in this portal.")

    @extend_schema_field(UseSerializer(many=True))
    def get_codes(self, vendor: Vendor) -> Any:
        return UseSerializer(vendor.meanings.all(), many=True).data


class HeaderCodeSerializer(Shape):
    """A code that a header belongs to."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    owner = serializers.CharField(help_text="Slug of the owner that gives the number this meaning.")
    name = serializers.CharField(help_text="Name of the code's meaning.")
    direction = serializers.CharField(help_text="Message that carries the header: `request` or `response`.")
    level = serializers.CharField(help_text="How binding it is: `must`, `should` or `may`.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")
    url = serializers.CharField(help_text="Page in this portal.")


class HeaderSerializer(ChosenFieldsMixin, Shape):
    """A header field with the codes that it belongs to."""

    slug = serializers.CharField(help_text="Name in URLs.")
    name = serializers.CharField(help_text="The header as it is usually written.")
    codes = HeaderCodeSerializer(many=True, help_text="The codes that it belongs to.")
    url = serializers.CharField(help_text="Page in this portal.")


class ComparisonRowSerializer(Shape):
    """One property of the compared codes."""

    aspect = serializers.CharField(help_text="Compared property.")
    values = serializers.ListField(
        child=serializers.CharField(), help_text="One for each code, in the order asked for."
    )
    differs = serializers.BooleanField(help_text="Whether the codes differ.")


class ComparisonSerializer(ChosenFieldsMixin, Shape):
    """Codes side by side."""

    count = serializers.IntegerField(help_text="Number of codes.")
    next = serializers.CharField(allow_null=True, help_text="URL of the next page; null on the last page.")
    previous = serializers.CharField(allow_null=True, help_text="URL of the previous page; null on the first page.")
    results = CodeSerializer(many=True, help_text="The codes, in the order asked for.")
    rows = ComparisonRowSerializer(many=True, help_text="One for each aspect.")


class ReleaseChangesSerializer(Shape):
    """Differences from the previous load."""

    codes = serializers.ListField(
        child=serializers.CharField(), help_text="Codes with a new or changed meaning, as in http/404."
    )
    new_codes = serializers.ListField(child=serializers.CharField(), default=list, help_text="Codes that are new.")
    new_sources = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="Sources that are new."
    )
    disagreements = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="Disagreements that are new or changed."
    )


class ReleaseSerializer(ChosenFieldsMixin):
    """One load that changed something."""

    digest = serializers.CharField(help_text="Digest of what was loaded.")
    loaded_at = serializers.DateTimeField(help_text="Time.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Rows of each table.")
    changes = ReleaseChangesSerializer(help_text="What is new or different since the load before.")
