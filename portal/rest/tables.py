"""Tables at addresses of their own: `/api/v1/feeds.csv` is `/api/v1/feeds/` with `format=csv`."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from portal.rest.problems import API_PREFIX, problem

FORMAT = "format"
METHODS = "GET, HEAD, OPTIONS"


@csrf_exempt
def table(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answer as the list does where CSV is wanted."""
    try:
        match = resolve(f"{API_PREFIX}v1/{path}/")
    except Resolver404:
        raise Http404 from None
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": METHODS})
    if request.method not in {"GET", "HEAD"}:
        return problem(request, 405, "A table can only be read.", headers={"Allow": METHODS})
    if FORMAT in request.GET:
        return problem(
            request, 400, "format: is not known here; the address says that it is CSV", code="invalid_parameter"
        )
    query = request.GET.copy()
    query[FORMAT] = "csv"
    request.GET = query  # type: ignore[assignment]  # mutable, and read only from now on
    return match.func(request, *match.args, **match.kwargs)  # type: ignore[no-any-return]
