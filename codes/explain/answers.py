"""Says what a pasted answer, log line or message means: what was recognised, what it says together, what to do.

Nothing of the text is kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from codes.catalogue.values import HTTP, STROOM
from codes.explain.delivery import SenderAdvice, cautious, is_confirmed
from codes.explain.faults import GAVE_UP, cause_of
from codes.explain.findings import Found, Vocabulary
from codes.explain.foreign import FOREIGN
from codes.explain.owners import owner_meant
from codes.explain.pairing import StatusPair, pair_up
from codes.explain.pairs import PORTAL_PAIRS, PROXY, PROXY_PAIRS, Pair, hint, judge, unanswered
from codes.explain.patterns import NO_COUNT, QUESTION, TUNNEL
from codes.explain.recognise import MAX_LENGTH, recognise
from codes.explain.unanswered import NO_STATUS
from codes.explain.vocabulary import Name, make_vocabulary
from codes.explain.words import SENT_AS
from codes.lookup import NUMBERS, FoundCode, find_codes, of_owner
from codes.models import Meaning, SourceEntry, StatusCode
from codes.release import content_version

MAX_ANSWERS = 40
# Says that the answers are those to a delivery: Stroom's paths and fields, or something next to the HTTP status.
_OF_A_DELIVERY = re.compile(
    r"datafeed|stroom|^[<>*\ \t]{0,4}feed:|^[ \t]*[1-9]\d\d[ \t]*/[ \t]*\d+[ \t\r]*$", re.IGNORECASE | re.MULTILINE
)
NOTHING_FOUND = (
    "Nothing was recognised. Paste a status line, the output of curl -i or curl -v, a line of an access log, a "
    "client's error message or the text of a refusal. A number within a text is no status code by itself: write it "
    "as HTTP 404 or Stroom 110. As long as nothing shows HTTP 200 with Stroom-Status 0, keep the data."
)


NOT_LOADED = "The catalogue is not loaded, so no code can be explained. Run: manage.py load_catalogue"
_BARE_NUMBER = re.compile(rf"(?<![\w.,:/-])[1-5]\d\d\b{NO_COUNT}(?![\w%])", re.IGNORECASE | re.VERBOSE)
_WINDOW_BEFORE, _WINDOW_AFTER = 300, 600  # characters around an answer in which its owner may be named


class TooLong(Exception):  # says what the text is
    """The text is longer than anybody needs to paste."""

    def __init__(self) -> None:
        super().__init__(f"The text is longer than {MAX_LENGTH} bytes. Paste the part around the answer.")


@dataclass(frozen=True)
class ExplainedAnswer:
    """One answer of the text: its codes, whether they fit, and every passage that says so."""

    judged: Pair
    passages: tuple[Found, ...]
    fallback: FoundCode | None
    stroom_too: bool = False
    sent_as: FoundCode | None = None

    @property
    def codes(self) -> list[FoundCode]:
        """The recognised codes, the one to act on first."""
        return [*self.judged.codes, *([self.sent_as] if self.sent_as else [])]

    @property
    def advice(self) -> list[SenderAdvice]:
        """Advice, the most urgent first: by one code where both agree, else by both.

        The fallback of its class speaks for a code that the catalogue does not have.
        """
        if not self.judged.answered:
            return self.judged.advice
        codes = self.judged.codes
        if self.judged.consistent and self.judged.generation != PROXY:
            codes = codes[:1]
        known = [code for code in codes if code.known]
        if not known and self.fallback is not None:
            known = [self.fallback]
        return [SenderAdvice(code, code.meanings) for code in known]

    @property
    def title(self) -> str:
        if not self.judged.answered:
            return "Tunnel open, no answer" if self.judged.tunnel else "No HTTP answer"
        http, stroom = self.judged.http, self.judged.stroom
        named = [f"HTTP {http.code}"] if http else []
        return " with ".join([*named, *([f"Stroom {stroom.code}"] if stroom else [])])

    @property
    def name(self) -> str:
        return self.codes[0].name if self.codes else ""

    @property
    def explanation(self) -> str:
        """Meaning of the numbers together, or the reason for another number's advice."""
        if not self.judged.answered:
            return self.judged.explanation
        if self.judged.consistent is not None:
            return self.judged.explanation
        if self.sent_as is not None and self.judged.http is not None:
            return (
                f"nginx sends HTTP {self.sent_as.code} to the client; the words of the page say that it is its own "
                f"{self.judged.http.code}."
            )
        if words := unknown_words(self.codes[0]):
            return " ".join(filter(None, (words, hint(self.judged.http, self.judged.stroom))))
        http = self.judged.http
        said = hint(http, self.judged.stroom)
        if http is not None and self.stroom_too:
            said = f"{said} Stroom has a {http.code} of its own, with another sense: Stroom {http.code}.".strip()
        return said


@dataclass(frozen=True)
class Explanation:
    """All that a text says; `left_out` answers were found beyond those that are explained."""

    text: str
    passages: tuple[Found, ...]
    answers: tuple[ExplainedAnswer, ...]
    left_out: int

    @property
    def message(self) -> str:
        """The outcome in one sentence."""
        if not self.passages:
            return NOTHING_FOUND
        if not self.answers:
            return NOT_LOADED
        count = len(self.answers) + self.left_out
        said = f"{_counted(len(self.passages), 'passage')} recognised, {_counted(count, 'answer')}."
        return f"{said} Only the first {len(self.answers)} are explained." if self.left_out else said

    @property
    def hints(self) -> list[str]:
        """The part of the text that was ignored, and how to ask about it; empty where something was recognised."""
        return [] if self.passages else list(_what_would_help(self.text))


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
    delivery = _OF_A_DELIVERY.search(text) is not None
    answers = _answers(text, pairs[:MAX_ANSWERS], vocabulary, delivery=delivery)
    return Explanation(text, tuple(possible), tuple(answers), max(0, len(pairs) - MAX_ANSWERS))


