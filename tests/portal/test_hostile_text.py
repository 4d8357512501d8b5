"""S10: whatever senders and editors write is text on every page, never an element, attribute, script or address."""

import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import reverse

from codes import loading
from codes.catalogue.toml_table import CatalogueFault
from feeds.models import Feed, PendingImport, Receipt
from tests.calls import Answer
from tests.feeds.admin.admin_client import feed_form, one_rule
from tests.hostile import MARK, PAYLOADS, bundle, faults_of, fields_on, handfuls, texts, unescaped
from tests.hostile_site import OWN_SOURCE, code_of, fill, fill_proposals, own_source, text_columns

pytestmark = [pytest.mark.django_db]

#: What is told to programs: no browser makes a page of it where it may not guess the type.
FOR_PROGRAMS = (
    "application/json",
    "application/problem+json",
    "application/schema+json",
    "application/zip",
    "application/vnd.oai.openapi",
    "application/octet-stream",
    "text/csv",
    "text/plain",
    "text/javascript",
    "application/javascript",
)
SENDER = {"headername", "headervalue", "headerfeed", "refusalsamplesenderdn", "trace"}
FEED_TEXTS = {
    *("feedname", "feeddescription", "feedclassification", "feedlabels", "feedstreamtype", "feedencoding"),
    *("feedcontextencoding", "feeddataformat", "feedschema", "feedschemaversion"),
}
#: What each page must be seen to show, so that no page passes by showing nothing.
SHOWN: dict[str, set[str]] = {
    "feeds": {"feedname", "feedowner", "savedviewname"},
    "all columns": {"feedname", "feedclassification", "feeddescription"},
    "feed to read": {"feedname", "feedowner", "feeddescription", "certificaterulesubjectdn", "trace", "comment"},
    "feed": {*FEED_TEXTS, "ownerlater", "certificaterulesubjectdn", "rulelater", "trace", "refusalsamplesenderdn"},
    "feed history": {
        *(*FEED_TEXTS, "feedowner", "ownerlater", "certificaterulesubjectdn", "certificaterulecomment"),
        *("rulelater", "comment", "requestid", "address", "userusername"),
    },
    "feed deletion": {"feedname"},
    "revert": {"feedname", "feedowner", "ownerlater"},
    "deleted feeds": {"feedname", "comment", "userusername"},
    "restore": {"feedname", "comment", "userusername", "certificaterulesubjectdn"},
    "proposals": {"proposalnames", "proposalcomment", "proposalproposer", "proposaldecider"},
    "proposal": {
        *("proposalnames", "proposalcomment", "proposalproposer", "proposalremoteaddress", "proposalrequestid"),
        *("feedname", "ownerlater", "proposedowner", "proposedrule", "proposedcomment", "itemcomment"),
    },
    "decided proposal": {"proposaldecider", "proposaldecisioncomment", "proposedrule"},
    "counts": {"hourlycountfeed"},
    "refused now": {"hourlycountfeed", "feedname", "refusalsamplesenderdn", "refusalsampleremoteaddress"},
    "samples": {"refusalsamplefeed", "refusalsamplesenderdn", "refusalsampleremoteaddress"},
    "sample": {*SENDER, "refusalsamplefeed"},
    "test of a sample": {"headername", "headervalue", "headerfeed", "refusalsamplesenderdn"},
    "receipts": {"receiptfeed", "receiptcompression", "receiptremoteaddress"},
    "receipt": {
        *("headername", "headervalue", "headerfeed", "groupname", "groupfeed", "receiptnote", "receiptguid"),
        *("receiptsenderdn", "receiptduplicateof", "receiptcompression"),
    },
    "receipt rules": {"receiptrulename", "rulecondition"},
    "receipt rule": {
        *("receiptrulename", "receiptrulecomment", "receiptrulependingcomment", "rulecondition", "rulepending"),
        *("receiptrulematchfeed", "receiptrulematchsender", "userusername"),
    },
    "receipt rule deletion": {"receiptrulename"},
    "first page": {"feedname", "receiptsenderdn", "certificaterulesubjectdn", "userfirstname"},
    "home": set(),
    "policies": {"retentionpolicyfeed"},
    "policy": {"retentionpolicyfeed"},
    "policy history": {"retentionpolicyfeed", "logentrychangemessage", "userusername"},
    "policy deletion": {"retentionpolicyfeed"},
    "tokens": {"apitokenname", "userusername"},
    "token": {"apitokenname", "userusername"},
    "token deletion": {"apitokenname"},
    "token history": {"apitokenname", "logentrychangemessage"},
    "new token": {"userusername"},
    "users": {"userusername", "useremail"},
    "user": {"userusername", "useremail", "userfirstname", "userlastname", "groupname"},
    "user history": {"userusername", "logentrychangemessage"},
    "user deletion": {"userusername", "apitokenname"},
    "user password": {"userusername"},
    "groups": {"groupname"},
    "group": {"groupname"},
    "group history": {"groupname", "logentrychangemessage"},
    "group deletion": {"groupname"},
    "audit record": {"auditrecordname", "auditrecordactor", "auditrecordcomment", "auditrecordremoteaddress"},
    "audit entry": {"auditold", "auditnew", "auditrecordname", "auditrecordcomment", "auditrecordkey"},
    "import preview": {"filename", "importname", "importkey", "importchange", "importlabel"},
    "notes": {"note"},
    **{f"{kind}{key}": {"note"} for kind in ("note ", "note history ", "code ") for key in ("http/404/ietf",)},
    "own source": {"sourcetitle", "sourcesummary", "sourcelicence", "entryname", "entrysummary"},
    "code of the own source": {"sourcetitle", "entryname", "entrysummary", "entrynote"},
    "sources": {"sourcetitle"},
    "disagreements": set(),
    "export page": set(),
}
#: Models without an own page, or without text that anybody else writes.
NOT_SHOWN = {"pendingimport", "logintry", "receiptfeed"}
#: Cut, or rendered as Markdown: looked at for what they create, and not for each letter.
REWORDED = {"note"}


