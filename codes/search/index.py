"""The search of the loaded catalogue: its index, made once for each release, and what a query leads straight to."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from django.db.models import QuerySet
from django.urls import reverse

from codes import snapshot
from codes.catalogue.values import HTTP, STROOM
from codes.explain.answers import current_vocabulary
from codes.explain.delivery import NO_ANSWER
from codes.explain.delivery import TUNNEL as TUNNEL_OPEN
from codes.explain.faults import cause_of
from codes.explain.findings import Found, Vocabulary
from codes.explain.patterns import FAULT, QUESTION, SERVER_LOG, SERVER_PAGE, TUNNEL
from codes.explain.question import OF_SERVER
from codes.explain.recognise import recognise
from codes.explain.unanswered import NO_STATUS
from codes.explain.vocabulary import CONSTANTS
from codes.lookup import NUMBERS
from codes.models import CodeClass, HeaderUse, Meaning, Registry, SourceEntry, StatusCode, Vendor
from codes.release import content_version
from codes.search import engine
from codes.search.engine import CodeText, Document, Hit, Index, OtherPage, Result
from codes.search.pages import FILTERED, PAGES, SECTIONS
from codes.search.phrases import PHRASES

PAIR = re.compile(
    r"(?:http\s*)?([1-9][0-9]{2})(\s*[/+,&|-]\s*|\s+(?:or|vs\.?|versus|and|with)\s+|\s+)"
    r"(stroom(?:[- ]status)?\s*:?\s*)?(0|[1-9][0-9]{0,2})\??",
    re.IGNORECASE,
)
SEVERAL = re.compile(
    r"(?:(?:what\s+is\s+)?(?:the\s+)?difference\s+between\s+|compare\s+)?"
    r"[1-9][0-9]{2}(?:(?:\s*[,/]\s*|\s+(?:(?:or|and|with|vs\.?|versus)\s+)?)[1-9][0-9]{2}){1,9}\??",
    re.IGNORECASE,
)
NAMED_NUMBER = re.compile(r"(http|stroom)(?:[- ]?status)?[\s:/]*(0|[1-9][0-9]{0,2})", re.IGNORECASE)
# "Location header", "header Retry-After"
_CALLED_HEADER = re.compile(
    r"(?:(?P<before>[\w-]{2,80})(?:\s+(?:request|response))?\s+headers?|headers?\s+(?P<after>[\w-]{2,80}))",
    re.IGNORECASE,
)
_OF_CLASS = re.compile(
    r"(?:all\s+)?(?:the\s+)?(?:(?:http|stroom)\s+)?(?P<slug>[1-9]xx)(?:\s+(?:http|stroom))?(?:\s+(?:errors?|codes?|class))?",
    re.IGNORECASE,
)
_SEVERAL_OF_ONE = re.compile(r"\b([1-5][0-9]{2})s\b", re.IGNORECASE)  # "the 404s"
_NUMBER = re.compile(r"(?<![\w.,/:-])([1-9][0-9]{2})(?![\w/]|[.,:-]\d)")
# Words that the index knows too, with more to say than one number.
_BY_WORDS = frozenset({FAULT, SERVER_PAGE, SERVER_LOG})
_OF_CURL = re.compile(
    r"curl:?\s+(?:(?:error|exit|code|status|exit code|exit status)\s+)?\(?\d{1,2}\)?", re.IGNORECASE
)
_EXPLAINED_SCORE = 500.0
_NEARLY_AS_GOOD = 0.6
MOST_BEST = 8


def current_index() -> Index:
    return _index(content_version().digest)


@dataclass(frozen=True)
class FoundRow:
    """A code of the results as its page lists it: where it leads, and which of its texts fits."""

    row: StatusCode
    why: str
    address: str
    name: str
    owner: str = ""


def find(query: str) -> Result:
    """The codes that fit a query, the one meant first; also those that a pasted message names.

    None fits what says that no server answered: a remark says what to do then. A plain 0 may be Stroom's too.
    """
    return _find(content_version().digest, _SEVERAL_OF_ONE.sub(r"\1", query.strip()[: engine.MAX_QUERY]))


@lru_cache(maxsize=128)
def _find(digest: str, query: str) -> Result:
    recognised = _named(query, _recognised(digest, query))
    if (says_no_answer(recognised) and query != "0") or _OF_CURL.fullmatch(query):
        return Result()
    if rows := _of_stroom(query):
        return Result(tuple(Hit(row.pk, STROOM, 1.0, f"comes with HTTP {query[-3:]}") for row in rows))
    if _only_http(query):
        return Result((Hit(f"{HTTP}/{query[-3:]}", "", 1.0, "no number of Stroom's: a proxy's or a server's"),))
    result = current_index().search(_header_in(query))
    result = replace(result, places=(*_numbers_in(query), *result.places))
    named = [Hit(f"{found.registry}/{found.code}", "", _EXPLAINED_SCORE, found.kind) for found in recognised]
    known = snapshot.current().codes
    first = {hit.key: hit for hit in named if hit.key in known}
    if not first:
        return result
    kept = result.hits if result.complete else ()
    hits = (*first.values(), *(hit for hit in kept if hit.key not in first))
    return replace(result, hits=hits, complete=True, suggestions=())


@lru_cache(maxsize=128)
def _recognised(_digest: str, query: str) -> Sequence[Found]:
    return tuple(found for found in recognise(query, current_vocabulary()) if found.kind not in _BY_WORDS)


def _named(query: str, recognised: Iterable[Found]) -> list[Found]:
    """Return what the query names, except words alone and a server's name: the index knows more about these."""
    words = not any(character.isdigit() for character in query) or OF_SERVER.pattern.fullmatch(query)
    return [found for found in recognised if not (words and found.kind == QUESTION)]