def _what_would_help(text: str) -> Iterator[str]:
    """Say what of the text was left aside, and how to ask about it."""
    if GAVE_UP.pattern.search(text):
        yield GAVE_UP.sentence
    elif foreign := FOREIGN.search(text):
        yield f"“{foreign.group().strip()[:60]}” is a number of another protocol or program, no HTTP status."
    elif number := _BARE_NUMBER.search(text):
        yield f"If {number.group()} is meant as a status, ask for HTTP {number.group()}."


def unknown_words(code: FoundCode) -> str:
    """Reason why a number that the catalogue lacks is explained by another one; empty for one that it has."""
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
    return _vocabulary(content_version().digest)


@lru_cache(maxsize=2)
def _vocabulary(_digest: str) -> Vocabulary:
    names: list[Name] = []
    for row in Meaning.objects.values_list("status_code__registry", "status_code__code", "name", "former_names"):
        names.append(Name(row[0], row[1], row[2]))
        names += [Name(row[0], row[1], former["name"]) for former in row[3]]
    entries = SourceEntry.objects.values_list("status_code__registry", "status_code__code", "name")
    statuses = StatusCode.objects.filter(registry=STROOM).values_list("code", "http_statuses")
    others = PORTAL_PAIRS | PROXY_PAIRS
    pairs = {code: {*http, *(first for first, second in others if second == code)} for code, http in statuses}
    # A success with whatever status is worth a look: it is none without HTTP 200.
    pairs[0] = {name.code for name in names if name.registry == HTTP}
    return make_vocabulary([*names, *(Name(*row) for row in entries)], pairs)


def _answers(
    text: str, pairs: Sequence[StatusPair], vocabulary: Vocabulary, *, delivery: bool
) -> list[ExplainedAnswer]:
    """Look all codes up at once, so that a long log costs as many queries as a single line.

    What is confirmed comes last: a program that acts on the first advice then never drops what another one needs.
    """
    sent = {pair.http: SENT_AS[pair.http] for pair in pairs if pair.http is not None and pair.http in SENT_AS}
    asked = [str(pair.http) for pair in pairs if pair.http]
    http = find_codes(HTTP, [*asked, *(str(number) for number in sent.values())])
    stroom = find_codes(STROOM, [str(pair.stroom) for pair in pairs if pair.stroom is not None])
    judged = [
        _unanswered(pair, stroom.get(str(pair.stroom)))
        if pair.http == NO_STATUS
        else judge(_of_owner(text, pair, http), stroom.get(str(pair.stroom)), delivery=delivery)
        for pair in pairs
    ]
    fallbacks = _fallbacks(judged)
    answers = [
        ExplainedAnswer(
            verdict,
            pair.found,
            _fallback(verdict, fallbacks, delivery=delivery),
            stroom_too=pair.found[0].kind == QUESTION and pair.http in vocabulary.stroom_codes and bool(pair.http),
            sent_as=http.get(str(SENT_AS.get(pair.http or 0))) if _was_sent(pair) else None,
        )
        for verdict, pair in zip(judged, pairs, strict=True)
        if verdict.codes or not verdict.answered
    ]
    return sorted(answers, key=_is_confirmed)


def _unanswered(pair: StatusPair, stroom: FoundCode | None) -> Pair:
    kinds = {found.kind for found in pair.found}
    cause = next(filter(None, (cause_of(found.passage) for found in pair.found)), "")
    return unanswered(stroom, tunnel=TUNNEL in kinds, cause=cause)


def _was_sent(pair: StatusPair) -> bool:
    """Whether the text also has the status that nginx sends in place of its own number."""
    return any(found.registry == HTTP and found.code == SENT_AS.get(pair.http or 0) for found in pair.found)


def _of_owner(text: str, pair: StatusPair, found: Mapping[str, FoundCode]) -> FoundCode | None:
    """The code with the meaning of the owner that the text names; with all meanings where it names none."""
    code = found.get(str(pair.http))
    if code is None:
        return None
    around = text[max(0, pair.found[0].start - _WINDOW_BEFORE) : pair.found[-1].end + _WINDOW_AFTER]
    return of_owner(code, owner_meant(code.code, around, {one.kind for one in pair.found}))


def _is_confirmed(answer: ExplainedAnswer) -> bool:
    http, stroom = answer.judged.http, answer.judged.stroom
    return is_confirmed(http.code if http else None, stroom.code if stroom else None)


def _fallback(judged: Pair, fallbacks: Mapping[str, FoundCode], *, delivery: bool) -> FoundCode | None:
    """Return the code that an unknown number counts as, with the advice for the answer that it was found in."""
    http, stroom = judged.http, judged.stroom
    number = http.code if http else None
    return cautious(
        fallbacks.get(str(_treated_as(judged))), number, stroom.code if stroom else None, delivery=delivery
    )


def _fallbacks(judged: Iterable[Pair]) -> Mapping[str, FoundCode]:
    """Return the codes that unknown numbers are treated as."""
    numbers = {_treated_as(pair) for pair in judged} - {None}
    return find_codes(HTTP, sorted(str(number) for number in numbers))


def _treated_as(judged: Pair) -> int | None:
    codes = [code for code in (judged.stroom, judged.http) if code is not None and not code.known]
    return next((code.treat_as for code in codes if code.treat_as is not None), None)


def _is_number(registry: str, code: int) -> bool:
    """Whether there can be such a code; `NO_STATUS` is one of HTTP's that says that there is none."""
    return (registry, code) == (HTTP, NO_STATUS) or NUMBERS[registry].fullmatch(str(code)) is not None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