@pytest.fixture(scope="module")
def pages(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Addresses of a portal whose every text is hostile."""
    if connection.vendor != "sqlite":
        pytest.skip("its columns hold 200 texts each, more than PostgreSQL lets them")
    folder = tmp_path_factory.mktemp("data")
    with override_settings(DATA_DIR=folder), django_db_blocker.unblock(), transaction.atomic():
        own_source(folder)
        loading.load()
        yield {
            **fill(),
            **fill_proposals(User.objects.get()),
            "own source": f"/codes/sources/{OWN_SOURCE}/",
            "code of the own source": "/codes/http/409/",
            "sources": "/codes/sources/",
            "disagreements": f"/codes/disagreements/?source={OWN_SOURCE}",
            "export page": "/codes/data/",
        }
        transaction.set_rollback(True)


@pytest.fixture
def boss(pages: dict[str, str], db: None, settings: Any) -> Client:
    """The hostile user itself, who may see everything; what waits for a second person too."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, second_approval=True)
    client = Client()
    client.force_login(User.objects.get())
    return client


def look(answer: Answer, *, reworded: Iterable[str] = ()) -> list[str]:
    """What is wrong with an answer, whatever its type."""
    kind = answer["Content-Type"].partition(";")[0]
    content = b"".join(answer) if answer.streaming else answer.content
    faults = [] if answer["X-Content-Type-Options"] == "nosniff" else ["the browser may guess its type"]
    if answer.status_code >= 500:
        faults.append(f"HTTP {answer.status_code}")
    if kind == "text/html":
        return [*faults, *faults_of(content.decode(), reworded=reworded)]
    if kind.endswith("+xml") or kind == "application/xml":
        names = [word for node in ET.fromstring(content).iter() for word in (node.tag, *node.attrib)]
        return [*faults, *(name for name in names if MARK.search(name))]
    return faults if kind in FOR_PROGRAMS else [*faults, f"of type {kind}"]


def each(answers: dict[str, Answer]) -> dict[str, list[str]]:
    return {name: faults[:5] for name, answer in answers.items() if (faults := look(answer, reworded=REWORDED))}


# --- the payloads and the checks themselves ---


def test_there_are_more_than_two_hundred_payloads_each_with_its_mark() -> None:
    assert len(set(PAYLOADS)) >= 200
    assert all("§" in payload for payload in PAYLOADS)


def test_every_payload_is_found_where_a_page_forgets_to_escape() -> None:
    """In text or in an attribute with any quotes, where it is made for these; and in a script, style or comment."""
    missed = []
    for text in texts("x"):
        told = html.escape(text)
        forgetful = [f"<p>{text}</p>", f'<p title="{text}">', f"<p title='{text}'>", f"<p title={text}>"]
        forgetful += [f"<script>'{told}'</script>", f'<p style="{told}">', f'<p id="{told}">', f"<!-- {told} -->"]
        found = [bool(faults_of(page)) for page in forgetful]
        creates = re.search(r"<[a-z!?/]", text, re.IGNORECASE) or text[0] in "\"'"
        if not all(found[4:]) or (creates and not any(found[:4])):
            missed.append(text)
        assert faults_of(f'<p title="{told}">{told}</p>') == []
    assert missed == []


def test_a_text_that_was_evaluated_or_cut_is_found() -> None:
    (called,) = [text for text in texts("x") if "luated" in text]
    assert faults_of(f"<p>{html.escape(called)}</p>") == []
    evaluated = called.replace('{{ "eva"|add:"', "eva").replace('" }}', "")
    assert faults_of(f"<p>{html.escape(evaluated)}</p>")


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//zqxx1q.example",
        "/\\zqxx1q.example",
        "///zqxx1q.example",
        "https:zqxx1q.example",
        "https://zqxx1q.example/",
    ],
)
def test_an_address_that_acts_or_leads_away_is_found(address: str) -> None:
    assert faults_of(f'<a href="{html.escape(address)}">x</a>')
    assert faults_of(f'<form action="{html.escape(address)}">')


