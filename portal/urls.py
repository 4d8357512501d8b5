"""All addresses that Django serves; wire paths are answered by the edge before Django sees them."""

from django.contrib import admin
from django.urls import include, path

handler400 = "portal.problems.bad_request"
handler403 = "portal.problems.permission_denied"
handler404 = "portal.problems.not_found"
handler500 = "portal.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("codes.urls_api")),
]
