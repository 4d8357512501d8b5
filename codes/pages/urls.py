"""Addresses of the catalogue's pages below /codes/. Numbers are not padded, slugs are in lower case."""

from django.urls import path

from codes.pages import changes_feed, explain, views

app_name = "codes"

urlpatterns = [
    path("", views.code_list, name="list"),
    path("lookup/", views.lookup, name="lookup"),
    path("explain/", explain.explain_page, name="explain"),
    path("compare/", views.compare_page, name="compare"),
    path("disagreements/", views.disagreements, name="disagreements"),
    path("sources/", views.sources, name="sources"),
    path("sources/<slug:slug>/", views.source, name="source"),
    path("vendors/", views.vendors, name="vendors"),
    path("vendors/<slug:slug>/", views.vendor, name="vendor"),
    path("headers/", views.header_list, name="headers"),
    path("headers/<slug:slug>/", views.header, name="header"),
    path("data/", views.data, name="data"),
    path("data/changes.atom", changes_feed.ChangesFeed(), name="changes"),
    path("<slug:registry>/", views.registry_page, name="registry"),
    path("<slug:registry>/<slug:code>/", views.detail, name="detail"),
    path("<slug:registry>/<slug:code>/<slug:owner>/", views.meaning_page, name="meaning"),
]
