"""Tables at addresses of their own: `/api/v1/feeds.csv` is `/api/v1/feeds/` with `format=csv`."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import is_valid_path

from portal.rest.problems import API_PREFIX, problem

FORMAT = "format"
SUFFIX = ".csv"
METHODS = "GET, HEAD, OPTIONS"


class TableMiddleware:
    """Leads the address of a table to its list, so that everything else sees the list."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        listing = f"{path.removesuffix(SUFFIX)}/"
        is_table = path.startswith(API_PREFIX) and path.endswith(SUFFIX) and not is_valid_path(path)
        if not is_table or not is_valid_path(listing):
            return self._get_response(request)
        if request.method == "OPTIONS":
            return HttpResponse(status=204, headers={"Allow": METHODS})
        if request.method not in {"GET", "HEAD"}:
            return problem(request, 405, "A table can only be read.", headers={"Allow": METHODS})
        if FORMAT in request.GET:
            detail = "format: is not known here; the address says that it is CSV"
            return problem(request, 400, detail, code="invalid_parameter")
        query = request.GET.copy()
        query[FORMAT] = "csv"
        request.GET = query  # type: ignore[assignment]  # mutable, and read only from now on
        request.path_info = listing
        return self._get_response(request)