def _of_stroom(query: str) -> list[StatusCode]:
    """Return the Stroom codes that come with an HTTP status, for "stroom 401"."""
    named = NAMED_NUMBER.fullmatch(query)
    if named is None or named[1].lower() != STROOM or f"{STROOM}/{named[2]}" in snapshot.current().codes:
        return []
    return [row for row in _stroom_rows() if int(named[2]) in row.http_statuses]


def _stroom_rows() -> list[StatusCode]:
    return [row for row in snapshot.current().codes.values() if row.registry_id == STROOM]


def says_no_answer(recognised: Iterable[Found]) -> bool:
    """Whether all that was recognised is that no server answered."""
    found = list(recognised)
    return bool(found) and all(one.registry == HTTP and one.code == NO_STATUS for one in found)


def no_answer_in(query: str) -> str:
    """Return the remark on a query that means that no server answered; empty for every other one."""
    recognised = _recognised(content_version().digest, query) if query else ()
    if not says_no_answer(recognised):
        return ""
    return TUNNEL_OPEN if all(found.kind == TUNNEL for found in recognised) else NO_ANSWER


def _numbers_in(query: str) -> Iterator[OtherPage]:
    """Pages about numbers that are only a part of the query: those to compare, and unassigned ones."""
    numbers = list(dict.fromkeys(_NUMBER.findall(query)))
    known = current_vocabulary()
    http = [number for number in numbers if int(number) in known.names]
    if len(http) > 1:
        yield OtherPage((), f"{', '.join(http[:-1])} and {http[-1]} side by side", _compared(http))
    for number in numbers:
        if int(number) not in known.names and int(number) not in known.stroom_codes:
            page = reverse("codes:detail", args=[HTTP, number])
            yield OtherPage((), f"HTTP {number}, which is not in the catalogue: what to do", page)


def _compared(numbers: Iterable[str]) -> str:
    return f"{reverse('codes:compare')}?codes={','.join(numbers)}"


def best_and_others(rows: Iterable[StatusCode], result: Result) -> tuple[list[FoundRow], list[FoundRow]]:
    """Those that are nearly as good as the first, ready to be shown, and the rest."""
    by_key = {row.pk: row for row in rows}
    hits = [hit for hit in result.hits if hit.key in by_key]
    least = hits[0].score * _NEARLY_AS_GOOD if hits else 0
    found = [_found_row(by_key[hit.key], hit) for hit in hits]
    count = min(sum(hit.score >= least for hit in hits), MOST_BEST)
    return found[:count], found[count:]


def _found_row(row: StatusCode, hit: Hit) -> FoundRow:
    """The row with the name of the meaning that is meant, and its owner where the number has several."""
    address = _address(row, hit)
    own = next((meaning for meaning in row.meanings.all() if meaning.owner_id == hit.owner), None)
    if own is None or address == row.get_absolute_url():
        return FoundRow(row, hit.why, address, row.name)
    return FoundRow(row, hit.why, address, own.name, own.owner.name)


def _address(row: StatusCode, hit: Hit) -> str:
    """The owner's own page where a number has several and one was meant."""
    if len(row.owners) > 1 and hit.owner and (hit.owner_named or hit.owner != row.owners[0]):
        return reverse("codes:meaning", args=[row.registry_id, row.code, hit.owner])
    return row.get_absolute_url()


def _header_in(query: str) -> str:
    """The name of the header that a query is about, whatever its value; any other query as it is."""
    name, sign, value = query.partition(":")
    if called := _CALLED_HEADER.fullmatch(query):
        name = called["after"] or called["before"]
    elif not (sign and value.strip()):
        return query
    return name if name.strip().lower() in snapshot.current().headers else query


