"""Addresses of the catalogue below /api/v1/."""

from django.urls import path

from codes import api, explain_api

app_name = "codes_api"

urlpatterns = [
    path("codes/", api.CodeList.as_view(), name="codes"),
    path("codes/lookup/", api.Lookup.as_view(), name="lookup"),
    path("codes/explain/", explain_api.Explain.as_view(), name="explain"),
    path("codes/compare/", api.Compare.as_view(), name="compare"),
    path("codes/export.json", api.ExportJson.as_view(), name="export-json"),
    path("codes/export.schema.json", api.ExportSchema.as_view(), name="export-schema"),
    path("codes/export.csv", api.ExportCsv.as_view(), name="export-csv"),
    path("codes/retry.json", api.RetryJson.as_view(), name="retry"),
    path("codes/<slug:registry>/<slug:code>/", api.CodeDetail.as_view(), name="code"),
    path("codes/<slug:registry>/<slug:code>/<slug:owner>/", api.MeaningDetail.as_view(), name="meaning"),
    path("releases/", api.ReleaseList.as_view(), name="releases"),
    path("disagreements/", api.DisagreementList.as_view(), name="disagreements"),
    path("sources/", api.SourceList.as_view(), name="sources"),
    path("sources/<slug:slug>/", api.SourceDetail.as_view(), name="source"),
    path("vendors/", api.VendorList.as_view(), name="vendors"),
    path("vendors/<slug:slug>/", api.VendorDetail.as_view(), name="vendor"),
    path("headers/", api.HeaderList.as_view(), name="headers"),
    path("headers/<slug:slug>/", api.HeaderDetail.as_view(), name="header"),
    path("registries/", api.RegistryList.as_view(), name="registries"),
    path("classes/<slug:registry>/<slug:key>/", api.ClassDetail.as_view(), name="class"),
]
