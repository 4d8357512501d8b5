"""All addresses that Django serves; wire paths are answered by the edge before Django sees them."""

from django.contrib import admin
from django.urls import path

urlpatterns = [
    path("admin/", admin.site.urls),
]
