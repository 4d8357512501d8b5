"""Every example of docs/catalogue.md is run, and what it says of the catalogue is true."""

import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from codes import loading
from codes.catalogue.records import CLAIM_VALUES
from codes.catalogue.values import SourceKind, Verdict
from codes.explain.answers import explain
from codes.models import Source, SourceEntry
from codes.search.index import find, straight_to
from codes.search.remarks import remarks_on
from tests.codes.catalogue.test_iana import registry_file

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"
TEXT = PAGE.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.django_db
@pytest.mark.usefixtures("catalogue")
class TestWithTheCatalogue:
    def test_every_command_works(self, authored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "http-status-codes-1.csv").write_text(registry_file(authored))
        log = b"REJECT,/datafeed,406,110,0000013735930_0000_P_a,0,1,no,\n"
        monkeypatch.chdir(tmp_path)
        commands = [line for block in blocks("console") for line in block.splitlines()]
        assert len(commands) >= 6
        for command in commands:
            before, _, ours = command.removeprefix("$ ").partition("python manage.py ")
            if before:
                monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(log)))
            output = io.StringIO()
            call_command(*shlex.split(ours), stdout=output)
            assert output.getvalue().strip(), command

    def test_the_source_of_the_example_is_loaded_as_it_stands(self, tmp_path: Path, settings: Any) -> None:
        settings.DATA_DIR = tmp_path
        (tmp_path / "catalogue" / "sources").mkdir(parents=True)
        (own,) = blocks("toml")
        (tmp_path / "catalogue" / "sources" / "payroll.toml").write_text(own)
        loading.load()
        assert Source.objects.get(pk="payroll-api").rank == 50
        assert SourceEntry.objects.get(pk="payroll-api/http/409/ietf").local_note.startswith("Wait until")

    def test_what_the_table_of_queries_promises_is_so(self) -> None:
        found = {
            "not found": "http/404",
            "Payload Too Large": "http/413",
            "teapot": "http/418",
            "too large": "http/413",
            "rate limit": "http/429",
            "login required": "http/401",
            "forbiden": "http/403",
            "servce unavailble": "http/503",
            "cloudflare 520": "http/520",
            "nginx 499": "http/499",
            "502 503 504 cloudflare": "http/502",
            "aws 502": "http/502",
            "HTTP_404_NOT_FOUND": "http/404",
            "FEED_IS_NOT_DEFINED": "stroom/101",
            "Feed is not set to receive data": "stroom/110",
        }
        pages = {
            "404": "/codes/http/404/",
            "http 404": "/codes/http/404/",
            "stroom 310": "/codes/stroom/310/",
            "406/110": "/codes/lookup/?http=406&stroom=110",
            "403 310": "/codes/lookup/?http=403&stroom=310",
            "401 or 403?": "/codes/compare/?codes=401,403",
            "301,302,307": "/codes/compare/?codes=301,302,307",
        }
        lists = {
            "safe to retry": "retry=after_wait",
            "cacheable": "cacheable=heuristic",
            "deprecated": "standing=dep",
        }
        remarked = {"1020", "ECONNREFUSED"}
        section = TEXT.split("## Search", 1)[1].split("\n## ", 1)[0]
        queries = re.findall(
            r"`([^`]+)`", "".join(line.split("|")[1] for line in section.splitlines() if "| `" in line)
        )
        assert set(queries) == {*found, *pages, *lists, *remarked, "Retry-After", "Retry-After: 120"}
        assert all(address in find(query).places[0].url for query, address in lists.items())
        assert all(list(remarks_on(query)) for query in remarked)
        assert {query: find(query).keys[0] for query in found} == found
        assert {query: straight_to(query) for query in pages} == pages

    def test_what_it_says_of_pairs_is_so(self) -> None:
        section = TEXT.split("| they fit because |", 1)[1].split("\n\n", 1)[0]
        generations = {}
        for line in section.splitlines():
            if generation := re.search(r"\(`([\w ]+)`\)", line):
                for http in re.findall(r"\b(\d{3})\b", line.split("|")[2].split("with")[0]):
                    generations[f"{http}/{line.rsplit('Stroom ', 1)[1][:3]}"] = generation[1]
        assert len(generations) == 13
        for pair, expected in generations.items():
            (answer,) = explain(pair).answers
            assert answer.judged.generation == expected, pair

    def test_pages_of_the_examples_exist(self, site: Client) -> None:
        for address in set(re.findall(r"`(/codes/[^`]*)`", TEXT)):
            assert site.get(address).status_code == 200, address


def test_it_names_every_claim_verdict_and_kind_of_source() -> None:
    for word in [*CLAIM_VALUES, *Verdict]:
        assert f"`{word}`" in TEXT
    for kind in SourceKind:
        assert str(kind) in TEXT


def test_its_limits_are_those_of_the_code() -> None:
    from codes.explain.recognise import MAX_LENGTH
    from portal.server import try_it, try_it_options

    assert f"At most {MAX_LENGTH // 1024} KiB" in TEXT
    assert f"up to {try_it_options.MAX_DELAY:.0f} s" in TEXT
    assert f"{try_it.MOST_A_MINUTE:,} requests a minute" in TEXT
