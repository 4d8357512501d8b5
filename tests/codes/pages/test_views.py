"""The pages: what stands on them, how they answer, how little they weigh and ask."""

import gzip
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from codes.catalogue.values import Catalogue
from codes.comparison import READY_SETS, ReadySet
from codes.models import Disagreement, LocalNote, Meaning, StatusCode

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/codes/",
    "/codes/?q=too+large",
    "/codes/?registry=http&retry=never",
    "/codes/?q=nothing-like-this",
    "/codes/http/",
    "/codes/stroom/",
    "/codes/http/4xx/",
    "/codes/http/invalid/",
    "/codes/stroom/3xx/",
    "/codes/http/404/",
    "/codes/http/503/",
    "/codes/http/104/",
    "/codes/http/451/",
    "/codes/http/451/microsoft/",
    "/codes/http/499/",
    "/codes/http/520/",
    "/codes/http/471/",
    "/codes/http/799/",
    "/codes/stroom/0/",
    "/codes/stroom/110/",
    "/codes/stroom/310/",
    "/codes/stroom/555/",
    "/codes/sources/",
    "/codes/sources/api-response-codes/",
    "/codes/sources/iana/",
    "/codes/vendors/",
    "/codes/vendors/nginx/",
    "/codes/headers/",
    "/codes/headers/retry-after/",
    "/codes/disagreements/",
    "/codes/disagreements/?aspect=presence",
    "/codes/disagreements/?page=2",
    "/codes/compare/",
    "/codes/compare/?codes=301,302,307,308",
    "/codes/compare/?registry=stroom&codes=300,310",
    "/codes/lookup/",
    "/codes/lookup/?http=403&stroom=310",
    "/codes/lookup/?stroom=310",
    "/codes/data/",
    "/codes/explain/",
]


