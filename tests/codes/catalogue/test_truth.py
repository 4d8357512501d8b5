"""What must be right by RFC 9110 and the registry of today, whatever a source says."""

from codes.catalogue.contradictions import PRESENCE
from codes.catalogue.joining import join
from codes.catalogue.values import HTTP, STROOM, Catalogue, Standing, Verdict

SECTIONS_OF_RFC_9110 = {
    **{100 + n: f"15.2.{n + 1}" for n in range(2)},
    **{200 + n: f"15.3.{n + 1}" for n in range(7)},
    **{300 + n: f"15.4.{n + 1}" for n in range(9)},
    **{400 + n: f"15.5.{n + 1}" for n in range(19)},
    421: "15.5.20",
    422: "15.5.21",
    426: "15.5.22",
    **{500 + n: f"15.6.{n + 1}" for n in range(6)},
}
ELSEWHERE = {
    102: "RFC 2518",
    103: "RFC 8297",
    **dict.fromkeys((207, 423, 424, 507), "RFC 4918"),
    **dict.fromkeys((208, 508), "RFC 5842"),
    226: "RFC 3229",
    425: "RFC 8470",
    **dict.fromkeys((428, 429, 431, 511), "RFC 6585"),
    451: "RFC 7725",
    506: "RFC 2295",
    510: "RFC 2774",
}
# The list of RFC 9110, and 451 by RFC 7725.
HEURISTICALLY_CACHEABLE = {451, 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}


def test_every_number_has_a_meaning_that_says_what_to_do(authored: Catalogue) -> None:
    by_code = authored.meanings_by_code()
    for code in authored.codes:
        assert by_code[code.registry, code.code], code
    for meaning in authored.meanings:
        assert meaning.what_to_do["sender"], meaning.name
        assert meaning.what_to_do["server"] or meaning.registry == STROOM, meaning.name
        assert meaning.what_to_do["administrator"] or meaning.registry == HTTP, meaning.name
        assert meaning.retry.note, meaning.name


def test_the_assigned_numbers_are_those_of_the_registry(authored: Catalogue) -> None:
    assigned = {c.code for c in authored.codes if c.registry == HTTP and c.standing != Standing.VENDOR_ONLY}
    assert assigned == {104, *SECTIONS_OF_RFC_9110, *ELSEWHERE}
    assert len(assigned) == 64
    assert {e.code for e in authored.entries if e.source == "iana"} == assigned


def test_each_assigned_number_points_to_the_document_that_defines_it_today(authored: Catalogue) -> None:
    current = {
        (meaning.code, spec.document, spec.section)
        for meaning in authored.meanings
        if meaning.registry == HTTP and meaning.owner == "ietf"
        for spec in meaning.specs
        if spec.current
    }
    assert {(code, "RFC 9110", section) for code, section in SECTIONS_OF_RFC_9110.items()} <= current
    assert set(ELSEWHERE.items()) <= {(code, document) for code, document, _ in current}


def test_names_are_those_of_today(authored: Catalogue) -> None:
    names = {m.code: m.name for m in authored.meanings if m.registry == HTTP and m.owner == "ietf"}
    assert names[413] == "Content Too Large"
    assert names[414] == "URI Too Long"
    assert names[416] == "Range Not Satisfiable"
    assert names[422] == "Unprocessable Content"
    assert names[306] == names[418] == "(Unused)"
    registry = {e.code: e.name for e in authored.entries if e.source == "iana"}
    assert registry == {code: names[code] for code in registry}


def test_standings_are_those_of_today(authored: Catalogue) -> None:
    standing = {c.code: c.standing for c in authored.codes if c.registry == HTTP}
    special = {104: "temporary", 305: "deprecated", 306: "unused", 418: "unused", 510: "obsoleted"}
    assert {code: standing[code] for code in special} == special
    others = {s for code, s in standing.items() if code not in special}
    assert others == {Standing.REGISTERED, Standing.VENDOR_ONLY}


def test_exactly_the_codes_whose_documents_say_so_are_heuristically_cacheable(authored: Catalogue) -> None:
    found = {
        m.code
        for m in authored.meanings
        if m.registry == HTTP and m.owner == "ietf" and m.cacheability == "heuristic"
    }
    assert found == HEURISTICALLY_CACHEABLE


