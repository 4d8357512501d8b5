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
    """`keys` gives fields a key that Python, or DRF, keeps for itself: `class`, `source`."""

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
    document = serializers.CharField()
    section = serializers.CharField()
    url = serializers.CharField()
    current = serializers.BooleanField()
    cited_by = serializers.ListField(child=serializers.CharField(), help_text="Slugs of the sources that cite it.")


class ReferenceSerializer(Shape):
    document = serializers.CharField()
    section = serializers.CharField()
    url = serializers.CharField()


class FormerNameSerializer(Shape):
    name = serializers.CharField()
    until = serializers.CharField()


class AdviceSerializer(Shape):
    sender = serializers.CharField()
    server = serializers.CharField()
    administrator = serializers.CharField()


class RetrySerializer(Shape):
    verdict = serializers.ChoiceField(choices=list(Verdict))
    same_request = serializers.BooleanField()
    honours_retry_after = serializers.BooleanField()
    idempotent_only = serializers.BooleanField()
    needs_person = serializers.CharField()
    backoff = serializers.CharField()
    note = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "source": serializers.DictField(help_text="What the advice rests on.")}


class HeaderUseSerializer(Shape):
    name = serializers.CharField()
    direction = serializers.CharField()
    level = serializers.CharField()
    note = serializers.CharField()


class RelatedSerializer(Shape):
    registry = serializers.CharField()
    code = serializers.IntegerField()
    kind = serializers.CharField()
    when = serializers.CharField()
    url = serializers.SerializerMethodField()

    def get_url(self, relation: dict[str, Any]) -> str:
        return public_link(f"/codes/{relation['registry']}/{relation['code']}/")


class MeaningSerializer(Shape):
    owner = serializers.CharField(source="owner_id")
    name = serializers.CharField()
    former_names = FormerNameSerializer(many=True)
    vendors = serializers.SerializerMethodField()
    summary = serializers.CharField()
    detail = serializers.CharField()
    what_to_do = AdviceSerializer()
    retry = RetrySerializer()
    carried = serializers.CharField()
    cacheability = serializers.CharField()
    body = serializers.CharField()
    methods = serializers.CharField()
    headers = HeaderUseSerializer(many=True)
    specs = SpecSerializer(many=True)
    related = RelatedSerializer(many=True)
    url = PageLink()

    def get_vendors(self, meaning: Meaning) -> list[str]:
        return [vendor.slug for vendor in meaning.vendors.all()]


class ClaimSerializer(Shape):
    key = serializers.CharField()
    value = serializers.JSONField()
    level = serializers.CharField()


class LinesField(serializers.ListField):
    """First and last line in the source's document, counted from 1; null where it has none."""

    child = serializers.IntegerField()


class EntrySerializer(Shape):
    owner = serializers.CharField(source="owner_id")
    name = serializers.CharField()
    lines = LinesField(allow_null=True)
    summary = serializers.CharField()
    claims = ClaimSerializer(many=True)
    rfcs = serializers.SerializerMethodField()
    local_note = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(source="source_id"), **super().get_fields()}

    @extend_schema_field(ReferenceSerializer(many=True))
    def get_rfcs(self, entry: SourceEntry) -> list[dict[str, str]]:
        return [{key: cited[key] for key in ("document", "section", "url")} for cited in entry.rfcs]

    def get_local_note(self, entry: SourceEntry) -> str | None:
        return entry.local_note or None


class PositionSerializer(Shape):
    lines = LinesField(allow_null=True)
    text = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(), **super().get_fields()}


class DisagreementSerializer(Shape):
    """Inside a code's answer."""

    aspect = serializers.CharField()
    severity = serializers.ChoiceField(choices=list(Severity))
    positions = PositionSerializer(many=True)
    standard = serializers.CharField()
    standard_reference = ReferenceSerializer(allow_null=True)
    advice = serializers.CharField()
    owner = serializers.CharField()
    authored = serializers.BooleanField()