def matching(queryset: QuerySet[StatusCode], query: str) -> QuerySet[StatusCode]:
    """The rows that fit a query, in their own order."""
    return queryset.filter(pk__in=find(query).keys)


def by_rank(rows: Iterable[StatusCode], query: str) -> list[StatusCode]:
    """The rows that fit a query, the one meant first. Sorted here: SQL that does it is slow to write."""
    rank = {key: position for position, key in enumerate(find(query).keys)}
    return sorted(rows, key=lambda row: rank.get(row.pk, len(rank)))


def straight_to(query: str) -> str | None:
    """The one page that a query means: a pair, codes to compare, or a number that only one registry has."""
    asked = query.strip()
    if address := _pair_page(asked) or _comparison(asked):
        return address
    if named := NAMED_NUMBER.fullmatch(asked):
        registry, number = named[1].lower(), named[2]
        if _of_stroom(asked):
            return None
        registry = HTTP if _only_http(asked) else registry
        return reverse("codes:detail", args=[registry, number]) if NUMBERS[registry].fullmatch(number) else None
    if address := _class_page(asked):
        return address
    if not NUMBERS[HTTP].fullmatch(asked):
        return _only_result(asked)
    stroom = int(asked) in current_vocabulary().stroom_codes
    http = f"{HTTP}/{asked}" in snapshot.current().codes or not stroom
    return reverse("codes:detail", args=[HTTP if http else STROOM, asked]) if http != stroom else None


def _only_http(query: str) -> bool:
    """Say whether a query names Stroom with a number that only HTTP has: "stroom 502" is what a proxy answered."""
    named = NAMED_NUMBER.fullmatch(query)
    if named is None or named[1].lower() != STROOM:
        return False
    return set(StatusCode.objects.filter(code=named[2]).values_list("registry", flat=True)) == {HTTP}


def _class_page(asked: str) -> str | None:
    """The page of a class: "5xx", "4xx stroom". HTTP's where Stroom has no such class."""
    found = _OF_CLASS.fullmatch(asked)
    if found is None:
        return None
    registry = STROOM if STROOM in asked.casefold() else HTTP
    rows = {row.registry_id: row for row in CodeClass.objects.filter(slug=found["slug"].lower())}
    row = rows.get(registry) or rows.get(HTTP)
    return row.get_absolute_url() if row else None


def _only_result(asked: str) -> str | None:
    """The page of the one code that fits as it was asked, where nothing else is to be said."""
    if not asked or no_answer_in(asked) or cause_of(asked):
        return None
    result = find(asked)
    hits = _without_descriptions(result.hits, asked)
    if len(hits) != 1 or not result.complete or result.read_as or _is_by_description(hits[0]):
        return None
    number = hits[0].key.partition("/")[2]
    if any(not place.in_passing or number not in asked for place in result.places):
        return None
    return _address(snapshot.current().codes[hits[0].key], hits[0])


def _without_descriptions(hits: Sequence[Hit], asked: str) -> Sequence[Hit]:
    """The hits without those by description, where the first is the number and the owner that were asked for."""
    if hits and hits[0].owner_named and hits[0].key.partition("/")[2] in asked:
        return [hit for hit in hits if not _is_by_description(hit)]
    return hits


def _is_by_description(hit: Hit) -> bool:
    """Say whether a word of the description is all that fits, which is too little to open the page at once."""
    return hit.why == engine.IN_DESCRIPTION


def _pair_page(asked: str) -> str | None:
    """A pair of numbers, where the second is Stroom's."""
    match = PAIR.fullmatch(asked)
    if match is None:
        return None
    http, sign, word, stroom = match[1], match[2].strip(), match[3], int(match[4])
    vocabulary = current_vocabulary()
    if not word and _means_pair(int(http), vocabulary) and stroom in vocabulary.names:
        http, stroom = str(stroom), int(http)  # "310 403", "110/406"
    documented = stroom not in engine.OFTEN_MET and int(http) in vocabulary.pairs.get(stroom, ())
    if not (word or sign == "/" or documented or _means_pair(stroom, vocabulary)):
        return None
    if sign == "/" and not word and not _may_be_pair(int(http), stroom, vocabulary):
        return None
    return f"{reverse('codes:lookup')}?http={http}&stroom={stroom}"


def _means_pair(second: int, vocabulary: Vocabulary) -> bool:
    """Without a slash: the second number is one of Stroom's and no HTTP status."""
    return second in vocabulary.stroom_codes and second not in vocabulary.names