def test_codes_without_content_say_so(authored: Catalogue) -> None:
    empty = {m.code for m in authored.meanings if m.registry == HTTP and m.owner == "ietf" and m.body == "none"}
    assert {100, 101, 102, 103, 204, 205, 304} <= empty


def test_required_headers_are_required(authored: Catalogue) -> None:
    must = {
        (m.code, h.name)
        for m in authored.meanings
        if m.registry == HTTP and m.owner == "ietf"
        for h in m.headers
        if h.level == "must" and h.direction == "response"
    }
    wanted = {
        (401, "WWW-Authenticate"),
        (405, "Allow"),
        (407, "Proxy-Authenticate"),
        (426, "Upgrade"),
        (101, "Upgrade"),
    }
    assert wanted <= must


def test_shared_numbers_keep_each_owner(authored: Catalogue) -> None:
    owners = {
        key: [meaning.owner for meaning in meanings]
        for key, meanings in authored.meanings_by_code().items()
        if len(meanings) > 1
    }
    assert owners == {
        (HTTP, 308): ["ietf", "google"],
        (HTTP, 451): ["ietf", "microsoft"],
        (HTTP, 420): ["twitter", "spring"],
        (HTTP, 499): ["nginx", "esri"],
        (HTTP, 508): ["ietf", "cloudlinux"],
        (HTTP, 509): ["apache", "bigcommerce"],
        (HTTP, 599): ["tornado", "unofficial"],
        **{key: value for key, value in owners.items() if key[1] in {463}},
    }
    assert [m.vendors for m in authored.meanings_by_code()[HTTP, 520]] == [("microsoft", "cloudflare")]


def test_a_meaning_of_nobody_has_a_document_or_says_how_sure_it_is(authored: Catalogue) -> None:
    """What is only reported is not stated as a fact: the second owners, and conventions without one."""
    checked = {(430, "shopify"), (508, "cloudlinux"), (509, "apache"), (509, "bigcommerce"), (529, "qualys")}
    checked |= {(598, "unofficial"), (599, "tornado"), (599, "unofficial")}
    meanings = {(m.code, m.owner): m for m in authored.meanings if m.registry == HTTP}
    unsure = ("not certain", "no document that defines it was found", "not documented")
    for key in checked:
        meaning = meanings[key]
        said = any(words in meaning.detail + meaning.summary for words in unsure)
        assert said or any(spec.current for spec in meaning.specs), key
        assert said or key in {(508, "cloudlinux"), (529, "qualys"), (599, "tornado")}, key


def test_stroom_310_has_both_generations(authored: Catalogue) -> None:
    statuses = {c.code: c.http_statuses for c in authored.codes if c.registry == STROOM}
    assert statuses[310] == (403, 401)
    assert len(statuses) == 26
    documented = [e for e in authored.entries if e.source == "stroom-response-codes"]
    current = {e.code for e in authored.entries if e.source == "stroom-source"}
    assert len(documented) == 8
    assert current >= {101, 102, 103, 104, 111, 112, 113, 120, 301, 302, 303, 304, *range(310, 316), 410}


# Read from StroomStatusCode.java at its tags: the first release with the number, and where the HTTP status changed.
FIRST_RELEASES = {
    **dict.fromkeys((0, 100, 101, 110, 200, 300, 310, 400, 999), "5.0"),
    **dict.fromkeys((102, 120, 301, 311), "7.0"),
    **dict.fromkeys((302, 312), "7.2"),
    **dict.fromkeys((103, 104, 111, 112, 303, 304, 313, 314), "7.9"),
    **dict.fromkeys((113, 410), "7.11"),
    315: "7.12",
}


def test_each_stroom_number_names_the_releases_that_send_it(authored: Catalogue) -> None:
    releases = {code.code: code.releases for code in authored.codes if code.registry == STROOM}
    assert {code: spans[0].first for code, spans in releases.items()} == FIRST_RELEASES
    assert all(spans[-1].last == "" for spans in releases.values())
    changed = {
        code: [(span.first, span.last, span.http_status) for span in spans]
        for code, spans in releases.items()
        if len({span.http_status for span in spans}) > 1
    }
    assert changed == {
        310: [("5.0", "7.1", 403), ("7.2", "", 401)],
        311: [("7.0", "7.1", 403), ("7.2", "", 401)],
    }


