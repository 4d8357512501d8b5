"""Answers while the catalogue is not loaded: 503, because no code is unknown and no list is empty then."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from codes.models import Registry
from codes.release import one_version
from portal.rest.problems import API_PREFIX, problem, status_name

NOT_LOADED = (
    "The catalogue of status codes is not loaded yet. The operator of the portal loads it with "
    "“manage.py load_catalogue”, or by starting the portal again."
)
_OURS = frozenset({"codes", "codes_api"})


class CatalogueMiddleware:
    """Answers 503 for everything below /codes/ and for the catalogue's API while there is no catalogue.

    A catalogue that was there once is not asked for again: no load ever leaves none. Each request shows one version
    of the catalogue.
    """

    was_seen = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with one_version():
            return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Return the 503 of an empty catalogue, or None where the view answers."""
        match = request.resolver_match
        if match is None or _OURS.isdisjoint(match.app_names) or request.method == "OPTIONS" or self._is_loaded():
            return None
        if request.path.startswith(API_PREFIX):
            # As with every answer of the catalogue: scripts of other sites may read it.
            return problem(request, 503, NOT_LOADED, headers={"Access-Control-Allow-Origin": "*"})
        status = HTTPStatus.SERVICE_UNAVAILABLE
        context = {"status": int(status), "name": status_name(status), "detail": NOT_LOADED, "is_explained": False}
        return render(request, "error.html", context, status=status)

    def _is_loaded(self) -> bool:
        if not self.was_seen:
            try:
                type(self).was_seen = Registry.objects.exists()
            except (OperationalError, InterfaceError):
                return True  # the view will say what is wrong with the database
        return self.was_seen
