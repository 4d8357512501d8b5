"""URLs that Django serves. The edge answers wire paths before Django sees them."""

from django.contrib import admin
from django.urls import include, path

import codes.pages.views
from portal import views
from portal.rest.index import IndexView
from portal.rest.schema_views import DocsView, SchemaView
from portal.search import search_page

handler400 = "portal.rest.problems.bad_request"
handler403 = "portal.rest.problems.permission_denied"
handler404 = "portal.rest.problems.not_found"
handler500 = "portal.rest.problems.server_error"

urlpatterns = [
    path("", codes.pages.views.home, name="home"),
    path("codes/", include("codes.pages.urls")),
    path("search/", search_page, name="search"),
    path("favicon.ico", views.favicon),
    path("admin/", admin.site.urls),
    path("docs/", views.documentation_index, name="documentation-index"),
    path("docs/retry/retry.json", codes.pages.views.retry_json, name="retry-json"),
    path("docs/retry/<str:name>", views.retry_file, name="retry-file"),
    path("docs/<slug:slug>/", views.documentation_page, name="documentation"),
    path("api/v1/", IndexView.as_view(), name="api-index"),
    path("api/v1/", include("codes.api.urls")),
    path("api/v1/", include("feeds.api.urls")),
    path("api/v1/", include("portal.access.api")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
]