def test_the_second_110_of_old_releases_leads_to_113(authored: Catalogue) -> None:
    """From 5.1 to 6 Stroom refused by policy with 110 and words of their own: stroom.util.zip and stroom.feed."""
    meanings = authored.meanings_by_code()
    (policy,) = meanings[STROOM, 113]
    assert [(former.name, former.until) for former in policy.former_names] == [
        ("The data receipt policy is set to reject this data", "Stroom 5.1 to 6, which number it 110")
    ]
    assert "Stroom 5.1 to 6" in meanings[STROOM, 110][0].detail
    assert not any("Stroom 6 " in meaning.detail for meaning in authored.meanings)


def test_current_releases_have_the_message_that_the_source_code_has(authored: Catalogue) -> None:
    current = {code.code: code.releases[-1].name for code in authored.codes if code.registry == STROOM}
    assert current == {entry.code: entry.name for entry in authored.entries if entry.source == "stroom-source"}
    assert current[315] == "Client Certificate DN failed authentication"


def test_the_source_of_a_verdict_does_not_say_the_opposite(authored: Catalogue) -> None:
    """The documentation says to keep sending, and a stroom-proxy does: neither says to change the request first."""
    changing = {Verdict.AFTER_CHANGE, Verdict.AFTER_AUTH}
    for meaning in authored.meanings:
        if meaning.registry == STROOM and meaning.retry.verdict in changing:
            assert "keep the data" in meaning.retry.source["judgement"], meaning.code
        cited = meaning.retry.source.get("source")
        said = [
            claim.value
            for entry in authored.entries_by_code()[meaning.registry, meaning.code]
            if (entry.source, entry.owner) == (cited, meaning.owner)
            for claim in entry.claims
            if claim.key == "retry"
        ]
        assert set(said) <= {meaning.retry.verdict}, (meaning.registry, meaning.code, said)


def test_the_everyday_refusals_have_advice_for_the_administrator_of_a_receiver(authored: Catalogue) -> None:
    advice = {m.code: m.what_to_do["administrator"] for m in authored.meanings if m.owner == "ietf"}
    assert [code for code in (404, 407, 408, 411, 415, 417, 429) if not advice[code]] == []


def test_numbers_that_products_use_have_vendor_meanings_with_documents(authored: Catalogue) -> None:
    meanings = authored.meanings_by_code()
    for code in (419, 420, 430, 509, 529, 598, 599):
        assert meanings[HTTP, code], code
    added = {
        "laravel",
        "twitter",
        "spring",
        "shopify",
        "qualys",
        "tornado",
        "cloudlinux",
        "bigcommerce",
        "unofficial",
    }
    used = {meaning.owner: meaning for meaning in authored.meanings if meaning.owner in added}
    assert set(used) == added
    assert [owner for owner, meaning in used.items() if not meaning.specs] == []


def test_the_known_disagreements_are_there(authored: Catalogue) -> None:
    found = {(d.registry, d.code if d.code is not None else d.class_key, d.aspect) for d in authored.disagreements}
    wanted = {
        (HTTP, "any", "code-outside-100-599"),
        (HTTP, 103, "experimental"),
        *((HTTP, code, "requires_header") for code in (401, 405, 407, 426)),
        (HTTP, 405, "is-the-method-known"),
        (HTTP, 509, "meaning"),
        (STROOM, 0, "body"),
        *((STROOM, code, "retry") for code in (100, 110, 200, 310, 400, 410)),
    }
    assert wanted - found == set()


def test_stroom_numbers_that_the_documentation_leaves_out_say_so(authored: Catalogue) -> None:
    absent = {
        d.code
        for d in join(authored).disagreements
        if d.registry == STROOM and d.aspect == PRESENCE and [p.source for p in d.positions if p.absent]
    }
    assert absent == {*range(101, 105), *range(111, 114), 120, *range(301, 305), *range(311, 316), 410}
    assert len(absent) == 18
