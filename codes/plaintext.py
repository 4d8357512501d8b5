"""The catalogue's answers as plain text, for terminals: `curl -H 'Accept: text/plain'` and `manage.py explain`."""

import textwrap
from collections.abc import Iterable, Iterator

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from codes import labels
from codes.explain.answers import ExplainedAnswer, Explanation, unknown_words
from codes.explain.patterns import QUESTION
from codes.lookup import FoundCode, FoundMeaning
from codes.models import Meaning
from portal.site import public_link

CONTENT_TYPE = "text/plain; charset=utf-8"
WIDTH = 78
SHOWN_PASSAGES = 5
LABEL = 14


def wants_plain_text(request: HttpRequest) -> bool:
    """Return whether the client prefers plain text; browsers, and curl without an Accept header, get HTML."""
    return request.get_preferred_type(["text/html", "text/plain"]) == "text/plain"


def plain_response(text: str) -> HttpResponse:
    """Return a plain-text response."""
    return negotiated(HttpResponse(text, content_type=CONTENT_TYPE))


def negotiated(response: HttpResponse) -> HttpResponse:
    """Vary by Accept, so that caches do not send plain text to a browser or HTML to a terminal."""
    patch_vary_headers(response, ["Accept"])
    return response


def code_text(found: FoundCode, fallback: FoundCode | None = None) -> str:
    """Return one code as text; `fallback` is the code as which an unknown one is treated."""
    lines = [f"{_title(found)}", ""]
    if not found.known:
        lines += [*_wrapped(unknown_words(found)), ""]
    shown = found if found.known or fallback is None else fallback
    for meaning in shown.meanings:
        lines += [*_meaning(shown, meaning), ""]
    lines += [
        f"{'Page':{LABEL}}  {public_link(found.url)}",
        f"{'JSON':{LABEL}}  {public_link('/api/v1' + found.url)}",
    ]
    return _text(lines)


def explanation_text(explanation: Explanation) -> str:
    """Return the explanation of a pasted text: each passage with its line, then each answer with the advice."""
    if not explanation.passages:
        return _text(_wrapped(explanation.message))
    asked = all(passage.kind == QUESTION for passage in explanation.passages)
    lines = [] if asked else [explanation.message]
    for answer in explanation.answers:
        lines += ["", *answer_lines(answer)]
    return _text(lines)


def answer_lines(answer: ExplainedAnswer) -> list[str]:
    lines = [f"{answer.title}  {answer.name}".rstrip()]
    pasted = [passage for passage in answer.passages if passage.kind != QUESTION]
    lines += [_clip(f"  line {found.line}, {found.kind}: {found.passage}") for found in pasted[:SHOWN_PASSAGES]]
    if len(pasted) > SHOWN_PASSAGES:
        lines.append(f"  and {len(pasted) - SHOWN_PASSAGES} more")
    lines += [f"  {line}" for line in _wrapped(answer.explanation, WIDTH - 2)]
    for advice in answer.advice:
        for meaning in advice.meanings:
            lines += ["", *_meaning(advice.found, meaning, several=len(answer.advice) > 1)]
    lines += ["", *(f"{'Page':{LABEL}}  {public_link(code.url)}" for code in answer.codes)]
    return lines


def _meaning(found: FoundCode | None, meaning: Meaning, *, several: bool = False) -> Iterator[str]:
    if found is not None and several:
        yield f"{found.registry.short_name} {found.code} {meaning.name}"
    if found is not None and len(found.meanings) > 1:
        yield f"[{meaning.owner.name}] {meaning.name}"
    yield from _wrapped(meaning.summary)
    yield ""
    if found is not None and found.delivery:
        yield from _labelled("Delivery", found.delivery)
    for label, advice in _advice(found, meaning):
        yield from _labelled(label, advice)
    yield from _labelled("Retry", retry_words(meaning))
    for note in meaning.local_notes.all():
        yield from _labelled("Site note", note.text)
    specs = [f"{spec['document']} {spec['section']}".strip() for spec in meaning.specs if spec["current"]]
    yield from _labelled("Defined in", "; ".join(specs))


def _advice(found: FoundCode | None, meaning: Meaning) -> list[tuple[str, str]]:
    is_stroom = found is not None and found.registry.slug == "stroom"
    readers = [("Sender", "sender"), ("Server", "server"), ("Administrator", "administrator")]
    if is_stroom:
        readers = [("Sender", "sender"), ("Administrator", "administrator"), ("Proxy in front", "server")]
    return [(label, meaning.what_to_do.get(reader, "")) for label, reader in readers]


def retry_words(meaning: Meaning) -> str:
    """Return the retry advice in one line."""
    retry = meaning.retry
    facts = [labels.VERDICTS[meaning.retry_verdict]]
    if meaning.retry_verdict != "not_needed":
        facts.append("the same request" if retry["same_request"] else "not the same request")
    facts += [
        said
        for key, said in (
            ("honours_retry_after", "Retry-After counts"),
            ("idempotent_only", "automatically only for idempotent methods"),
        )
        if retry[key]
    ]
    return f"{', '.join(facts)}. {retry['note']}".strip()


def _title(found: FoundCode) -> str:
    name = " / ".join(meaning.name for meaning in found.meanings)
    fact = labels.STANDINGS[found.standing]
    if isinstance(found, FoundMeaning):
        fact = f"as {found.meanings[0].owner.name} uses it"
    elif found.http_statuses:
        fact = "with " + " or ".join(f"HTTP {status}" for status in found.http_statuses)
    return f"{found.registry.short_name} {found.code} {name}".rstrip() + f"  ({fact})"


def _labelled(label: str, text: str) -> list[str]:
    """Return a label with its text next to it; nothing for an empty text."""
    if not text.strip():
        return []
    paragraphs = [line for part in text.splitlines() for line in _wrapped(part, WIDTH - LABEL - 2)]
    return [f"{label if number == 0 else '':{LABEL}}  {line}".rstrip() for number, line in enumerate(paragraphs)]


def _wrapped(text: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _clip(line: str) -> str:
    """Return one line without control characters, shortened to the width."""
    shown = "".join(character if character.isprintable() else " " for character in line)
    return shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).strip("\n") + "\n"
