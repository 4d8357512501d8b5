"""Counts of the filters of an admin list, in one query where Django makes one for each filter."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

Facets = dict[str, int]


class FacetChangeList(ChangeList):
    """Change list whose filters are made once, and counted together as far as they count the same rows."""

    _filters: Any = None
    _together: dict[int, Facets] | None = None
    _values: dict[str, Counter[str]] | None = None

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters, which Django makes again for each count."""
        if self._filters is None:
            self._filters = super().get_filters(request)
            for position, spec in enumerate(self._filters[0]):
                spec.get_facet_queryset = partial(self._facets_of, position)
        return self._filters

    def _facets_of(self, position: int, _: ChangeList) -> Facets:
        """Return the counts of one filter: of all rows that the other filters leave."""
        spec: Any = self.filter_specs[position]
        if isinstance(spec, ValuesFilter):
            return self._counts_of_values(spec)
        if _is_used(spec):
            rows = self.get_queryset(self.filter_request, exclude_parameters=spec.expected_parameters())
            return dict(rows.aggregate(**spec.get_facet_counts(self.pk_attname, rows)))
        if self._together is None:
            self._together = self._count_together()
        return self._together[position]

    def _count_together(self) -> dict[int, Facets]:
        """Return the counts of all filters that are not in use."""
        specs: list[Any] = self.filter_specs
        unused = [
            (place, spec)
            for place, spec in enumerate(specs)
            if not _is_used(spec) and not isinstance(spec, ValuesFilter)
        ]
        counts = {
            f"{place}_{name}": count
            for place, spec in unused
            for name, count in spec.get_facet_counts(self.pk_attname, self.queryset).items()
        }
        found = self.queryset.aggregate(**counts)
        together: dict[int, Facets] = {place: {} for place, _ in unused}
        for key, count in found.items():
            place, _, name = key.partition("_")
            together[int(place)][name] = count
        return together

    def _counts_of_values(self, spec: Any) -> Facets:
        """Return the counts of a filter by values. Those that are not in use share one reading of the rows."""
        if _is_used(spec):
            rows = self.get_queryset(self.filter_request, exclude_parameters=spec.expected_parameters())
            own: Facets = spec.facets(_values_of(rows, [spec]))
            return own
        if self._values is None:
            specs = [each for each in self.filter_specs if isinstance(each, ValuesFilter) and not _is_used(each)]
            self._values = _values_of(self.queryset, specs)
        shared: Facets = spec.facets(self._values)
        return shared

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.filter_request = request
        return super().get_queryset(request, exclude_parameters)


def _values_of(rows: QuerySet[Any], specs: Iterable["ValuesFilter"]) -> dict[str, Counter[str]]:
    """Count the values of each filter's column in Python: a list of values is not to be counted in SQL."""
    columns = [spec.column for spec in specs]
    counted: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for row in rows.order_by().values_list(*columns):
        for column, value in zip(columns, row, strict=True):
            counted[column].update(value if isinstance(value, list) else [value])
    return counted


def _is_used(spec: Any) -> bool:
    return any(value is not None for value in spec.used_parameters.values())


class ConditionFilter(SimpleListFilter):
    """Filter whose values are conditions on a row, which are also what is counted."""

    def condition(self, value: str) -> Q:
        """Return the condition that a value stands for."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        known = any(value == choice for choice, _ in self.lookup_choices)
        return queryset.filter(self.condition(str(value))) if known else queryset

    def get_facet_counts(self, pk_attname: str, filtered_qs: QuerySet[Any]) -> dict[str, Count]:
        """Count by the conditions themselves: Django's way asks for the keys of each value's rows first."""
        return {
            f"{position}__c": Count(pk_attname, filter=self.condition(choice))
            for position, (choice, _) in enumerate(self.lookup_choices)
        }


class ValuesFilter(SimpleListFilter):
    """Filter by the values that a column has, the most frequent first. Its column may hold a list of words.

    Counting reads the column of all rows once: for tables of some thousands of rows.
    """

    column = ""
    most = 20

    def condition(self, value: str) -> Q:
        """Return the condition that a row has the value."""
        return Q(**{self.column: value})

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        counted = _all_values(request, model_admin)[self.column]
        named = [(value, value) for value, _ in counted.most_common() if value][: self.most]
        asked = request.GET.get(str(self.parameter_name))
        return [*named, *([(asked, asked)] if asked and (asked, asked) not in named else [])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(self.condition(str(value))) if value else queryset

    def facets(self, counted: dict[str, Counter[str]]) -> Facets:
        """Return the counts as Django's change list wants them."""
        values = counted[self.column]
        return {f"{place}__c": values[value] for place, (value, _) in enumerate(self.lookup_choices)}


def _all_values(request: Any, model_admin: Any) -> dict[str, Counter[str]]:
    """Return the values of all rows for each filter by values of a list: read once for a request."""
    if not hasattr(request, "values_of_lists"):
        specs = [
            each for each in model_admin.list_filter if isinstance(each, type) and issubclass(each, ValuesFilter)
        ]
        request.values_of_lists = _values_of(model_admin.model._default_manager.all(), specs)  # type: ignore[arg-type]
    found: dict[str, Counter[str]] = request.values_of_lists
    return found
