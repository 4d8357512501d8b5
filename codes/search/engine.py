"""Ranks the catalogue's codes for what somebody typed: numbers, names old and new, phrases, headers, owners. Pure.

Forgiving of typing slips: an unknown word counts as the nearest known one.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

MAX_QUERY = 200
MAX_WORDS = 12

# How much a word counts by where it stands; those from `STRONG` on are words that a slip may have meant.
NAME, PHRASE, FORMER, SOURCE_NAME, CONSTANT, HEADER, OWNER, PRODUCT, SUMMARY, DETAIL = 10, 9, 8, 7, 6, 5, 5, 4, 2, 1
STRONG = PRODUCT
#: The sort of a text that is too long to be shown as the reason of a hit.
DESCRIPTION = "description"
IN_DESCRIPTION = "in its description"
#: The sort of an everyday word, which has a code of its own.
PEOPLE_SAY = "people say"

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# These say that a code is meant, not which one: they add to a match but are not missed.
_NOISE = frozenset(
    """a about an and answer are at be been between by can cannot code codes difference do does error errors for
    from get getting got has have how http https i if in is it its me mean meaning means my no not of on or our
    response responses result returned returns s says see server should so status t that the this to versus vs
    was we what when which why with you your""".split()
)
# A code that many people meet comes before one that few do, where nothing else decides.
_OFTEN_MET = (
    "404 500 403 401 503 502 400 504 429 413 302 405 301 409 406 408 422 410 200 201 204 304 415 307".split()
)
OFTEN_MET = frozenset(int(number) for number in _OFTEN_MET)
_BONUS = {int(number): 6 - position * 0.2 for position, number in enumerate(_OFTEN_MET)}
_VENDOR_FACTOR = 0.8
_PREFIX_FACTOR, _NEAR_FACTOR = 0.7, 0.6
_NUMBER_SCORE = 150.0
_SAME_NAME, _WITHIN_NAME, _AROUND_NAME = 8.0, 4.0, 3.0
_LEAST_NAME = 6  # letters that a name has to have to be looked for within a query


@dataclass(frozen=True)
class CodeText:
    """Something that a code is known by, and what sort of thing it is."""

    weight: int
    text: str
    sort: str


@dataclass(frozen=True)
class Document:
    """One owner's meaning of one number, with all texts it can be found by."""

    registry: str
    code: int
    owner: str
    texts: tuple[CodeText, ...]
    registered: bool = True

    @property
    def key(self) -> str:
        return f"{self.registry}/{self.code}"


@dataclass(frozen=True)
class OtherPage:
    """A page other than a code's, with the words that mean it: a header, a vendor, a class.

    `in_passing` is true where it is worth a link also when it is only one word of several. `alone` is true where no
    code is meant as well: those that merely have the words are left out then.
    """

    words: tuple[str, ...]
    title: str
    url: str
    in_passing: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Hit:
    """A code that fits; `why` says which of its texts did, `owner_named` that the query names the owner."""

    key: str
    owner: str
    score: float
    why: str = ""
    owner_named: bool = False
    as_phrase: bool = False


@dataclass(frozen=True)
class Result:
    """The hits, the one meant first; `complete` is false where none has all words, `read_as` are mended slips."""

    hits: tuple[Hit, ...] = ()
    places: tuple[OtherPage, ...] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    suggestions: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        return [hit.key for hit in self.hits]

    @property
    def code_first(self) -> bool:
        """Whether a code is meant rather than a page: "timeout" is an everyday word before it is a header."""
        return bool(self.hits) and self.hits[0].why.startswith(PEOPLE_SAY)


@dataclass(frozen=True)
class _Indexed:
    """A document with its words: for each the best text it stands in."""

    document: Document
    words: Mapping[str, CodeText]
    phrases: tuple[tuple[str, CodeText], ...]


