"""Page with the paste box. The pasted text is neither stored nor logged."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt

from codes.explain.answers import Explanation, TooLong, explain
from codes.explain.findings import Found
from codes.explain.pairs import Pair
from codes.explain.recognise import MAX_LENGTH
from codes.pages.query import query_faults, refusal
from portal.methods import with_methods

#: Parameter of a link to a result: the numbers that were found.
ANSWERS = "answers"
MAX_LINKED = 40
_ANSWER = re.compile(r"(?P<http>[1-9]\d\d)(/(?P<stroom>\d{1,3}))?|stroom/(?P<alone>\d{1,3})", re.ASCII)


@dataclass(frozen=True)
class Piece:
    """Part of the text; `answer` counts from 1 where it was recognised as part of that answer."""

    text: str
    passage: Found | None = None
    answer: int | None = None


# Explaining changes nothing and shows the same to everybody, so it needs no token, and no cookie for one.
@csrf_exempt
@with_methods("GET", "HEAD", "POST")
def explain_page(request: HttpRequest) -> HttpResponse:
    """Show the paste box; after a POST also the text with its passages marked, and one card for each answer."""
    if faults := query_faults(request.GET, (ANSWERS,)):
        detail = f"{' '.join(faults)} Paste the text into the box: it is sent in the body, so that no log keeps it."
        return refusal(request, detail)
    explanation, text, fault = None, "", ""
    if request.method == "POST":
        try:
            text = request.POST.get("text", "")
            explanation = explain(text)
        except (TooLong, RequestDataTooBig):
            fault, text = str(TooLong()), ""
    elif ANSWERS in request.GET:
        pasted = pasted_text(request.GET[ANSWERS])
        if pasted is None:
            return refusal(request, "Write answers as 406/110, 503 or stroom/110, with commas between.")
        explanation = explain(pasted)
    is_linked = explanation is not None and request.method != "POST"
    context = {
        "explanation": explanation,
        "pieces": list(pieces(explanation)) if explanation and explanation.passages else [],
        "is_linked": is_linked,
        "link": link_to(explanation) if explanation and not is_linked else "",
        "kept": text if explanation and not explanation.passages else "",
        "fault": fault,
        "limit": MAX_LENGTH,
    }
    response = render(request, "codes/explain.html", context, status=413 if fault else 200)
    if request.method == "POST":
        patch_cache_control(response, no_store=True)
    return response


def link_to(explanation: Explanation) -> str:
    """Return the address that explains the same answers; of the text it has nothing. Empty where it has none."""
    words = dict.fromkeys(filter(None, (_word(answer.judged) for answer in explanation.answers)))
    return f"{reverse('codes:explain')}?{ANSWERS}={','.join(words)}" if words else ""


def _word(pair: Pair) -> str:
    if pair.http is None:
        return f"stroom/{pair.stroom.code}" if pair.answered and pair.stroom else ""
    if not pair.answered:
        return ""
    return f"{pair.http.code}/{pair.stroom.code}" if pair.stroom else str(pair.http.code)


def pasted_text(words: str) -> str | None:
    """Return the text that says the answers of a link; None where it cannot be read."""
    texts: list[str] = []
    for word in words.split(","):
        found = _ANSWER.fullmatch(word)
        if found is None or len(texts) == MAX_LINKED:
            return None
        http = f"HTTP/1.1 {found['http']}\n" if found["http"] else ""
        stroom = found["stroom"] or found["alone"]
        texts.append(f"{http}Stroom-Status: {stroom}\n" if stroom else http)
    return "\n".join(texts)


def pieces(explanation: Explanation) -> Iterator[Piece]:
    """Split the text into recognised passages and the text between them."""
    owner = {
        id(passage): number
        for number, answer in enumerate(explanation.answers, start=1)
        for passage in answer.passages
    }
    end = 0
    for passage in explanation.passages:
        if passage.start > end:
            yield Piece(explanation.text[end : passage.start])
        yield Piece(passage.passage, passage, owner.get(id(passage)))
        end = passage.end
    if end < len(explanation.text):
        yield Piece(explanation.text[end:])