def test_every_column_of_text_is_filled(pages: dict[str, str]) -> None:
    """A column added to a model is hostile here at once, because they are found in the models."""
    empty = []
    for model in (*apps.get_app_config("feeds").get_models(), *apps.get_app_config("portal").get_models()):
        name = model._meta.model_name
        if name.startswith("historical") or name in NOT_SHOWN:
            continue
        for column in text_columns(model):
            mark = f"zqx{code_of(model, column.name)}0q"
            if not model.objects.filter(**{f"{column.name}__contains": mark}).exists():  # type: ignore[attr-defined]
                empty.append(f"{name}.{column.name}")
    assert empty == []


# --- pages ---


def test_s10_every_page_shows_hostile_text_as_text(pages: dict[str, str], boss: Client) -> None:
    answers = {name: boss.get(address) for name, address in pages.items()}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 200} == {}
    assert each(answers) == {}
    lacking = {
        name: SHOWN[name] - fields_on(answer.content.decode()) for name, answer in answers.items() if name in SHOWN
    }
    assert {name: fields for name, fields in lacking.items() if fields} == {}
    assert set(SHOWN) <= set(pages)


def test_s10_the_checks_find_faults_on_these_very_pages_were_they_not_escaped(
    pages: dict[str, str], boss: Client
) -> None:
    for name in ("feeds", "feed", "feed history", "sample", "import preview", "own source"):
        assert len(faults_of(unescaped(boss.get(pages[name]).content.decode()))) > 100, name


def is_page(answer: Answer) -> bool:
    return answer["Content-Type"].startswith("text/html")


