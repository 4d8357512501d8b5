"""What must be right by RFC 9110 and the registry of today, whatever a source says."""

from codes.catalogue.values import HTTP, STROOM, Catalogue, Standing

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
        (HTTP, 499): ["nginx", "esri"],
        **{key: value for key, value in owners.items() if key[1] in {463}},
    }
    assert [m.vendors for m in authored.meanings_by_code()[HTTP, 520]] == [("microsoft", "cloudflare")]


def test_stroom_310_has_both_generations(authored: Catalogue) -> None:
    statuses = {c.code: c.http_statuses for c in authored.codes if c.registry == STROOM}
    assert statuses[310] == (403, 401)
    assert len(statuses) == 26
    documented = [e for e in authored.entries if e.source == "stroom-response-codes"]
    current = {e.code for e in authored.entries if e.source == "stroom-source"}
    assert len(documented) == 8
    assert current >= {101, 102, 103, 104, 111, 112, 113, 120, 301, 302, 303, 304, *range(310, 316), 410}