def _may_be_pair(first: int, second: int, vocabulary: Vocabulary) -> bool:
    """With a slash: unless both are HTTP's and the second is none of Stroom's."""
    return second in vocabulary.stroom_codes or second not in vocabulary.names or first not in vocabulary.names


def _comparison(asked: str) -> str | None:
    """ "401 or 403?", "301, 302, 307": HTTP codes side by side."""
    if not SEVERAL.fullmatch(asked):
        return None
    numbers = list(dict.fromkeys(re.findall(r"\d{3}", asked)))
    return _compared(numbers) if len(numbers) > 1 else None


@lru_cache(maxsize=2)
def _index(_digest: str) -> Index:
    return Index(_documents(), _places())


def _documents() -> Iterator[Document]:
    headers, said = _headers_by_meaning(), _names_by_meaning()
    constants: dict[int, list[str]] = defaultdict(list)
    for name, code in CONSTANTS.items():
        constants[code].append(name)
    rows = Meaning.objects.select_related("status_code", "owner").prefetch_related("vendors")
    for meaning in rows.in_page_order():
        row = meaning.status_code
        is_first = meaning.position == 0
        names = [item["name"] for item in row.constants] if row.registry_id == HTTP else constants[row.code]
        texts = [
            CodeText(engine.NAME, meaning.name, "name"),
            *(CodeText(engine.FORMER, former["name"], "former name") for former in meaning.former_names),
            *(CodeText(engine.SOURCE_NAME, name, "also called") for name in said[meaning.pk]),
            *(CodeText(engine.PHRASE, phrase, engine.PEOPLE_SAY) for phrase in PHRASES.get(row.pk, ()) if is_first),
            *(CodeText(engine.CONSTANT, name, "in programs") for name in dict.fromkeys(names) if is_first),
            *headers[meaning.pk],
            CodeText(engine.OWNER, meaning.owner.name, "owner"),
            CodeText(engine.OWNER, meaning.owner_id, "owner"),
            *(CodeText(engine.OWNER, vendor.name, "owner") for vendor in meaning.vendors.all()),
            *(
                CodeText(engine.PRODUCT, product, "product")
                for v in meaning.vendors.all()
                for product in v.products
            ),
            CodeText(engine.SUMMARY, meaning.summary, engine.DESCRIPTION),
            CodeText(engine.DETAIL, meaning.detail, engine.DESCRIPTION),
        ]
        registered = meaning.owner_id in {"ietf", STROOM}
        yield Document(row.registry_id, row.code, meaning.owner_id, tuple(texts), registered=registered)


def _headers_by_meaning() -> dict[str, list[CodeText]]:
    found: dict[str, list[CodeText]] = defaultdict(list)
    for header in HeaderUse.objects.order_by("position"):
        # An answer is known by what it carries itself; what a request should have had says less.
        own = header.direction == "response" and header.level != "related"
        found[header.meaning_id].append(CodeText(engine.HEADER if own else engine.SUMMARY, header.name, "header"))
    return found


def _names_by_meaning() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for code, owner, name in SourceEntry.objects.values_list("status_code", "owner", "name"):
        found[f"{code}/{owner}"].append(name)
    return found


def _places() -> Iterable[OtherPage]:
    headers = HeaderUse.objects.order_by("slug").values_list("slug", "name").distinct()
    for slug, name in dict(headers).items():
        yield OtherPage((slug,), f"Header {name}", reverse("codes:header", args=[slug]))
    for vendor in Vendor.objects.all():
        names = (vendor.slug, vendor.name)
        yield OtherPage(names, f"Codes of {vendor.name}", vendor.get_absolute_url(), in_passing=True)
    for registry in Registry.objects.all():
        yield OtherPage(tuple(_called(registry)), f"All {registry.short_name} codes", registry.get_absolute_url())
    for row in CodeClass.objects.select_related("registry"):
        alone = (row.slug, row.name) if row.registry_id == HTTP else ()
        title = f"Class {row.registry.short_name} {row.label} {row.name}"
        yield OtherPage((f"{row.registry_id} {row.slug}", *alone), title, row.get_absolute_url())
    listed = reverse("codes:list")
    for words, title, query in FILTERED:
        yield OtherPage(words, title, f"{listed}?{query}")
    for words, title, name in PAGES:
        yield OtherPage(words, title, reverse(f"codes:{name}"), alone=True)
    for words, title, code in SECTIONS:
        yield OtherPage(words, title, f"{reverse('codes:detail', args=[HTTP, code])}#http3", alone=True)


def _called(registry: Registry) -> Iterator[str]:
    yield registry.name
    for word in ("", "codes", "status", "status codes", "errors"):
        yield f"{registry.slug} {word}"
