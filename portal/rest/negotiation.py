"""Content negotiation (RFC 9110, section 12.5.1): `format=` first, then the qualities of the Accept header."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from portal.rest.problems import BadQuery

ANY = "*/*"


class MediaRange(NamedTuple):
    """One item of an Accept header: a type, `type/*` or `*/*`, its parameters, and its quality from 0 to 1."""

    name: str
    parameters: str
    quality: float

    def fits(self, media_type: str) -> int:
        """Return how specific the range is for a type: 4 to 1; 0 if it does not match."""
        if self.name == media_type:
            return 4 if self.parameters else 3
        if self.name == f"{media_type.partition('/')[0]}/*":
            return 2
        return 1 if self.name == ANY else 0


def read_accept(header: str) -> list[MediaRange]:
    """Return the items of an Accept header. A bare `*`, as old Java clients send it, is `*/*`."""
    return [_read_range(item) for item in header.split(",") if item.strip()]


def _read_range(item: str) -> MediaRange:
    name, *given = (part.strip() for part in item.split(";"))
    name = name.lower()
    quality = 1.0
    parameters = []
    for parameter in given:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            quality = _quality(value.strip())
        elif parameter:
            parameters.append(parameter)
    return MediaRange(ANY if name == "*" else name, "; ".join(parameters), quality)


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def quality_of(media_type: str, ranges: Sequence[MediaRange]) -> tuple[float, MediaRange | None]:
    """Return the quality of a type, 0 if it is refused or not named, and the most specific range that names it."""
    named = [one for one in ranges if one.fits(media_type)]
    best = max(named, key=lambda one: one.fits(media_type), default=None)
    return (best.quality, best) if best else (0.0, None)


class Negotiation(DefaultContentNegotiation):
    """`?format=` beats the Accept header, and an unknown one is 400 with its name.

    Of the types that Accept names, the one of the highest quality is sent; of several, the first of the view.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        offered = list(renderers)
        wanted = request.query_params.get(self.settings.URL_FORMAT_OVERRIDE)
        if wanted is not None:
            return self._by_format(offered, wanted)
        ranges = read_accept(request.headers.get("Accept", ""))
        if not ranges:
            return offered[0], str(offered[0].media_type)
        judged = [(renderer, *quality_of(str(renderer.media_type), ranges)) for renderer in offered]
        renderer, quality, found = max(judged, key=lambda one: one[1])
        if quality == 0 or found is None:
            kinds = ", ".join(dict.fromkeys(str(one.media_type) for one in offered))
            raise NotAcceptable(f"The answer exists as {kinds}, and Accept names none of these.")
        parameters = f"; {found.parameters}" if found.parameters and found.name == renderer.media_type else ""
        return renderer, f"{renderer.media_type}{parameters}"

    def _by_format(self, offered: Sequence[BaseRenderer], wanted: str) -> tuple[BaseRenderer, str]:
        for renderer in offered:
            if renderer.format == wanted:
                return renderer, str(renderer.media_type)
        known = ", ".join(dict.fromkeys(str(renderer.format) for renderer in offered))
        raise BadQuery({self.settings.URL_FORMAT_OVERRIDE: f"must be one of {known}, not {wanted[:40]!r}"})
