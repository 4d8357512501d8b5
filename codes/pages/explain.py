"""Page with the paste box. The pasted text is neither stored nor logged."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from codes.explain.answers import Explanation, TooLong, explain
from codes.explain.findings import Found
from codes.explain.recognise import MAX_LENGTH
from codes.pages.query import query_faults, refusal


@dataclass(frozen=True)
class Piece:
    """Part of the text; `answer` counts from 1 where it was recognised as part of that answer."""

    text: str
    passage: Found | None = None
    answer: int | None = None


# Explaining changes nothing and shows the same to everybody, so it needs no token, and no cookie for one.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def explain_page(request: HttpRequest) -> HttpResponse:
    """Show the paste box; after a POST also the text with its passages marked, and one card for each answer."""
    if faults := query_faults(request.GET, ()):
        detail = f"{' '.join(faults)} Paste the text into the box: it is sent in the body, so that no log keeps it."
        return refusal(request, detail)
    explanation, text, fault = None, "", ""
    if request.method == "POST":
        try:
            text = request.POST.get("text", "")
            explanation = explain(text)
        except (TooLong, RequestDataTooBig):
            fault, text = str(TooLong()), ""
    context = {
        "explanation": explanation,
        "pieces": list(pieces(explanation)) if explanation and explanation.passages else [],
        "kept": text if explanation and not explanation.passages else "",
        "fault": fault,
        "limit": MAX_LENGTH,
    }
    response = render(request, "codes/explain.html", context, status=413 if fault else 200)
    if request.method == "POST":
        patch_cache_control(response, no_store=True)
    return response


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
