"""JSON of sources, registries, classes, vendors, headers and releases, as interface section 4 has it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from codes import snapshot
from codes.api.code_serializers import EntrySerializer, ListedCodeSerializer
from codes.api.parts import KeptMixin, LinesField, MappedSerializer, PageLink, SpecSerializer
from codes.models import CodeClass, Registry, SourceEntry, Vendor
from portal.rest.queries import ChosenFieldsMixin
from portal.site import public_link


class SourceSerializer(KeptMixin, ChosenFieldsMixin, MappedSerializer):
    """A document that the catalogue was made from."""

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


class SourceNoteSerializer(MappedSerializer):
    """Statement of a source about a class."""

    keys = {"class_key": "class"}
    registry = serializers.CharField(help_text="`http` or `stroom`.")
    class_key = serializers.CharField(source="key", help_text="Key of the class, by the first digit.")
    lines = LinesField()
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
    """A document with all that it says about codes and classes."""

    notes = SourceNoteSerializer(many=True, help_text="Statements about whole classes.")
    entries = SourceEntryOfSourceSerializer(
        many=True, help_text="Statement of each source, in the order of the sources."
    )


class ClassInRegistrySerializer(MappedSerializer):
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


class RegistrySerializer(KeptMixin, ChosenFieldsMixin, MappedSerializer):
    """A number space with its classes."""

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


class ClassNoteSerializer(MappedSerializer):
    """Statement of a source about a whole class."""

    lines = LinesField()
    summary = serializers.CharField(help_text="In a sentence or two.")

    def get_fields(self) -> dict[str, Any]:
        return {"source": serializers.CharField(help_text="Slug of the source."), **super().get_fields()}


class ClassSerializer(KeptMixin, ChosenFieldsMixin, MappedSerializer):
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
        return ListedCodeSerializer(snapshot.current().codes_of(code_class), many=True).data


class UseSerializer(MappedSerializer):
    """A meaning in short, in the lists of vendors and headers."""

    registry = serializers.CharField(source="status_code.registry_id", help_text="`http` or `stroom`.")
    code = serializers.IntegerField(source="status_code.code", help_text="The number.")
    owner = serializers.CharField(
        source="owner_id", help_text="Slug of the owner that gives the number this meaning."
    )
    name = serializers.CharField(help_text="Name of the meaning.")
    url = PageLink(help_text="Page in this portal.")


class VendorSerializer(KeptMixin, ChosenFieldsMixin, MappedSerializer):
    """A vendor with the meanings that it gives to codes."""

    slug = serializers.CharField(help_text="Name in URLs.")
    name = serializers.CharField(help_text="Name.")
    products = serializers.ListField(child=serializers.CharField(), help_text="Products that answer so.")
    website = serializers.CharField(source="url", help_text="Address of the vendor.")
    codes = serializers.SerializerMethodField(help_text="The meanings that it uses.")
    url = PageLink(help_text="Page in this portal.")

    @extend_schema_field(UseSerializer(many=True))
    def get_codes(self, vendor: Vendor) -> Any:
        return UseSerializer(vendor.meanings.all(), many=True).data


class HeaderCodeSerializer(MappedSerializer):
    """A code that a header belongs to."""

    registry = serializers.CharField(help_text="`http` or `stroom`.")
    code = serializers.IntegerField(help_text="The number.")
    owner = serializers.CharField(help_text="Slug of the owner that gives the number this meaning.")
    name = serializers.CharField(help_text="Name of the code's meaning.")
    direction = serializers.CharField(help_text="Message that carries the header: `request` or `response`.")
    level = serializers.CharField(help_text="How binding it is: `must`, `should` or `may`.")
    note = serializers.CharField(help_text="Further remarks; may be empty.")
    url = serializers.CharField(help_text="Page in this portal.")


class HeaderSerializer(KeptMixin, ChosenFieldsMixin, MappedSerializer):
    """A header field with the codes that it belongs to."""

    slug = serializers.CharField(help_text="Name in URLs.")
    name = serializers.CharField(help_text="The header as it is usually written.")
    codes = HeaderCodeSerializer(many=True, help_text="The codes that it belongs to.")
    url = serializers.CharField(help_text="Page in this portal.")


class ReleaseChangesSerializer(MappedSerializer):
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
