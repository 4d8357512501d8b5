"""Who sends something to a page that takes nothing, or an outdated form, is told so in words that help."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from feeds.models import Feed

READ_ONLY = ["/", "/codes/", "/codes/http/404/", "/codes/compare/", "/docs/", "/docs/api/"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", READ_ONLY)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PROPFIND", "TRACE"])
def test_a_page_that_is_only_read_says_so(path: str, method: str) -> None:
    response = Client(enforce_csrf_checks=True).generic(method, path, b"x=1")
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert "This page can only be read." in response.content.decode()


@pytest.mark.django_db
def test_a_form_that_was_left_open_over_a_sign_in_is_explained() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("admin"))
    response = client.post("/admin/feeds/feed/add/", {"name": "NEW-FEED", "status": "Receive"})
    text = response.content.decode()
    assert response.status_code == 403
    assert "Nothing was changed." in text
    assert "load the page again" in text
    assert not Feed.objects.exists()


@pytest.mark.django_db
def test_the_sign_in_form_is_explained_too() -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "admin", "password": "x"})
    assert response.status_code == 403
    assert "This form was open too long" in response.content.decode()