class Index:
    """All documents, ready to be asked."""

    def __init__(self, documents: Iterable[Document], places: Iterable[OtherPage] = ()) -> None:
        self._documents = [_indexed(document) for document in documents]
        self._places = [(place, {letters(word) for word in place.words}) for place in places]

    @cached_property
    def _strong_words(self) -> Mapping[int, list[str]]:
        """The words that a slip may have meant, by length."""
        by_length: dict[int, set[str]] = defaultdict(set)
        for indexed in self._documents:
            for word, text in indexed.words.items():
                if text.weight >= STRONG and len(word) > 2 and not word.isdigit():
                    by_length[len(word)].add(word)
        return {length: sorted(found) for length, found in by_length.items()}

    @cached_property
    def _having(self) -> Mapping[str, Collection[int]]:
        """The documents that have each word, by their place; the words in alphabetical order."""
        having: dict[str, list[int]] = defaultdict(list)
        for place, indexed in enumerate(self._documents):
            for word in indexed.words:
                having[word].append(place)
        return {word: having[word] for word in sorted(having)}

    @cached_property
    def _all_words(self) -> Sequence[str]:
        return list(self._having)

    def _beginning(self, word: str) -> Iterator[str]:
        """The words that begin with another one, which may be among them."""
        for place in range(bisect_left(self._all_words, word), len(self._all_words)):
            if not self._all_words[place].startswith(word):
                return
            yield self._all_words[place]

    def _places_of(self, word: str) -> AbstractSet[int]:
        """The documents in which a word can match."""
        if word.isdigit():  # it may be the number of any
            return frozenset(range(len(self._documents)))
        return {place for other in self._beginning(word) for place in self._having[other]}

    def search(self, query: str) -> Result:
        """The codes that fit, best first."""
        asked = query[:MAX_QUERY]
        words = list(dict.fromkeys(words_of(asked)))[:MAX_WORDS]
        if not words:
            return Result()
        registry, words = _registry_in(words)
        read_as = self._mended(words)
        mended = [read_as.get(word, word) for word in words]
        hits = self._hits(asked, mended, frozenset(read_as.values()), registry)
        whole = [hit for hit, missing in hits if not missing]
        places = self._places_for(asked, mended)
        if any(place.alone for place in places):
            whole = [hit for hit in whole if hit.as_phrase]
        if whole or places:
            return Result(_best_of_each_code(whole), places, read_as)
        most = [hit for hit, missing in hits if missing * 2 <= len(_significant(mended))]
        return Result(_best_of_each_code(most), places, read_as, complete=False, suggestions=self._suggested(words))

    def _mended(self, words: Sequence[str]) -> dict[str, str]:
        """Return for each unknown word the nearest known one, where one is near enough."""
        mended = {}
        for word in words:
            if len(word) < 4 or any(character.isdigit() for character in word) or self._is_used(word):
                continue
            if near := self._nearest(word, 1 if len(word) < 7 else 2):
                mended[word] = near
        return mended

    def _is_used(self, word: str) -> bool:
        return next(self._beginning(word), None) is not None

    def _nearest(self, word: str, most: int) -> str | None:
        best: tuple[int, int, str] | None = None
        for length in range(len(word) - most, len(word) + most + 1):
            for other in self._strong_words.get(length, ()):
                slips = distance(word, other, most)
                rank = (slips, word[0] != other[0], other)
                if slips <= most and (best is None or rank < best):
                    best = rank
        return best[2] if best else None

    def _suggested(self, words: Sequence[str]) -> tuple[str, ...]:
        """Words of the catalogue that look like those asked for, however far."""
        near = [self._nearest(word, max(2, len(word) // 3)) for word in words if len(word) > 3]
        return tuple(dict.fromkeys(word for word in near if word is not None and word not in words))

    def _hits(
        self, asked: str, words: Sequence[str], mended: frozenset[str], registry: str | None
    ) -> list[tuple[Hit, int]]:
        """Each document that has any of the words, with how many of the significant ones it lacks."""
        phrase = letters(" ".join(words) if mended else asked)
        found = []
        places = {word: self._places_of(word) for word in words}
        for place in sorted(frozenset().union(*places.values())):
            indexed = self._documents[place]
            if registry in {None, indexed.document.registry}:
                here = frozenset(word for word in words if place in places[word])
                hit, missing, matched = _judged(indexed, phrase, words, here, mended)
                if matched:
                    found.append((hit, missing))
        return found

    def _places_for(self, asked: str, words: Sequence[str]) -> tuple[OtherPage, ...]:
        """Pages that the whole query, or an owner in it, names."""
        significant = _significant(words)
        whole = {letters(asked), letters(asked.partition(":")[0]), letters("".join(words))}
        whole |= {letters("".join(word for word in words if word in significant))}
        whole |= {name.removesuffix("s") for name in whole}
        exact = [place for place, names in self._places if names & whole]
        if exact:
            return tuple(exact)
        return tuple(place for place, names in self._places if place.in_passing and names & set(words))


def _judged(
    indexed: _Indexed, phrase: str, words: Sequence[str], here: frozenset[str], mended: frozenset[str]
) -> tuple[Hit, int, int]:
    """The hit, how many significant words are missing, and how many words matched at all.

    `here` are the words that can match in this document.
    """
    document = indexed.document
    score, why = _phrase_score(indexed, phrase)
    as_phrase = score > 0
    missing = matched = 0
    weak: CodeText | None = None
    significant = _significant(words)
    if (
        document.code > 99 and str(document.code) in significant
    ):  # whose number was asked for is meant, whatever else was said
        significant = frozenset()
    for word in words:
        points, text = _word_score(indexed, word) if word in here else (0.0, None)
        matched += points > 0
        missing += points == 0 and word in significant
        score += points * (_NEAR_FACTOR if word in mended else 1)
        why = why or (text if points >= STRONG else None)
        weak = weak or text
    names_owner = any(indexed.words[word].sort == "owner" for word in words if word in indexed.words)
    if not document.registered and not names_owner:
        score *= _VENDOR_FACTOR
    score += _BONUS.get(document.code, 0) if document.registry == "http" else 3
    hit = Hit(document.key, document.owner, round(score, 3), _why(why or weak), names_owner, as_phrase)
    return hit, missing, matched


def _phrase_score(indexed: _Indexed, phrase: str) -> tuple[float, CodeText | None]:
    """Return the score of a query that is one of the document's names, or a part of one."""
    best, why = 0.0, None
    if len(phrase) < 3:
        return best, why
    for other, text in indexed.phrases:
        if phrase == other:
            points = text.weight * _SAME_NAME
        elif phrase in other and not _cuts_number(phrase, other):
            points = text.weight * _WITHIN_NAME * len(phrase) / len(other)
        elif len(other) >= _LEAST_NAME and text.weight >= SOURCE_NAME and other in phrase:
            points = text.weight * _AROUND_NAME * len(other) / len(phrase)
        else:
            continue
        if points > best:
            best, why = points, text
    return best, why


def _word_score(indexed: _Indexed, word: str) -> tuple[float, CodeText | None]:
    if word.isdigit() and (points := _number_score(indexed.document.code, word)):
        return points, None
    if text := indexed.words.get(word):
        return float(text.weight), text
    if len(word) > 2:
        begun = [
            text
            for other, text in indexed.words.items()
            if other.startswith(word) and not _cuts_number(word, other)
        ]
        if begun:
            best = max(begun, key=lambda text: text.weight)
            return best.weight * _PREFIX_FACTOR, best
    return 0.0, None


def _cuts_number(part: str, whole: str) -> bool:
    """Say whether a part ends within a number: "http3" is no beginning of "http302found"."""
    end = whole.find(part) + len(part)
    return part[-1].isdigit() and whole[end : end + 1].isdigit()


def _number_score(code: int, word: str) -> float:
    """A whole number means that code; its first digits may mean it."""
    if word == str(code):
        return _NUMBER_SCORE
    return _NUMBER_SCORE / 3 if len(word) < 3 and code > 99 and str(code).startswith(word) else 0.0


def _why(text: CodeText | None) -> str:
    if text is None or text.sort in {"", "name"}:
        return ""
    return IN_DESCRIPTION if text.sort == DESCRIPTION else f"{text.sort}: {text.text}"


def _best_of_each_code(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    best: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda hit: -hit.score):
        best.setdefault(hit.key, hit)
    return tuple(best.values())


def _significant(words: Sequence[str]) -> frozenset[str]:
    """The words that must be met; where all are noise, all count."""
    return frozenset(word for word in words if word not in _NOISE) or frozenset(words)


def _registry_in(words: list[str]) -> tuple[str | None, list[str]]:
    """ "stroom 310" asks among Stroom's codes only; "stroom" alone is a word like any other."""
    if "stroom" in words and len(words) > 1:
        return "stroom", [word for word in words if word != "stroom"]
    return None, words


def _indexed(document: Document) -> _Indexed:
    words: dict[str, CodeText] = {}
    for text in document.texts:
        for word in [*words_of(text.text), *_joined(text.text)]:
            if word not in words or words[word].weight < text.weight:
                words[word] = text
    phrases = tuple((letters(text.text), text) for text in document.texts if text.weight >= STRONG)
    return _Indexed(document, words, phrases)


def words_of(text: str) -> list[str]:
    """The words of a text, "ServerTimeout" being two."""
    return [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", text.replace("'", "").replace("’", "")))]


def _joined(text: str) -> list[str]:
    """Words with dashes or humps inside also as one: "timeout" for "Time-out", "arcgis" for "ArcGIS"."""
    return [letters(part) for part in text.split() if not part.isalnum() or _HUMP.search(part)]


def letters(text: str) -> str:
    """The letters and digits alone, so that neither case nor blanks nor dashes make a difference."""
    return "".join(character for character in text.casefold() if character.isalnum())


def distance(one: str, other: str, most: int) -> int:
    """Return the number of typing errors between two words: a letter too much, too few, wrong, or two swapped.

    Counting ends above `most`.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, last = list[int](), list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        row = [i]
        for j, right in enumerate(other, start=1):
            slips = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if before and j > 1 and left == other[j - 2] and one[i - 2] == right:
                slips = min(slips, before[j - 2] + 1)
            row.append(slips)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]
