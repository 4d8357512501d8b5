"""Says what a pasted answer, log line or message means: what was recognised, what it says together, what to do.

Nothing of the text is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from codes.catalogue import HTTP, STROOM
from codes.models import Meaning, Release, SourceEntry, StatusCode
from codes.pairs import PORTAL_PAIRS, Pair, judge
from codes.passages import QUESTION
from codes.recognise import MAX_LENGTH, Found, Vocabulary, pair_up, recognise
from codes.recognise import Pair as Recognised
from codes.resolve import NUMBERS, FoundCode, find_codes
from codes.vocabulary import Name, make_vocabulary

MAX_ANSWERS = 40
# Hardly anything but Stroom sends it.
STATUS_OF_REFUSALS = 406
NOTHING_FOUND = (
    "Nothing was recognised. Paste a status line, the output of curl -i or curl -v, a line of an access log, a "
    "client's error message or the text of a refusal. A number within a text is no status code by itself: write it "
    "as HTTP 404 or Stroom 110."
)


class TooLong(Exception):  # says what the text is
    """The text is longer than anybody needs to paste."""

    def __init__(self) -> None:
        super().__init__(f"The text is longer than {MAX_LENGTH} bytes. Paste the part around the answer.")


@dataclass(frozen=True)
class Answer:
    """One answer of the text: its codes, whether they fit, and every passage that says so."""

    judged: Pair
    passages: tuple[Found, ...]
    fallback: FoundCode | None
    stroom_too: bool = False

    @property
    def codes(self) -> list[FoundCode]:
        """What was found, the one to act on first: Stroom's number says more than the HTTP status."""
        known = [code for code in (self.judged.stroom, self.judged.http) if code is not None]
        return sorted(known, key=lambda code: not code.known)

    @property
    def acts_on(self) -> FoundCode:
        """The code whose advice counts: the fallback of its class where the catalogue does not have it."""
        first = self.codes[0]
        return first if first.known or self.fallback is None else self.fallback

    @property
    def meanings(self) -> list[Meaning]:
        return self.acts_on.meanings

    @property
    def title(self) -> str:
        http, stroom = self.judged.http, self.judged.stroom
        named = [f"HTTP {http.code}"] if http else []
        return " with ".join([*named, *([f"Stroom {stroom.code}"] if stroom else [])])

    @property
    def explanation(self) -> str:
        """What the numbers say together, or why another number's advice is given."""
        if self.judged.consistent is not None:
            return self.judged.explanation
        if words := unknown_words(self.codes[0]):
            return words
        http = self.judged.http
        if http is not None and self.stroom_too:
            return f"Stroom has a {http.code} of its own, with another sense: Stroom {http.code}."
        if http is not None and http.code == STATUS_OF_REFUSALS:
            return "Where Stroom answered, its Stroom-Status header says why; curl -i shows it."
        return ""


@dataclass(frozen=True)
class Explanation:
    """All that a text says; `left_out` answers were found beyond those that are explained."""

    text: str
    passages: tuple[Found, ...]
    answers: tuple[Answer, ...]
    left_out: int

    @property
    def message(self) -> str:
        """The outcome in one sentence."""
        if not self.passages:
            return NOTHING_FOUND
        count = len(self.answers) + self.left_out
        said = f"{_counted(len(self.passages), 'passage')} recognised, {_counted(count, 'answer')}."
        return f"{said} Only the first {len(self.answers)} are explained." if self.left_out else said


def explain(text: str) -> Explanation:
    """Recognise and explain.

    Raises:
        TooLong: the text is over the limit.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_LENGTH:
        raise TooLong
    vocabulary = current_vocabulary()
    possible = [found for found in recognise(text, vocabulary) if _is_number(found.registry, found.code)]
    pairs = pair_up(possible)
    answers = _answers(pairs[:MAX_ANSWERS], vocabulary)
    return Explanation(text, tuple(possible), tuple(answers), len(pairs) - len(answers))


def explain_pair(http: FoundCode | None, stroom: FoundCode | None) -> Answer:
    """The same for two numbers that were given as such."""
    judged = judge(http, stroom)
    return Answer(judged, (), _fallbacks([judged]).get(str(_treated_as(judged))))


def unknown_words(code: FoundCode) -> str:
    """Why a number that the catalogue does not have is explained by another one; empty for one that it has."""
    if code.known:
        return ""
    name = f"{code.registry.short_name} {code.code}"
    if not code.valid:
        return f"{name} is no valid status: act as on HTTP {code.treat_as}."
    if code.treat_as is None:
        return f"{name} is not in the catalogue: act on the HTTP status of the answer."
    return f"{name} is not in the catalogue: by the rule of its class, act as on HTTP {code.treat_as}."


def current_vocabulary() -> Vocabulary:
    """The words of the loaded catalogue."""
    return _vocabulary(Release.objects.latest_digest())


@lru_cache(maxsize=2)
def _vocabulary(_digest: str) -> Vocabulary:
    names: list[Name] = []
    for row in Meaning.objects.values_list("status_code__registry", "status_code__code", "name", "former_names"):
        names.append(Name(row[0], row[1], row[2]))
        names += [Name(row[0], row[1], former["name"]) for former in row[3]]
    entries = SourceEntry.objects.values_list("status_code__registry", "status_code__code", "name")
    statuses = StatusCode.objects.filter(registry=STROOM).values_list("code", "http_statuses")
    pairs = {code: {*http, *(first for first, second in PORTAL_PAIRS if second == code)} for code, http in statuses}
    return make_vocabulary([*names, *(Name(*row) for row in entries)], pairs)


def _answers(pairs: Sequence[Recognised], vocabulary: Vocabulary) -> list[Answer]:
    """Look all codes up at once, so that a long log costs as many queries as a single line."""
    http = find_codes(HTTP, [str(pair.http) for pair in pairs if pair.http is not None])
    stroom = find_codes(STROOM, [str(pair.stroom) for pair in pairs if pair.stroom is not None])
    judged = [judge(http.get(str(pair.http)), stroom.get(str(pair.stroom))) for pair in pairs]
    fallbacks = _fallbacks(judged)
    return [
        Answer(
            verdict,
            pair.found,
            fallbacks.get(str(_treated_as(verdict))),
            stroom_too=pair.found[0].kind == QUESTION and pair.http in vocabulary.stroom_codes,
        )
        for verdict, pair in zip(judged, pairs, strict=True)
    ]


def _fallbacks(judged: Iterable[Pair]) -> Mapping[str, FoundCode]:
    """What unknown numbers are to be treated as."""
    numbers = {_treated_as(pair) for pair in judged} - {None}
    return find_codes(HTTP, sorted(str(number) for number in numbers))


def _treated_as(judged: Pair) -> int | None:
    codes = [code for code in (judged.stroom, judged.http) if code is not None and not code.known]
    return next((code.treat_as for code in codes if code.treat_as is not None), None)


def _is_number(registry: str, code: int) -> bool:
    return NUMBERS[registry].fullmatch(str(code)) is not None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
