"""The admin site: titles, room for columns, and a first page that says how things stand."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse


class PortalAdminSite(AdminSite):
    """Stock admin under our name. The side bar is off: lists need the width."""

    site_title = "Stroom portal"
    site_header = "Stroom portal"
    index_title = "How things stand"
    index_template = "admin/index.html"
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Numbers and one chart for those who may see feeds, then the usual list of what there is to manage."""
        from feeds.overview import overview

        context = dict(extra_context or {})
        if request.user.has_perms(["feeds.view_feed", "feeds.view_hourlycount"]):
            context["overview"] = overview()
        return super().index(request, context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """What people come for stands first."""
        order = {"feeds": 0, "codes": 1, "portal": 2}
        return sorted(super().get_app_list(request, app_label), key=lambda app: order.get(app["app_label"], 9))