class ListedDisagreementSerializer(ChosenFieldsMixin, DisagreementSerializer):
    """In the list of all: with the code, or the class, that it is about."""

    keys = {"class_key": "class"}
    registry = serializers.CharField(source="registry_id")
    code = serializers.IntegerField(source="status_code.code", default=None, allow_null=True)
    class_key = serializers.SerializerMethodField("get_class_key")
    url = PageLink()

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        first = [name for name in ("registry", "code", "class") if name in fields]
        return {name: fields[name] for name in [*first, *(name for name in fields if name not in first)]}

    def get_class_key(self, disagreement: Disagreement) -> str | None:
        return disagreement.class_key or None


class LocalNoteSerializer(Shape):
    owner = serializers.CharField(source="meaning.owner_id")
    text = serializers.CharField(help_text="Markdown.")
    html = serializers.CharField(help_text="The same as HTML.")
    updated = serializers.DateTimeField()


class ConstantSerializer(Shape):
    language = serializers.CharField()
    library = serializers.CharField()
    name = serializers.CharField()
    since = serializers.CharField()
    until = serializers.CharField()
    note = serializers.CharField()


class ClassNameSerializer(Shape):
    key = serializers.CharField(source="slug")
    name = serializers.CharField()


class CodeSerializer(ChosenFieldsMixin, Shape):
    """One number, known or not. `meanings` and `entries` are always lists."""

    keys = {"code_class": "class"}
    registry = serializers.CharField(source="registry.slug")
    code = serializers.IntegerField()
    known = serializers.BooleanField()
    valid = serializers.BooleanField()
    treat_as = serializers.IntegerField(allow_null=True)
    name = serializers.CharField()
    code_class = ClassNameSerializer(allow_null=True)
    standing = serializers.ChoiceField(choices=[*Standing, "unassigned", "invalid"])
    registered = serializers.CharField(source="row.registered", default="")
    expires = serializers.CharField(source="row.expires", default="")
    standing_note = serializers.CharField(source="row.note", default="")
    http_statuses = serializers.ListField(child=serializers.IntegerField())
    delivery = serializers.CharField(
        help_text="What an HTTP status by itself says about a delivery to Stroom; empty for Stroom's own codes."
    )
    meanings = MeaningSerializer(many=True)
    entries = EntrySerializer(many=True)
    disagreements = DisagreementSerializer(many=True)
    constants = ConstantSerializer(many=True)
    local_notes = LocalNoteSerializer(many=True)
    url = PageLink()


class ListedCodeSerializer(ChosenFieldsMixin, Shape):
    keys = {"code_class": "class"}
    registry = serializers.CharField(source="registry_id")
    code = serializers.IntegerField()
    name = serializers.CharField()
    owners = serializers.ListField(child=serializers.CharField())
    code_class = serializers.SerializerMethodField("get_code_class")
    standing = serializers.ChoiceField(choices=list(Standing))
    retry = serializers.ChoiceField(choices=list(Verdict))
    url = PageLink()

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
    slug = serializers.CharField()
    title = serializers.CharField()
    kind = serializers.CharField()
    date = serializers.CharField()
    document_url = serializers.CharField(source="url", help_text="Where the document is published, if we know.")
    licence = serializers.CharField()
    seed = serializers.CharField()
    checksum = serializers.CharField()
    rank = serializers.IntegerField()
    summary = serializers.CharField()
    entry_count = serializers.IntegerField()
    url = PageLink()


class SourceNoteSerializer(Shape):
    keys = {"class_key": "class"}
    registry = serializers.CharField()
    class_key = serializers.CharField(source="key")
    lines = LinesField(allow_null=True)
    summary = serializers.CharField()


class SourceEntryOfSourceSerializer(EntrySerializer):
    registry = serializers.CharField(source="status_code.registry_id")
    code = serializers.IntegerField(source="status_code.code")
    url = serializers.SerializerMethodField()

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        first = ("registry", "code", "owner")
        return {name: fields[name] for name in [*first, *(n for n in fields if n not in {*first, "source"})]}

    def get_url(self, entry: SourceEntry) -> str:
        return public_link(entry.status_code.get_absolute_url())


class SourceDetailSerializer(SourceSerializer):
    notes = SourceNoteSerializer(many=True)
    entries = SourceEntryOfSourceSerializer(many=True)