# --- what is posted, and shown again ---


def test_s10_forms_show_what_was_typed_as_text(pages: dict[str, str], boss: Client) -> None:
    """Each form gets every payload in every field, and is refused; what it then shows is looked at."""
    whole = bundle("typed")
    feed_fields = dict.fromkeys(feed_form(), whole) | {"certificate_rules-INITIAL_FORMS": "0"}
    rule = one_rule(action=whole, subject_dn=whole, expires=whole, comment=whole)
    feed = Feed.objects.order_by("pk").first().pk
    forms: list[tuple[str, dict[str, Any]]] = [
        (reverse("admin:feeds_feed_add"), {**feed_fields, **rule}),
        (pages["feed"], {**feed_fields, **rule}),
        (pages["feed"], {**feed_fields, **rule, "_read_certificate": "1", "paste_certificate": whole}),
        (reverse("admin:feeds_feed_changelist"), {"action": "set_drop", "_selected_action": str(feed)}),
        (reverse("admin:feeds_feed_set_status"), {"status": "Drop", "feeds": str(feed), "comment": whole}),
        (reverse("admin:feeds_feed_set_status"), {"status": "Drop", "feeds": whole, "comment": whole}),
        (reverse("admin:feeds_feed_set_status"), {"status": whole, "feeds": "1"}),
        (pages["feed deletion"], {"post": "yes", "change_comment": whole}),
        (pages["restore"], {"change_comment": whole}),
        (pages["revert"], {"change_comment": whole}),
        (pages["import preview"], {"digest": whole, "change_comment": whole}),
        (reverse("admin:feeds_retentionpolicy_add"), {"feed": whole, "keep_days": whole, "keep_bytes": whole}),
        (reverse("admin:portal_apitoken_add"), {"user": whole, "name": whole, "scopes": whole, "expires": whole}),
        (reverse("admin:auth_user_add"), {"username": whole, "password1": whole, "password2": "x"}),
        (reverse("admin:auth_group_add"), {"name": whole, "permissions": whole}),
        (reverse("admin:codes_localnote_add"), {"meaning": whole, "text": whole * 2}),
        (reverse("admin:password_change"), {"old_password": whole, "new_password1": whole, "new_password2": "x"}),
        (pages["feeds"], {"action": whole, "_selected_action": whole}),
        ("/codes/explain/", {"text": f"HTTP/1.1 404 {whole}\n{whole}"}),
    ]
    answers = {f"{number} {path}": boss.post(path, form, follow=True) for number, (path, form) in enumerate(forms)}
    anonymous = Client(headers={"host": "localhost"})
    answers["login"] = anonymous.post("/admin/login/", {"username": whole, "password": whole, "next": whole})
    assert each(answers) == {}
    showing = {name for name, answer in answers.items() if "typed" in fields_on(answer.content.decode())}
    assert len(showing) >= 11, sorted(set(answers) - showing)


def test_s10_a_described_request_is_answered_in_text(boss: Client) -> None:
    """Feed, header names and values, and a certificate's DN: in the steps, the notes and the answer."""
    answers = {}
    for number, (feed, name, value, dn) in enumerate(
        zip(*(handfuls(code) for code in ("askedfeed", "askedname", "askedvalue", "askeddn")), strict=True)
    ):
        lines = [f"{a}: {b}" for a, b in zip(_lines(name), _lines(value), strict=True)]
        form = {
            "feed": " ".join(_lines(feed)),
            "headers": "\n".join(["Compression: x" + value.split("\n")[0], *lines]),
        }
        certificate = {"presented": "verified", "certificate": f"CN={dn}"}
        answers[str(number)] = boss.post(reverse("admin:feeds_feed_test"), {**form, **certificate})
    assert each(answers) == {}
    assert all({"askedfeed", "askeddn"} <= fields_on(answer.content.decode()) for answer in answers.values())


