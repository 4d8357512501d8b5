"""Addresses of the catalogue below /api/v1/."""

from django.urls import path

from codes.api import downloads, explain, views

app_name = "codes_api"

urlpatterns = [
    path("codes/", views.CodeList.as_view(), name="codes"),
    path("codes/lookup/", views.Lookup.as_view(), name="lookup"),
    path("codes/explain/", explain.Explain.as_view(), name="explain"),
    path("codes/compare/", views.Compare.as_view(), name="compare"),
    path("codes/export.json", downloads.ExportJson.as_view(), name="export-json"),
    path("codes/export.schema.json", downloads.ExportSchema.as_view(), name="export-schema"),
    path("codes/export.csv", downloads.ExportCsv.as_view(), name="export-csv"),
    path("codes/retry.json", downloads.RetryJson.as_view(), name="retry"),
    path("codes/<slug:registry>/<slug:code>/", views.CodeDetail.as_view(), name="code"),
    path("codes/<slug:registry>/<slug:code>/<slug:owner>/", views.MeaningDetail.as_view(), name="meaning"),
    path("releases/", views.ReleaseList.as_view(), name="releases"),
    path("disagreements/", views.DisagreementList.as_view(), name="disagreements"),
    path("sources/", views.SourceList.as_view(), name="sources"),
    path("sources/<slug:slug>/", views.SourceDetail.as_view(), name="source"),
    path("vendors/", views.VendorList.as_view(), name="vendors"),
    path("vendors/<slug:slug>/", views.VendorDetail.as_view(), name="vendor"),
    path("headers/", views.HeaderList.as_view(), name="headers"),
    path("headers/<slug:slug>/", views.HeaderDetail.as_view(), name="header"),
    path("registries/", views.RegistryList.as_view(), name="registries"),
    path("classes/<slug:registry>/<slug:key>/", views.ClassDetail.as_view(), name="class"),
]
