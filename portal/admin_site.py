"""Admin site of the portal: titles, sign-in, and bounds on what lists can be asked."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.db import NotSupportedError
from django.http import HttpRequest, HttpResponse
from django.http.request import QueryDict
from django.shortcuts import render
from django.utils.text import smart_split

from portal.access.roles import enters_admin

MAX_SEARCH_WORDS = 20
MAX_SEARCH_LENGTH = 2_000


class SignInForm(AdminAuthenticationForm):
    """Sign-in form for users with a role or *Staff status*."""

    def confirm_login_allowed(self, user: User) -> None:
        AuthenticationForm.confirm_login_allowed(self, user)
        if not enters_admin(user):
            raise self.get_invalid_login_error()


class PortalAdminSite(AdminSite):
    """Django's admin under our name, without the side bar: lists need the width."""

    site_title = "Stroom portal"
    site_header = "Stroom portal"
    index_title = "Overview"
    index_template = "admin/index.html"
    enable_nav_sidebar = False
    login_form = SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return enters_admin(request.user)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002  # Django's
        """Wrap a page so that queries which would take the database too long are refused (S27)."""
        inner: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        def bounded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if fault := unbounded(request.GET):
                return _refusal(request, fault)
            try:
                return inner(request, *args, **kwargs)
            except NotSupportedError:
                return _refusal(request, "The database cannot filter the list in this way.")

        return update_wrapper(bounded, inner)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Serve Django's sign-in page, or 429 with the time to wait above the limit on failed sign-ins."""
        from portal.access.sign_in import TooManySignIns

        try:
            return super().login(request, extra_context)
        except TooManySignIns as refused:
            context = {"status": 429, "name": "Too Many Requests", "detail": str(refused.detail)}
            response = render(request, "error.html", context, status=429)
            response["Retry-After"] = str(refused.wait)
            return response

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the apps, feeds first."""
        order = {"feeds": 0, "codes": 1, "portal": 2}
        return sorted(super().get_app_list(request, app_label), key=lambda app: order.get(app["app_label"], 9))


def _refusal(request: HttpRequest, detail: str) -> HttpResponse:
    context = {"status": 400, "name": "Bad Request", "detail": detail, "way_on": request.path}
    return render(request, "error.html", context, status=400)


def unbounded(query: QueryDict) -> str:
    """Return why a query of a list is refused; empty where it is allowed."""
    text = query.get(SEARCH_VAR, "")
    if len(text) > MAX_SEARCH_LENGTH or len(list(smart_split(text))) > MAX_SEARCH_WORDS:
        return f"A search takes at most {MAX_SEARCH_WORDS} words, of {MAX_SEARCH_LENGTH:,} characters in all."
    if any(name.endswith(("__regex", "__iregex")) for name in query):
        return "Lists cannot be filtered by regular expressions: some of them take too long."
    return ""
