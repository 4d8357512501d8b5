"""Admin lists of tables that grow without limit: filters, counts and sorting use the latest rows only (S27)."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Max, Model, Q, QuerySet
from django.http import HttpRequest

from portal.admin_facets import ConditionFilter, FacetChangeList

#: Reading, counting and sorting this many rows takes a fraction of a second.
LATEST = 10_000
#: Rows of any age that a search for an exact value returns at most.
MOST_FOUND = 1000


class LatestChangeList(FacetChangeList):
    """Change list of the latest rows. A search for an exact value finds older rows too."""

    _latest: QuerySet[Any] | None = None

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        if self._latest is None:
            self._latest = latest_rows(self.model_admin.get_queryset(request))
        self.root_queryset = self._latest
        if self.query:
            fields: Mapping[str, str] = getattr(self.model_admin, "exact_search", {})
            exact = exact_rows(self.model_admin.get_queryset(request), self.query, fields)
            if exact is not None:
                return self._narrowed(request, exact, exclude_parameters)
        return super().get_queryset(request, exclude_parameters)

    def _narrowed(self, request: HttpRequest, found: QuerySet[Any], exclude_parameters: Any) -> QuerySet[Any]:
        """Apply the chosen filters and order to the found rows, without searching them again."""
        self.root_queryset, query, self.query = found, self.query, ""
        try:
            return super().get_queryset(request, exclude_parameters)
        finally:
            self.query = query


class LatestValuesFilter(ConditionFilter):
    """Filter by the values of a field in the latest rows; Django's own filter reads all rows."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        field = str(self.parameter_name)
        rows = latest_rows(model_admin.model._default_manager.order_by(field))
        values = rows.values_list(field, flat=True).distinct()
        return [(str(value), str(value)) for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        is_unknown = value is not None and value not in dict(self.lookup_choices)
        return queryset.none() if is_unknown else super().queryset(request, queryset)

    def condition(self, value: str) -> Q:
        return Q(**{str(self.parameter_name): value})


def values_of(field: str) -> type[LatestValuesFilter]:
    """Return a filter class for a field."""
    return type(
        f"{field}_filter", (LatestValuesFilter,), {"title": field.replace("_", " "), "parameter_name": field}
    )


def latest_rows(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows with the highest keys, or all rows of a small table."""
    floor = first_of_latest(rows.model)
    return rows.filter(pk__gte=floor) if floor is not None else rows


def first_of_latest(model: type[Model]) -> int | None:
    """Return the lowest key that a list shows; None where it shows all rows."""
    rows = model._default_manager
    floor = (rows.aggregate(key=Max("pk"))["key"] or 0) - LATEST + 1
    return floor if rows.filter(pk__lt=floor).exists() else None


def exact_rows(rows: QuerySet[Any], text: str, fields: Mapping[str, str]) -> QuerySet[Any] | None:
    """Return the latest rows with exactly this value in one of the indexed fields; None if there are none.

    Args:
        rows: the rows to search.
        text: the search text.
        fields: names of the fields, each with the order that its index provides.
    """
    keys: set[int] = set()
    for field, order in fields.items():
        same = rows.filter(**{field: text.strip()}).order_by(*([order] if order else []))
        keys |= set(same.values_list("pk", flat=True)[:MOST_FOUND])
    return rows.filter(pk__in=keys) if keys else None