def _lines(text: str) -> list[str]:
    return text.split("\n")


@pytest.mark.parametrize("kind", ["columns", "values", "keys", "name of a zip", "no file at all"])
def test_s10_a_file_is_told_of_in_text(kind: str, boss: Client) -> None:
    """Whether a file is refused as a whole or row by row, its words are shown as words."""
    files = {
        "columns": (",".join(_quoted(text) for text in ["name", *texts("column")]) + "\nA-FEED\n").encode(),
        "values": (
            "name,status\n" + "".join(f"{_quoted(text)},{_quoted(text)}\n" for text in texts("cell"))
        ).encode(),
        "keys": json.dumps([{"type": text, "name": text, text: text} for text in texts("key")]).encode(),
        "name of a zip": b"PK\x03\x04",
        "no file at all": bundle("nothing").encode(),
    }
    upload = SimpleUploadedFile(f"{texts('upload')[0]}.csv", files[kind])
    assert each({kind: boss.post(reverse("admin:feeds_feed_import"), {"file": upload}, follow=True)}) == {}


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# --- what programs get ---


def test_s10_answers_for_programs_are_never_pages(pages: dict[str, str], boss: Client) -> None:
    feed = Feed.objects.order_by("pk").first()
    receipt = Receipt.objects.order_by("pk").first()
    api = ["feeds/", "receipts/", "rejections/", "tokens/", "codes/", "sources/", "disagreements/", "vendors/"]
    api += [
        "headers/",
        "registries/",
        "releases/",
        "codes/http/409/",
        f"sources/{OWN_SOURCE}/",
        "codes/export.json",
    ]
    api += [
        "codes/export.csv",
        "codes/retry.json",
        "codes/lookup/?http=409&stroom=110",
        "codes/compare/?codes=409,404",
    ]
    api += [f"receipts/{quote(receipt.receipt_id, safe='')}/", f"feeds/{quote(feed.name, safe='')}/history/"]
    addresses = [f"/api/v1/{path}" for path in api]
    addresses += [f"{path}{'&' if '?' in path else '?'}format=csv" for path in addresses[:8]]
    addresses += [reverse("admin:feeds_feed_export", args=[kind]) for kind in ("csv", "json", "zip")]
    addresses += ["/codes/data/changes.atom"]
    answers = {path: boss.get(path, headers={"accept": "text/html,*/*"}) for path in addresses}
    plain = {"accept": "text/plain"}
    answers |= {
        f"{path} in text": boss.get(path, headers=plain) for path in ("/codes/http/409/", "/codes/http/404/")
    }
    bodies = {"text": bundle("asked"), "headers": {bundle("asked"): bundle("asked")}, bundle("asked"): 1}
    for path in ("codes/explain/", "receipt/check/", "auth/token/", "feeds/", "feeds/import/"):
        answers[f"POST {path}"] = boss.post(f"/api/v1/{path}", json.dumps(bodies), content_type="application/json")
    assert each(answers) == {}
    pages_given = [path for path, answer in answers.items() if is_page(answer)]
    assert pages_given == []


def test_s10_an_own_source_links_to_nothing_that_acts(tmp_path: Any, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    own_source(tmp_path)
    file = tmp_path / "catalogue" / "sources" / "hostile.toml"
    good = file.read_text()
    for address in ("javascript:alert(1)", "data:text/html,x", "//elsewhere.example", "https:/x", "https://a b"):
        file.write_text(good.replace('url = ""', f"url = {json.dumps(address)}"))
        with pytest.raises(CatalogueFault, match="key 'url'"):
            loading.load()


def test_the_pending_file_of_another_user_stays_unseen(pages: dict[str, str], boss: Client) -> None:
    other = Client()
    other.force_login(User.objects.create_user("other", is_staff=True, is_superuser=True))
    assert other.get(pages["import preview"]).status_code == 404
    assert PendingImport.objects.exists()
