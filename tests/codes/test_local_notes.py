"""The site's own notes on codes: written in the admin, shown to everybody, kept whatever is loaded."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from codes import loading
from codes.models import LocalNote, Release
from codes.notes import MAX_LENGTH, render_note
from portal.access.roles import ADMINISTRATOR, AUDITOR, CERTIFICATE_OFFICER, FEED_EDITOR, VIEWER
from portal.models import AuditRecord

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("catalogue")]

TEXT = "Ask **team blue** first, see [our page](https://wiki.example.org/110).\n\n* one\n* two"


def client_of(role: str | None) -> Client:
    user = User.objects.create_user(f"user-{role}", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def administrator() -> Client:
    return client_of(ADMINISTRATOR)


def add(client: Client, text: str = TEXT, meaning: str = "stroom/110/stroom") -> LocalNote:
    response = client.post(reverse("admin:codes_localnote_add"), {"meaning": meaning, "text": text})
    assert response.status_code == 302, response.content.decode()
    return LocalNote.objects.latest("pk")


def test_an_administrator_adds_a_note_and_everybody_reads_it(administrator: Client, site: Client) -> None:
    add(administrator)
    html = site.get("/codes/stroom/110/").content.decode()
    assert "<strong>team blue</strong>" in html
    assert '<a href="https://wiki.example.org/110" rel="noreferrer nofollow">our page</a>' in html
    assert "<li>two</li>" in html
    (note,) = site.get("/api/v1/codes/stroom/110/").json()["local_notes"]
    assert (note["owner"], note["text"]) == ("stroom", TEXT)
    assert "<strong>team blue</strong>" in note["html"]
    assert "Ask **team blue**" in site.get("/codes/stroom/110/", headers={"Accept": "text/plain"}).content.decode()


def test_a_note_is_on_one_meaning_of_a_number(administrator: Client, site: Client) -> None:
    add(administrator, "For mail only.", "http/451/microsoft")
    assert "For mail only." in site.get("/codes/http/451/microsoft/").content.decode()
    assert "For mail only." not in site.get("/codes/http/451/ietf/").content.decode()
    assert site.get("/api/v1/codes/http/451/ietf/").json()["local_notes"] == []
    (note,) = site.get("/api/v1/codes/http/451/").json()["local_notes"]
    assert note["owner"] == "microsoft"


def test_a_note_is_no_part_of_the_export(administrator: Client, site: Client) -> None:
    add(administrator, "secretly local")
    assert b"secretly local" not in site.get("/api/v1/codes/export.json").content


def test_every_version_of_a_note_is_kept_with_who_wrote_it(administrator: Client) -> None:
    note = add(administrator, "first\nsame")
    url = reverse("admin:codes_localnote_change", args=[note.pk])
    assert administrator.post(url, {"text": "second\nsame"}).status_code == 302
    history = reverse("admin:codes_localnote_history", args=[note.pk])
    html = administrator.get(history).content.decode()
    assert "<del>- first</del>" in html
    assert "<ins>+ second</ins>" in html
    story = html.split('<ol class="story">', 1)[1]
    assert story.count(f"user-{ADMINISTRATOR}</strong>") == 2
    administrator.post(reverse("admin:codes_localnote_delete", args=[note.pk]), {"post": "yes"})
    assert not LocalNote.objects.exists()
    html = administrator.get(history).content.decode()
    assert "<del>- second</del>" in html


def test_changes_of_a_note_are_in_the_audit_record(administrator: Client) -> None:
    note = add(administrator, "watch this")
    entry = AuditRecord.objects.filter(kind="local note").latest("pk")
    assert (entry.action, entry.key, entry.actor) == ("created", str(note.pk), f"user-{ADMINISTRATOR}")


def test_the_meaning_of_a_note_stays(administrator: Client) -> None:
    note = add(administrator)
    url = reverse("admin:codes_localnote_change", args=[note.pk])
    administrator.post(url, {"text": "moved?", "meaning": "http/404/ietf"})
    note.refresh_from_db()
    assert (note.meaning_id, note.text) == ("stroom/110/stroom", "moved?")


def test_a_note_survives_every_load(administrator: Client, site: Client) -> None:
    note = add(administrator)
    Release.objects.all().delete()
    loading.load()
    loading.load(prune=True)
    assert LocalNote.objects.get().pk == note.pk
    assert "team blue" in site.get("/codes/stroom/110/").content.decode()


def test_administrators_still_reach_a_note_whose_meaning_left_the_files(administrator: Client) -> None:
    note = LocalNote.objects.create(meaning_id="http/471/example", text="from a file that is gone")
    url = reverse("admin:codes_localnote_change", args=[note.pk])
    for address in (reverse("admin:codes_localnote_changelist"), url):
        assert "http/471/example (not in the catalogue now)" in administrator.get(address).content.decode()
    assert administrator.post(url, {"text": "kept"}).status_code == 302
    assert administrator.get(reverse("admin:codes_localnote_history", args=[note.pk])).status_code == 200
    assert (
        administrator.post(reverse("admin:codes_localnote_delete", args=[note.pk]), {"post": "yes"}).status_code
        == 302
    )


def test_a_note_too_long_is_refused(administrator: Client) -> None:
    form = {"meaning": "http/404/ietf", "text": "x" * (MAX_LENGTH + 1)}
    response = administrator.post(reverse("admin:codes_localnote_add"), form)
    assert response.status_code == 200
    assert not LocalNote.objects.exists()


@pytest.mark.parametrize("role", [None, VIEWER, FEED_EDITOR, CERTIFICATE_OFFICER, AUDITOR, ADMINISTRATOR])
def test_s13_only_administrators_write_notes_and_every_role_reads_them(role: str | None) -> None:
    note = LocalNote.objects.create(meaning_id="http/404/ietf", text="here")
    client = client_of(role)
    pages = {
        "changelist": reverse("admin:codes_localnote_changelist"),
        "change": reverse("admin:codes_localnote_change", args=[note.pk]),
        "history": reverse("admin:codes_localnote_history", args=[note.pk]),
        "add": reverse("admin:codes_localnote_add"),
        "delete": reverse("admin:codes_localnote_delete", args=[note.pk]),
    }
    statuses = {name: client.get(url).status_code for name, url in pages.items()}
    reads, writes = (200 if role else 403), (200 if role == ADMINISTRATOR else 403)
    assert statuses == {
        "changelist": reads,
        "change": reads,
        "history": reads,
        "add": writes,
        "delete": writes,
    }
    if role != ADMINISTRATOR:
        client.post(pages["change"], {"text": "changed"})
        client.post(pages["delete"], {"post": "yes"})
        client.post(pages["add"], {"meaning": "http/404/ietf", "text": "new"})
        assert [row.text for row in LocalNote.objects.all()] == ["here"]


def test_no_other_part_of_the_catalogue_is_edited_in_the_admin() -> None:
    from django.contrib import admin

    models = {model.__name__ for model in admin.site._registry if model._meta.app_label == "codes"}
    assert models == {"LocalNote"}


HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "[x](javascript:alert(1))",
    "[x](  JAVASCRIPT:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    '[x](https://a.example/"onmouseover=alert(1)//)',
    "![x](https://tracker.example/p.png)",
    "<javascript:alert(1)>",
    "<https://ok.example/><b>",
    "```html\n<script>1</script>\n```",
    "| a |\n|---|\n| <script>1</script> |",
    "# heading\n\n## other\n\nunder\n===",
    "&lt;script&gt; &#60;script&#62;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_s10_a_note_is_never_more_than_harmless_markup(text: str, site: Client) -> None:
    note = LocalNote.objects.create(meaning_id="http/404/ietf", text=text)
    for html in (render_note(text), site.get("/codes/http/404/").content.decode()):
        own = html.split("Note of this site", 1)[-1].split("</section>", 1)[0]
        assert not re.search(r"<(script|img|svg|iframe|style|h1|h2(?! *>))", own)
        assert not re.search(r"<[^>]*\son\w+=", own)
        assert not re.search(r'href="\s*(javascript|data|vbscript)', own, re.IGNORECASE)
    admin = client_of(ADMINISTRATOR)
    for name in ("change", "history"):
        html = admin.get(reverse(f"admin:codes_localnote_{name}", args=[note.pk])).content.decode()
        assert "<script>alert" not in html
        assert "onerror=" not in html.replace("onerror=&quot;", "").replace('onerror="alert(1)"&gt;', "")


@given(st.text(max_size=300))
def test_any_text_renders_to_known_tags_only(text: str) -> None:
    allowed = {"p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "a"}
    allowed |= {"table", "thead", "tbody", "tr", "th", "td"}
    assert set(re.findall(r"</?([a-zA-Z][a-zA-Z0-9]*)", render_note(text))) <= allowed


def test_own_files_of_the_product_hold_no_note(tmp_path: Path) -> None:
    """Notes live in the database alone, so that nothing of a site travels with the product."""
    assert not any("local_notes" in path.read_text() for path in loading.DATA_DIRECTORY.rglob("*.toml"))
