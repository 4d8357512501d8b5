"""Pages of the documentation."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from portal import documentation
from portal.rest.conditional import conditional_page
from portal.site import own_address


@conditional_page
def documentation_index(request: HttpRequest) -> HttpResponse:
    """Show all pages of the documentation with their first sentences."""
    return render(request, "docs/index.html", {"pages": documentation.pages(), "version": documentation.version()})


@conditional_page
def documentation_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page of the documentation."""
    page = documentation.page_of(slug)
    if page is None:
        raise Http404("The documentation has no such page.")
    context = {"page": page, "html": page.html_for(own_address(request)), "pages": documentation.pages()}
    return render(request, "docs/page.html", context)


@conditional_page
def retry_file(_request: HttpRequest, name: str) -> HttpResponse:
    """Return a file that senders copy."""
    kind = documentation.RETRY_FILES.get(name)
    if kind is None:
        raise Http404("There is no such file.")
    content = (documentation.RETRY_FOLDER / name).read_bytes()
    return HttpResponse(content, content_type=f"{kind}; charset=utf-8")


@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """Redirect to the icon. Browsers request this address for pages that name no icon, such as Swagger UI."""
    return redirect(static("favicon.svg"))
