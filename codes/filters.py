"""Filters of codes and disagreements, the same for the pages and for the API."""

from collections.abc import Callable, Iterable
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet

from codes import snapshot
from codes.catalogue.values import HTTP, LAST_THREE_DIGITS, STROOM, Severity, Standing, Verdict
from codes.models import Disagreement, StatusCode
from codes.queries import read_numbers
from codes.search.index import matching
from portal.rest.queries import FlagFilter, WholeNumberFilter


def words(*values: str) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def one_of(*values: str, **kwargs: Any) -> Any:
    """Filter with a fixed choice, whose refusal names the choices."""
    refusal = {"invalid_choice": f"must be one of {', '.join(values)}, not '%(value)s'"}
    return django_filters.ChoiceFilter(choices=words(*values), error_messages=refusal, **kwargs)


def number_filter(**kwargs: Any) -> WholeNumberFilter:
    """Filter of a number that either registry can have."""
    refusal = f"must be a whole number from 0 to {LAST_THREE_DIGITS}"
    refusals = dict.fromkeys(("invalid", "min_value", "max_value"), refusal)
    return WholeNumberFilter(min_value=0, max_value=LAST_THREE_DIGITS, error_messages=refusals, **kwargs)


class ReferenceField(forms.CharField):
    """Filter of a slug that must exist in the catalogue, so that a misspelt one is refused."""

    def __init__(self, *, known: Callable[[], Iterable[str]], **kwargs: Any) -> None:
        self._known = known
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        slug = super().clean(value)
        if slug and slug not in (known := list(dict.fromkeys(self._known()))):
            raise ValidationError(f"must be one of {', '.join(known)}, not {slug[:40]!r}")
        return slug


class ReferenceFilter(django_filters.CharFilter):  # type: ignore[misc]  # untyped
    field_class = ReferenceField


class NumbersField(forms.CharField):
    """Field of numbers separated by commas."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return read_numbers(text) if text else []
        except ValueError as fault:
            raise ValidationError(str(fault)) from fault


class NumbersFilter(django_filters.CharFilter):  # type: ignore[misc]  # untyped
    field_class = NumbersField

    def filter(self, queryset: QuerySet[Any], value: list[int]) -> QuerySet[Any]:
        return queryset.filter(code__in=value) if value else queryset


class CatalogueFilterSet(django_filters.FilterSet):  # type: ignore[misc]  # untyped
    """Filters whose form is the same for each request, so that its class is made once."""

    _form_class: Any = None

    def get_form_class(self) -> Any:
        own = type(self)
        if own._form_class is None:
            own._form_class = super().get_form_class()
        return own._form_class


class CodeFilterSet(CatalogueFilterSet):
    """All filters of the list of codes."""

    registry = one_of(HTTP, STROOM, help_text="The number space.")
    code_class = ReferenceFilter(
        known=lambda: sorted(row.slug for row in snapshot.current().classes.values()),
        field_name="code_class__slug",
        label="The first digit, as in 4xx",
    )
    owner = ReferenceFilter(
        known=lambda: dict(snapshot.current().owners),
        field_name="meanings__owner",
        distinct=True,
        help_text="Codes to which this owner gives a meaning.",
    )
    vendor = ReferenceFilter(
        known=lambda: snapshot.current().vendors,
        field_name="meanings__vendors",
        distinct=True,
        help_text="Slug of a vendor.",
    )
    standing = one_of(*Standing, help_text="Codes of this standing.")
    retry = one_of(*Verdict, help_text="Codes with this verdict.")
    cacheable = one_of(
        "heuristic",
        "explicit",
        "never",
        field_name="meanings__cacheability",
        distinct=True,
        help_text="Codes with a meaning of this cacheability.",
    )
    source = ReferenceFilter(
        known=lambda: snapshot.current().sources,
        field_name="entries__source",
        distinct=True,
        help_text="Slug of a source.",
    )
    disagrees = FlagFilter(method="filter_disagrees", label="Sources differ in more than listing the code")
    header = django_filters.CharFilter(method="filter_header", max_length=80, label="A header field, in any case")
    code = number_filter(help_text="Codes with this number.")
    code__in = NumbersFilter(label="Numbers separated by commas", max_length=400)
    q = django_filters.CharFilter(
        method="filter_q",
        max_length=200,
        label="A number, a name old or new, a phrase, a header, an owner; the one meant first",
    )

    class Meta:
        model = StatusCode
        fields: list[str] = []

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """`class` is a word of Python, so that the attribute needs another name than the parameter."""
        filters = super().get_filters()
        return {("class" if name == "code_class" else name): item for name, item in filters.items()}

    def filter_disagrees(self, queryset: Any, _name: str, value: str) -> QuerySet[StatusCode]:
        differing = Exists(Disagreement.objects.about_content().filter(status_code=OuterRef("pk")))
        found: QuerySet[StatusCode] = queryset.filter(differing if value == "true" else ~differing)
        return found

    def filter_header(self, queryset: QuerySet[StatusCode], _name: str, value: str) -> QuerySet[StatusCode]:
        return queryset.filter(meanings__headers__slug=value.lower()).distinct()

    def filter_q(self, queryset: Any, _name: str, value: str) -> QuerySet[StatusCode]:
        return matching(queryset, value)


class DisagreementFilterSet(CatalogueFilterSet):
    """All filters of the list of disagreements."""

    registry = one_of(HTTP, STROOM, help_text="The number space.")
    code = number_filter(field_name="status_code__code", help_text="The number.")
    aspect = ReferenceFilter(
        known=lambda: snapshot.current().aspects,
        field_name="aspect",
        help_text="Property in which the sources differ.",
    )
    severity = one_of(*Severity, help_text="Severity of the disagreement.")
    source = ReferenceFilter(
        known=lambda: snapshot.current().sources,
        method="filter_source",
        help_text="Slug of a source.",
    )
    authored = FlagFilter(field_name="authored", label="Explained in words, not only computed")

    class Meta:
        model = Disagreement
        fields: list[str] = []

    def filter_source(self, queryset: Any, _name: str, value: str) -> QuerySet[Disagreement]:
        found: QuerySet[Disagreement] = queryset.naming(value)
        return found