class ClassInRegistrySerializer(Shape):
    key = serializers.CharField(source="slug")
    name = serializers.CharField()
    first = serializers.IntegerField()
    last = serializers.IntegerField()
    fallback = serializers.IntegerField(allow_null=True)
    url = PageLink()


class RegistrySerializer(ChosenFieldsMixin, Shape):
    slug = serializers.CharField()
    name = serializers.CharField()
    found_in = serializers.CharField()
    min = serializers.IntegerField()
    max = serializers.IntegerField()
    note = serializers.CharField()
    code_count = serializers.IntegerField()
    classes = ClassInRegistrySerializer(many=True)
    url = PageLink()

    class Meta:
        model = Registry


class ClassNoteSerializer(Shape):
    lines = LinesField(allow_null=True)
    summary = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(), **super().get_fields()}


class ClassSerializer(ChosenFieldsMixin, Shape):
    """A class with its rules and its codes."""

    registry = serializers.CharField(source="registry_id")
    key = serializers.CharField(source="slug")
    name = serializers.CharField()
    first = serializers.IntegerField()
    last = serializers.IntegerField()
    fallback = serializers.IntegerField(allow_null=True)
    summary = serializers.CharField()
    client_rules = serializers.ListField(child=serializers.CharField())
    specs = SpecSerializer(many=True)
    source_notes = ClassNoteSerializer(many=True)
    codes = serializers.SerializerMethodField()
    url = PageLink()

    @extend_schema_field(ListedCodeSerializer(many=True))
    def get_codes(self, code_class: CodeClass) -> Any:
        return ListedCodeSerializer(code_class.codes.order_by("code"), many=True).data


class UseSerializer(Shape):
    """A meaning in short, in the lists of vendors and headers."""

    registry = serializers.CharField(source="status_code.registry_id")
    code = serializers.IntegerField(source="status_code.code")
    owner = serializers.CharField(source="owner_id")
    name = serializers.CharField()
    url = PageLink()


class VendorSerializer(ChosenFieldsMixin, Shape):
    slug = serializers.CharField()
    name = serializers.CharField()
    products = serializers.ListField(child=serializers.CharField())
    website = serializers.CharField(source="url")
    codes = serializers.SerializerMethodField()
    url = PageLink()

    @extend_schema_field(UseSerializer(many=True))
    def get_codes(self, vendor: Vendor) -> Any:
        return UseSerializer(vendor.meanings.all(), many=True).data


class HeaderCodeSerializer(Shape):
    registry = serializers.CharField()
    code = serializers.IntegerField()
    owner = serializers.CharField()
    name = serializers.CharField()
    direction = serializers.CharField()
    level = serializers.CharField()
    note = serializers.CharField()
    url = serializers.CharField()


class HeaderSerializer(ChosenFieldsMixin, Shape):
    """A header field with the codes that it belongs to."""

    slug = serializers.CharField()
    name = serializers.CharField()
    codes = HeaderCodeSerializer(many=True)
    url = serializers.CharField()


class ComparisonRowSerializer(Shape):
    aspect = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())
    differs = serializers.BooleanField()


class ComparisonSerializer(ChosenFieldsMixin, Shape):
    """Codes side by side."""

    count = serializers.IntegerField()
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = CodeSerializer(many=True)
    rows = ComparisonRowSerializer(many=True)


class ReleaseChangesSerializer(Shape):
    codes = serializers.ListField(
        child=serializers.CharField(), help_text="Codes with a new or changed meaning, as in http/404."
    )
    new_codes = serializers.ListField(child=serializers.CharField(), default=list)
    new_sources = serializers.ListField(child=serializers.CharField(), default=list)
    disagreements = serializers.ListField(
        child=serializers.CharField(), default=list, help_text="Disagreements that are new or changed."
    )


class ReleaseSerializer(ChosenFieldsMixin):
    """One load that changed something."""

    digest = serializers.CharField()
    loaded_at = serializers.DateTimeField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Rows of each table.")
    changes = ReleaseChangesSerializer()
