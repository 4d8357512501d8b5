"""Filters as links: each option has its address, and all state is in the query string."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.html import escape
from django.utils.safestring import SafeString

from codes import labels as words
from codes.catalogue.values import HTTP, STROOM, Severity, Standing, Verdict
from codes.pages.query import query_faults
from codes.snapshot import Snapshot

Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class FacetGroup:
    """One filter with its values and the words for them."""

    name: str
    title: str
    choices: Choices


@dataclass(frozen=True)
class Option:
    label: str
    address: str
    chosen: bool

    @property
    def chip(self) -> str:
        """Return the list item of the option."""
        state, current = (" chosen", ' aria-current="true"') if self.chosen else ("", "")
        return f'<li><a class="chip{state}" href="{escape(self.address)}"{current}>{escape(self.label)}</a></li>\n'


@dataclass(frozen=True)
class ShownGroup:
    name: str
    title: str
    options: Sequence[Option]

    @property
    def chips(self) -> SafeString:
        """Return the options as list items; a page has a hundred, and a template takes ten times as long."""
        return SafeString("".join(option.chip for option in self.options))


REGISTRIES: Choices = ((HTTP, "HTTP"), (STROOM, "Stroom"))
CLASSES: Choices = tuple((key, key) for key in ("1xx", "2xx", "3xx", "4xx", "5xx"))


def code_groups(catalogue: Snapshot) -> list[FacetGroup]:
    return [
        FacetGroup("registry", "Registry", REGISTRIES),
        FacetGroup("class", "Class", CLASSES),
        FacetGroup("retry", "Retry", [(verdict, words.VERDICTS[verdict]) for verdict in Verdict]),
        FacetGroup("standing", "Standing", [(standing, words.STANDINGS[standing]) for standing in Standing]),
        FacetGroup("owner", "Owner", catalogue.owners),
        FacetGroup("source", "Listed by", catalogue.source_titles),
        FacetGroup("disagrees", "Sources", (("true", "disagree"), ("false", "agree"))),
        FacetGroup("cacheable", "Cache", [(key, words.CACHEABILITY[key]) for key in words.CACHEABILITY]),
    ]


def disagreement_groups(catalogue: Snapshot) -> list[FacetGroup]:
    return [
        FacetGroup("severity", "Weight", [(severity, words.SEVERITIES[severity]) for severity in Severity]),
        FacetGroup("registry", "Registry", REGISTRIES),
        FacetGroup("source", "Source", catalogue.source_titles),
        FacetGroup("aspect", "About", [(aspect, words.aspect_words(aspect)) for aspect in catalogue.aspects]),
    ]


def context(
    query: QueryDict, filterset: Any, groups: Sequence[FacetGroup], others: Collection[str]
) -> dict[str, Any]:
    """Return the context of the filter templates: groups, active filters with links that remove them, faults.

    Args:
        query: what was asked for.
        filterset: the filters that were given it.
        groups: those of them that are shown.
        others: parameters of the page that are no filters.
    """
    known = {*filterset.filters, *others}
    kept = _usable(query, known - set(filterset.errors))
    reasons = [(name, reason) for name, reasons in filterset.errors.items() for reason in reasons]
    return {
        "groups": [_shown(kept, group) for group in groups],
        "active": list(_active(kept, filterset, groups)),
        "faults": [
            *query_faults(query, known),
            *(f"{_title(name, groups)} {reason}" for name, reason in reasons),
        ],
    }


def _usable(query: QueryDict, names: Collection[str]) -> QueryDict:
    """Return the query without values that cannot be used, so that no link leads to the same refusal."""
    kept = QueryDict(mutable=True)
    for name, values in query.lists():
        if name in names and len(values) == 1:
            kept.setlist(name, values)
    return kept


def _title(name: str, groups: Sequence[FacetGroup]) -> str:
    """Return a filter's label on the page and its parameter."""
    title = next((group.title for group in groups if group.name == name), "")
    return f"“{title}” ({name})" if title else f"“{name}”"


def _shown(query: QueryDict, group: FacetGroup) -> ShownGroup:
    present = query.get(group.name)
    rest = _address(query, group.name)
    start = f"{rest}&" if len(rest) > 1 else rest
    options = [
        Option(label, rest if value == present else f"{start}{urlencode({group.name: value})}", value == present)
        for value, label in group.choices
    ]
    return ShownGroup(group.name, group.title, options)


def _active(query: QueryDict, filterset: Any, groups: Sequence[FacetGroup]) -> Iterable[tuple[str, str]]:
    labels: Mapping[str, FacetGroup] = {group.name: group for group in groups}
    for name in filterset.filters:
        value = query.get(name)
        if value and name != "q":
            group = labels.get(name)
            words_of = dict(group.choices) if group else {}
            yield f"{group.title if group else name}: {words_of.get(value, value)}", _address(query, name)


def _address(query: QueryDict, name: str) -> str:
    """Return the present query without one filter, back to the first page."""
    kept = {key: given for key, given in query.items() if key not in {name, "page", "offset"}}
    return f"?{urlencode(kept)}"