class Outline(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if identity := attributes.get("id"):
            self.ids.append(identity)

    def addresses(self) -> list[str]:
        return [str(a.get("href")) for tag, a in self.tags if tag == "a" and a.get("href")]


def page(site: Client, address: str, status: int = 200) -> str:
    answer = site.get(address)
    assert answer.status_code == status
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    return answer.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_well_made(site: Client, address: str) -> None:
    html = page(site, address)
    outline = Outline(html)
    names = [tag for tag, _ in outline.tags]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert ("html", {"lang": "en"}) in outline.tags
    assert any(a.get("href") == "#main" for tag, a in outline.tags if tag == "a")
    assert outline.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    inputs = {
        a.get("id")
        for tag, a in outline.tags
        if tag in {"input", "select", "textarea"} and a.get("type") != "hidden"
    }
    assert inputs <= {a.get("for") for tag, a in outline.tags if tag == "label"}


@pytest.mark.parametrize("address", PAGES)
def test_a_page_runs_no_script_of_its_own_and_asks_nobody_else(site: Client, address: str) -> None:
    outline = Outline(page(site, address))
    assert not [a for tag, a in outline.tags if tag == "style" or "style" in a]
    assert not [a for _, a in outline.tags if any(name.startswith("on") for name in a)]
    assert not [a for tag, a in outline.tags if tag == "script" and "src" not in a]
    loaded = [
        a["href"] for tag, a in outline.tags if tag == "link" and a.get("rel") in {"stylesheet", "icon", "preload"}
    ]
    loaded += [a.get("src") for tag, a in outline.tags if tag in {"script", "img", "iframe", "source"}]
    outside = [address for address in loaded if not str(address).startswith(("/static/", "data:"))]
    assert outside == []
    requests = [address for address in loaded if str(address).startswith("/static/")]
    assert 1 + len(requests) <= 4


@pytest.mark.parametrize("address", PAGES)
def test_a_page_weighs_less_than_30_kb_on_the_wire_with_its_style_sheet(site: Client, address: str) -> None:
    styles = [settings.STATICFILES_DIRS[0] / name for name in ("frame.css", "portal.css")]
    answer = site.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert len(answer.content) + sum(len(gzip.compress(style.read_bytes())) for style in styles) < 30_000


def test_a_page_travels_compressed_to_those_who_can_read_that(site: Client) -> None:
    answer = site.get("/codes/disagreements/", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content).startswith(b"<!DOCTYPE html>")
    known = {"Accept-Encoding": "gzip", "If-None-Match": answer["ETag"]}
    assert site.get("/codes/disagreements/", headers=known).status_code == 304
    assert not site.get("/codes/disagreements/").has_header("Content-Encoding")


def test_every_link_within_the_catalogue_leads_somewhere(site: Client) -> None:
    links = {link.partition("#")[0] for address in PAGES for link in Outline(page(site, address)).addresses()}
    own = sorted(link for link in links if link.startswith(("/codes/", "/api/v1/")))
    assert len(own) > 250
    broken = [link for link in own if site.get(link).status_code not in {200, 302}]
    assert broken == []


def test_every_number_of_the_catalogue_has_its_page(site: Client, authored: Catalogue) -> None:
    for meaning in authored.meanings:
        html = page(site, f"/codes/{meaning.registry}/{meaning.code}/{meaning.owner}/")
        assert meaning.name.replace("'", "&#x27;") in html
        assert f'<span class="number">{meaning.code}</span>' in html


def test_the_answer_stands_before_the_proof(site: Client) -> None:
    html = page(site, "/codes/http/503/")
    order = [
        "Service Unavailable",
        "What to do now",
        "Sources disagree about",
        "On the wire",
        "What each source says",
    ]
    places = [html.index(text, html.index("<h1>")) for text in order]
    assert places == sorted(places)
    assert "Retry-After: 30" in html
    assert "lines 259–265" in html


def test_a_stroom_code_shows_its_pair_and_the_answer_that_a_sender_sees(site: Client) -> None:
    html = page(site, "/codes/stroom/110/")
    assert "HTTP/1.1 406 Not Acceptable" in html
    assert "Stroom-Status: 110" in html
    assert "Stroom Status 110 - Feed is not set to receive data" in html
    assert "/codes/lookup/?http=406&amp;stroom=110" in html


def test_two_owners_of_a_number_are_equal_cards(site: Client) -> None:
    html = page(site, "/codes/http/499/")
    outline = Outline(html)
    cards = [a for tag, a in outline.tags if tag == "article" and "card" in str(a.get("class"))]
    assert [card["id"] for card in cards] == ["nginx", "esri"]
    assert {card["class"] for card in cards} == {cards[0]["class"]}
    assert "each meaning holds where its owner’s product answers" in html


@pytest.mark.parametrize("ready", READY_SETS, ids=lambda ready: ready.query)
def test_a_ready_set_compares_its_codes(site: Client, ready: ReadySet) -> None:
    html = page(site, f"/codes/compare/?{ready.query}")
    heads = re.findall(r'<th scope="col"[^>]*><a href="/codes/(\w+)/(\d+)/">', html)
    assert heads == [(ready.registry, str(code)) for code in ready.codes]
    assert unescape(page(site, "/codes/compare/")).count(f">{ready.title}</a>") == 1


def test_codes_of_both_registries_stand_in_one_table(site: Client) -> None:
    html = page(site, "/codes/compare/?codes=http/406,Stroom 110,stroom-310,406")
    heads = re.findall(r'<th scope="col"[^>]*><a href="/codes/(\w+)/(\d+)/">', html)
    assert heads == [("http", "406"), ("stroom", "110"), ("stroom", "310")]
    assert "<h1>Compare HTTP 406, Stroom 110, Stroom 310</h1>" in html
    answer = site.get("/api/v1/codes/compare/?registry=stroom&codes=110,http/406").json()
    assert [(code["registry"], code["code"]) for code in answer["results"]] == [("stroom", 110), ("http", 406)]


def test_ready_sets_have_all_codes_of_the_classes_of_stroom_that_they_name(site: Client) -> None:
    named = [ready for ready in READY_SETS if re.match(r"Stroom \dxx", ready.title)]
    sets = {ready.title.split(":")[0]: set(ready.codes) for ready in named}
    assert len(sets) == 3
    for title, codes in sets.items():
        digits = set(re.findall(r"(\d)xx", title))
        numbers = StatusCode.objects.filter(registry="stroom", code__gt=99).values_list("code", flat=True)
        assert codes == {number for number in numbers if str(number)[0] in digits}


def test_an_unknown_number_is_told_what_to_act_on(site: Client) -> None:
    html = page(site, "/codes/http/471/")
    assert "Act as on" in html
    assert 'href="/codes/http/400/"' in html
    assert '<meta name="robots" content="noindex">' in html
    assert '<link rel="canonical" href="/codes/http/4xx/">' in html
    assert "invalid" in page(site, "/codes/http/799/")


@pytest.mark.parametrize(
    "address",
    [
        "/codes/http/12/",
        "/codes/http/abc/",
        "/codes/http/9xx/",
        "/codes/stroom/1000/",
        "/codes/abc/",
        "/codes/sources/x/",
        "/codes/vendors/x/",
        "/codes/headers/x/",
        "/codes/http/404/nginx/",
        "/codes/12/",
        "/codes/http/0404/",
    ],
)
def test_what_is_not_there_is_404_with_a_way_on(site: Client, address: str) -> None:
    html = page(site, address, 404)
    assert "Not Found" in html
    assert 'href="/codes/"' in html


@pytest.mark.parametrize(
    ("address", "status", "target"),
    [
        ("/codes/404/", 302, "/codes/http/404/"),
        ("/codes/0/", 302, "/codes/stroom/0/"),
        ("/codes/http/404", 301, "/codes/http/404/"),
        ("/codes/HTTP/404/", 302, "/codes/http/404/"),
        ("/codes/http/4XX/", 302, "/codes/http/4xx/"),
        ("/codes/Stroom/", 302, "/codes/stroom/"),
        ("/codes/http/451/Microsoft/", 302, "/codes/http/451/microsoft/"),
        ("/codes/headers/Retry-After/", 302, "/codes/headers/retry-after/"),
        ("/codes/?q=404", 302, "/codes/http/404/"),
        ("/codes/?q=stroom+110", 302, "/codes/stroom/110/"),
        ("/codes/?q=406/110", 302, "/codes/lookup/?http=406&stroom=110"),
    ],
)
def test_other_spellings_lead_to_the_one_address(site: Client, address: str, status: int, target: str) -> None:
    answer = site.get(address)
    assert (answer.status_code, answer["Location"]) == (status, target)


def test_a_number_of_both_registries_is_a_choice(site: Client) -> None:
    html = page(site, "/codes/?q=100")
    assert 'href="/codes/http/100/"' in html
    assert 'href="/codes/stroom/100/"' in html


@pytest.mark.parametrize(
    "address",
    [
        "/codes/?class=9",
        "/codes/?retry=often",
        "/codes/disagreements/?severity=grave",
        "/codes/compare/?codes=12",
        "/codes/lookup/?http=12",
        "/codes/compare/?codes=a",
    ],
)
def test_a_filter_that_cannot_be_used_is_named(site: Client, address: str) -> None:
    assert 'class="notice"' in page(site, address, 400)


REFUSED = [
    ("/codes/?sort=name", ["“sort”", "cacheable, class, code", "vendor"]),
    ("/codes/?q=404&page=2", ["“page”", "registry"]),
    ("/codes/?retry=often", ["“Retry” (retry)", "after_wait", "often"]),
    ("/codes/?class=9", ["“Class” (class)", "4xx", "9"]),
    ("/codes/?standing=old&code=x", ["“Standing” (standing)", "temporary", "“code”", "from 0 to 999"]),
    ("/codes/?vendor=acme", ["“vendor”", "cloudflare", "acme"]),
    ("/codes/?disagrees=perhaps", ["“Sources” (disagrees)", "perhaps"]),
    ("/codes/?class=4xx&class=5xx", ["“class”", "2 times"]),
    ("/codes/disagreements/?q=404", ["“q”", "aspect, authored, code, page, registry, severity, source"]),
    ("/codes/disagreements/?severity=grave", ["“Weight” (severity)", "high", "grave"]),
    ("/codes/disagreements/?aspect=colour", ["“About” (aspect)", "presence", "colour"]),
    ("/codes/disagreements/?page=99", ["“page”", "from 1 to", "99"]),
    ("/codes/disagreements/?page=last", ["“page”", "from 1 to", "last"]),
    ("/codes/disagreements/?page=0", ["“page”", "from 1 to"]),
    ("/codes/compare/?code=404", ["“code”", "codes, registry"]),
    ("/codes/compare/?codes=12", ["“codes”", "HTTP status from 100 to 999", "12"]),
    ("/codes/compare/?codes=stroom/1000", ["“codes”", "1000"]),
    ("/codes/compare/?codes=ftp/404", ["“codes”", "301,302", "ftp/404"]),
    ("/codes/compare/?codes=404,http/12", ["“codes”", "HTTP status from 100 to 999", "12"]),
    ("/codes/compare/?codes=a,b", ["“codes”", "301,302", "a, b"]),
    ("/codes/compare/?registry=ftp", ["“registry”", "http, stroom", "ftp"]),
    ("/codes/compare/?registry=ftp&codes=301", ["“registry”", "http, stroom", "ftp"]),
    ("/codes/lookup/?http=12", ["“http”", "HTTP status from 100 to 999", "12"]),
    ("/codes/lookup/?stroom=1000", ["“stroom”", "Stroom-Status from 0 to 999", "1000"]),
    ("/codes/lookup/?status=404", ["“status”", "http, stroom"]),
    ("/codes/explain/?text=406", ["“text”", "It knows answers", "Paste the text into the box"]),
    ("/codes/explain/?answers=406/x", ["Write answers as 406/110"]),
    ("/codes/sources/?q=iana", ["“q”", "none at all"]),
    ("/codes/sources/iana/?code=404", ["“code”", "none at all"]),
    ("/codes/headers/?header=allow", ["“header”", "none at all"]),
    ("/codes/headers/allow/?code=404", ["“code”", "none at all"]),
    ("/codes/vendors/?vendor=nginx", ["“vendor”", "none at all"]),
    ("/codes/vendors/nginx/?code=499", ["“code”", "none at all"]),
    ("/codes/http/?retry=never", ["“retry”", "none at all"]),
    ("/codes/http/4xx/?retry=never", ["“retry”", "none at all"]),
    ("/codes/data/?format=csv", ["“format”", "none at all"]),
]


@pytest.mark.parametrize(("address", "words"), REFUSED)
def test_what_a_page_cannot_be_asked_is_refused_with_its_name_and_what_is_known(
    site: Client, address: str, words: list[str]
) -> None:
    html = page(site, address, 400)
    content = unescape(html[html.index("<main") : html.index("</main>")])
    told = content.partition("<details")[0]
    assert [word for word in words if word not in told] == []
    assert f"{address.partition('?')[0]}" in html


def test_no_filter_of_a_refused_page_leads_to_the_same_refusal(site: Client) -> None:
    html = page(site, "/codes/?sort=name&class=9&standing=temporary&retry=never&retry=never", 400)
    ways = {link for link in Outline(html).addresses() if link.startswith("?")}
    assert "?standing=temporary&registry=http" in ways
    assert [way for way in ways if site.get(f"/codes/{way}").status_code != 200] == []


def test_a_refused_name_is_shown_as_text_and_not_at_any_length(site: Client) -> None:
    html = page(site, f"/codes/sources/?<script>{'x' * 500}=1", 400)
    assert "<script>x" not in html
    assert "x" * 50 not in html


@pytest.mark.parametrize("address", ["/", "/codes/http/404/", "/codes/http/451/microsoft/", "/codes/http/471/"])
def test_the_permalink_of_a_code_overlooks_what_others_hang_on_it(site: Client, address: str) -> None:
    page(site, f"{address}?from=chat")


@pytest.mark.parametrize(
    "address", ["/codes/lookup/?http=404&stroom=", "/codes/compare/?codes=", "/codes/?q=&class="]
)
def test_an_empty_field_of_a_form_asks_for_nothing(site: Client, address: str) -> None:
    page(site, address)


@pytest.mark.parametrize(
    "address", ["/codes/?q=<script>alert(1)</script>", "/codes/compare/?codes=<b>", "/codes/?owner=<i>"]
)
def test_what_a_reader_types_is_never_markup(site: Client, address: str) -> None:
    html = site.get(address).content.decode()
    assert "<script>alert" not in html
    assert "<b>," not in html
    assert "<i>" not in html


def test_a_note_of_the_site_is_shown(site: Client) -> None:
    LocalNote.objects.create(meaning=Meaning.objects.get(pk="http/503/ietf"), text="Call <b>4711</b>.")
    html = page(site, "/codes/http/503/")
    assert "Note of this site" in html
    assert "<b>4711</b>" not in html


def test_pages_are_conditional(site: Client) -> None:
    first = site.get("/codes/http/404/")
    again = site.get("/codes/http/404/", headers={"if-none-match": first["ETag"]})
    assert again.status_code == 304
    assert "Cookie" in first["Vary"]
    assert "Set-Cookie" not in first


# The version of the catalogue and its notes; where a filter is set, the keys of the rows too.
QUERIES = [
    ("/", 1),
    ("/codes/", 1),
    ("/codes/?retry=after_wait", 2),
    ("/codes/?q=too+large", 2),
    ("/codes/http/", 1),
    ("/codes/http/4xx/", 1),
    ("/codes/http/404/", 1),
    ("/codes/http/499/", 1),
    ("/codes/http/471/", 1),
    ("/codes/http/451/microsoft/", 1),
    ("/codes/stroom/110/", 1),
    ("/codes/sources/", 1),
    ("/codes/sources/iana/", 1),
    ("/codes/vendors/", 1),
    ("/codes/vendors/nginx/", 1),
    ("/codes/headers/", 1),
    ("/codes/headers/retry-after/", 1),
    ("/codes/disagreements/", 2),
    ("/codes/disagreements/?severity=high&source=iana", 2),
    ("/codes/compare/?codes=301,302,307,308,404,503", 1),
    ("/codes/compare/?codes=406,503,stroom/110,stroom/310", 1),
    ("/codes/lookup/?http=406&stroom=110", 1),
    ("/codes/http/799/", 1),
    ("/codes/stroom/3xx/", 1),
    ("/codes/data/", 1),
]


@pytest.mark.parametrize(("address", "count"), QUERIES)
def test_the_number_of_queries_is_fixed(
    site: Client, django_assert_num_queries: Any, address: str, count: int
) -> None:
    page(site, address)  # the first request after a load reads the catalogue into memory
    with django_assert_num_queries(count):
        page(site, address)


def test_a_stroom_code_says_which_releases_send_it_with_which_status(site: Client) -> None:
    html = site.get("/codes/stroom/310/").content.decode()
    (table,) = re.findall(r'<section class="releases">.*?</section>', html, re.DOTALL)
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
    assert rows[1][:4] == ["5.0", "to", "7.1", "403"]
    assert rows[2][:3] == ["from", "7.2", "401"]
    assert "Release by release" not in site.get("/codes/http/403/").content.decode()


@pytest.mark.parametrize("code", [100, 202, 301, 404, 411, 471, 500, 529])
def test_every_http_code_but_200_says_that_a_delivery_is_not_taken(site: Client, code: int) -> None:
    line = "A delivery to Stroom: not taken; keep the data."
    assert line in site.get(f"/codes/http/{code}/").content.decode()
    assert site.get(f"/api/v1/codes/http/{code}/").json()["delivery"] == line
    assert line not in site.get("/codes/http/200/").content.decode()


def test_an_unknown_number_is_missing_in_this_catalogue_not_in_the_world(site: Client) -> None:
    for address in ("http/471", "stroom/555"):
        html = site.get(f"/codes/{address}/").content.decode()
        assert "This catalogue has no entry for it" in html
        assert "product that we know" not in html


def test_only_disagreements_that_change_what_to_do_mark_a_code(site: Client) -> None:
    """`≠` stands for the weight "high" alone; the filter finds every difference but that of listing a code."""
    html = site.get("/codes/stroom/").content.decode()
    marked = {int(code) for code in re.findall(r'/codes/stroom/(\d+)/"(?:(?!</li>).)*?≠', html, re.DOTALL)}
    assert marked == set(
        Disagreement.objects.filter(registry="stroom", severity="high", status_code__isnull=False).values_list(
            "status_code__code", flat=True
        )
    )
    listed = site.get("/api/v1/codes/", {"registry": "stroom", "disagrees": "true"}).json()["results"]
    assert {row["code"] for row in listed} > marked


def test_a_verdict_that_no_source_states_gives_our_reason(site: Client) -> None:
    source = site.get("/api/v1/codes/stroom/300/").json()["meanings"][0]["retry"]["source"]
    assert set(source) == {"judgement"}
    assert "our own judgement" in site.get("/codes/stroom/300/").content.decode()


def test_a_result_has_an_address_with_its_numbers_and_nothing_of_the_text(site: Client) -> None:
    text = "token=hunter2\nHTTP/1.1 406 Not Acceptable\nStroom-Status: 110\n\nHTTP/1.1 503 Service Unavailable\n"
    page = site.post("/codes/explain/", {"text": text}).content.decode()
    (link,) = re.findall(r'<a href="([^"]+)">Link to this result', page)
    assert link == "/codes/explain/?answers=406/110,503"
    linked = site.get(link).content.decode()
    titles = r'<span class="number">([^<]+)</span>'
    assert re.findall(titles, linked) == re.findall(titles, page) == ["HTTP 406 with Stroom 110", "HTTP 503"]
    assert "Your text</h2>" not in linked
