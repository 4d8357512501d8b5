"""What programs print, by the hundred: every code is found, and nothing else is taken for one."""

import json
from pathlib import Path

import pytest

from codes.catalogue.reader import read_catalogue
from codes.explain.faults import FAULTS, cause_of
from codes.explain.findings import Vocabulary
from codes.explain.owners import SIGNS, owner_meant
from codes.explain.pairing import StatusPair, pair_up
from codes.explain.recognise import recognise
from codes.explain.unanswered import NO_STATUS
from codes.explain.vocabulary import vocabulary_of
from codes.explain.words import WORDS
from codes.loading import DATA_DIRECTORY
from tests.codes.explain.printed import clients, logs, servers

FOLDER = Path(__file__).parent / "printed"
VOCABULARY: Vocabulary = vocabulary_of(read_catalogue(DATA_DIRECTORY))
TABLES = (
    servers.PAGES,
    servers.ERROR_LOGS,
    clients.ANSWERED,
    clients.UNANSWERED,
    logs.STROOM,
    logs.FORMATS,
)
PRINTED = [row for table in TABLES for row in table]


def answers(text: str) -> str:
    return " ".join(_written(pair) for pair in pair_up(recognise(text, VOCABULARY)))


def _written(pair: StatusPair) -> str:
    http = "" if pair.http is None else "none" if pair.http == NO_STATUS else str(pair.http)
    return http if pair.stroom is None else f"{http}/{pair.stroom}"


@pytest.mark.parametrize(("text", "expected"), PRINTED)
def test_finds_the_answers_in_what_programs_print(text: str, expected: str) -> None:
    assert answers(text) == expected


@pytest.mark.parametrize(
    "name", ["tools", "runtimes", "places", "answers", "programs", "tools_and_servers", "garbled", "nothing"]
)
def test_finds_the_answers_in_each_text_of_a_file(name: str) -> None:
    """One text and its answers a line: what tools, runtimes and servers print, and what names no code at all."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    wrong = [(text, expected, found) for text, expected in rows if (found := answers(text)) != expected]
    assert len(rows) > 60
    assert wrong == []


@pytest.mark.parametrize("text", logs.NOTHING)
def test_finds_no_code_where_there_is_none(text: str) -> None:
    assert answers(text) == ""


@pytest.mark.parametrize(("text", "expected"), PRINTED)
def test_line_ends_and_a_prefix_hide_nothing(text: str, expected: str) -> None:
    assert answers(text.replace("\r\n", "\n").replace("\n", "\r\n")) == expected


@pytest.mark.parametrize(("text", "expected"), PRINTED)
def test_offsets_are_those_of_the_pasted_text(text: str, expected: str) -> None:
    for found in recognise(text, VOCABULARY):
        assert text[found.start : found.end] == found.passage
        assert found.passage.strip()


@pytest.mark.parametrize("place", range(len(WORDS)))
def test_server_words_mean_their_example_and_not_their_counter_example(place: int) -> None:
    words = WORDS[place]
    assert words.pattern.search(words.example)
    assert answers(words.example) == str(words.code)
    assert not words.pattern.search(words.counter_example)
    assert not any(other.pattern.search(words.example) for other in WORDS[:place] if other.code != words.code)


@pytest.mark.parametrize("place", range(len(FAULTS)))
def test_a_fault_means_its_example_and_not_its_counter_example(place: int) -> None:
    fault = FAULTS[place]
    assert cause_of(fault.example) == fault.sentence  # so that no earlier one takes it
    assert answers(fault.example) == "none"
    assert cause_of(fault.counter_example) == ""
    assert answers(fault.counter_example) == ""


@pytest.mark.parametrize("place", range(len(SIGNS)))
def test_a_sign_names_its_owner_by_its_example_alone(place: int) -> None:
    sign = SIGNS[place]
    assert owner_meant(sign.code, sign.example, ()) == sign.owner
    assert owner_meant(sign.code, sign.counter_example, ()) != sign.owner
