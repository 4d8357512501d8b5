"""The part of the search that finds status codes."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse

from codes import snapshot
from codes.models import StatusCode
from codes.search.index import best_and_others, by_rank, find, straight_to
from portal.search import MOST_SHOWN, Finder, SearchHit


def find_codes(text: str) -> Sequence[SearchHit]:
    """Return the page that a text means, or the codes that fit it."""
    if address := straight_to(text):
        return [SearchHit(text, address, "status code", is_exact=True)]
    result = find(text)
    rows = by_rank(snapshot.current().in_order(result.keys), text)
    best, _ = best_and_others(rows, result)
    places = [SearchHit(place.title, place.url) for place in result.places]
    codes = [SearchHit(f"{_number_name(row.row)} {row.name}", row.address, row.why) for row in best]
    return [*codes, *places][: MOST_SHOWN + 1] if result.code_first else [*places, *codes][: MOST_SHOWN + 1]


def _number_name(code: StatusCode) -> str:
    return f"{'HTTP' if code.registry_id == 'http' else 'Stroom'} {code.code}"


def _list(text: str) -> str:
    return f"{reverse('codes:list')}?{urlencode({'q': text})}"


CODES = Finder("Status codes", "numbers, pairs, names, headers, descriptions", find_codes, (), 5, _list)
