"""The admin site: titles, room for columns, and a first page that says how things stand."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.main import SEARCH_VAR
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.db import NotSupportedError
from django.http import HttpRequest, HttpResponse
from django.http.request import QueryDict
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.utils.text import smart_split

from portal.access.roles import enters_admin

MAX_SEARCH_WORDS = 20
MAX_SEARCH_LENGTH = 2_000


class SignInForm(AdminAuthenticationForm):
    """The login page's form, for everybody whom a role or *Staff status* lets in."""

    def confirm_login_allowed(self, user: User) -> None:
        AuthenticationForm.confirm_login_allowed(self, user)
        if not enters_admin(user):
            raise self.get_invalid_login_error()


class PortalAdminSite(AdminSite):
    """Stock admin under our name. The side bar is off: lists need the width."""

    site_title = "Stroom portal"
    site_header = "Stroom portal"
    index_title = "How things stand"
    index_template = "admin/index.html"
    enable_nav_sidebar = False
    login_form = SignInForm

    def has_permission(self, request: HttpRequest) -> bool:
        return enters_admin(request.user)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002  # Django's
        """Every page: a question that would take the database too long is refused before it is asked (S27), and
        what was to be written but waits for a second person leads to its proposal (S30).
        """
        inner: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        def bounded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            from feeds.admin.proposals import tell
            from feeds.changes.approval import Proposed

            if fault := unbounded(request.GET):
                return _refusal(request, fault)
            try:
                return inner(request, *args, **kwargs)
            except NotSupportedError:
                return _refusal(request, "The database cannot filter the list in this way.")
            except Proposed as proposed:
                return tell(request, proposed.proposal)

        return update_wrapper(bounded, inner)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's page; beyond the allowance of sign-ins it says when to try again."""
        from portal.access.sign_in import TooManySignIns

        try:
            return super().login(request, extra_context)
        except TooManySignIns as refused:
            context = {"status": 429, "name": "Too Many Requests", "detail": str(refused.detail)}
            response = render(request, "error.html", context, status=429)
            response["Retry-After"] = str(refused.wait)
            return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Numbers and one chart for those who may see feeds, then the usual list of what there is to manage."""
        from feeds.changes.approval import is_on, waiting
        from feeds.monitoring.metrics import FOLDER
        from feeds.monitoring.overview import overview
        from feeds.monitoring.snapshot import last_holdings

        context = dict(extra_context or {})
        if request.user.has_perms(["feeds.view_feed", "feeds.view_hourlycount"]):
            context["overview"] = overview()
            context["holdings"] = last_holdings(settings.DATA_DIR / FOLDER)
        if is_on() and request.user.has_perm("feeds.view_feed"):
            context["proposals_waiting"] = waiting().count()
        return super().index(request, context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """What people come for stands first."""
        order = {"feeds": 0, "codes": 1, "portal": 2}
        return sorted(super().get_app_list(request, app_label), key=lambda app: order.get(app["app_label"], 9))


def _refusal(request: HttpRequest, detail: str) -> HttpResponse:
    context = {"status": 400, "name": "Bad Request", "detail": detail, "way_on": request.path}
    return render(request, "error.html", context, status=400)


def unbounded(query: QueryDict) -> str:
    """Why a list cannot be asked this; empty where it can."""
    text = query.get(SEARCH_VAR, "")
    if len(text) > MAX_SEARCH_LENGTH or len(list(smart_split(text))) > MAX_SEARCH_WORDS:
        return f"A search takes at most {MAX_SEARCH_WORDS} words, of {MAX_SEARCH_LENGTH:,} characters in all."
    if any(name.endswith(("__regex", "__iregex")) for name in query):
        return "Lists are not filtered by regular expressions: some of them never come to an end."
    return ""
