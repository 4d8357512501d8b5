"""Counts beside the filters of an admin list, in one query where Django makes one for each filter."""

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
        if _is_used(spec):
            rows = self.get_queryset(self.filter_request, exclude_parameters=spec.expected_parameters())
            return dict(rows.aggregate(**spec.get_facet_counts(self.pk_attname, rows)))
        if self._together is None:
            self._together = self._count_together()
        return self._together[position]

    def _count_together(self) -> dict[int, Facets]:
        """Return the counts of all filters that are not in use."""
        specs: list[Any] = self.filter_specs
        unused = [(place, spec) for place, spec in enumerate(specs) if not _is_used(spec)]
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

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.filter_request = request
        return super().get_queryset(request, exclude_parameters)


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
