"""Ways through a table of words, for the tests of every room that has one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from string import Formatter
from typing import Any

from grounding.page.words import Words
from grounding.samples import LANGUAGES


def sentences(table: Any, by_number: Collection[str] = (), place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Each sentence by its place; in the groups `by_number` two that differ by number stand for one, the second."""
    if not isinstance(table, dict | list):
        yield place, table
    elif isinstance(table, list) and place[0] in by_number:
        yield place, table[1]
    else:
        for key, inner in table.items() if isinstance(table, dict) else enumerate(table):
            yield from sentences(inner, by_number, (*place, key))


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def check_alike(tables: Mapping[str, Words], by_number: Collection[str]) -> None:
    """Every language has the same keys and places, and both sentences of a number have the same places."""
    assert set(tables) == set(LANGUAGES)
    flat = {lang: dict(sentences(table, by_number)) for lang, table in tables.items()}
    english = flat["en"]
    assert len(english) > 200
    for lang, table in flat.items():
        assert table.keys() == english.keys(), lang
        for key, sentence in table.items():
            assert sentence.strip() and fields(sentence) == fields(english[key]), (lang, key)
    pairs = [(key, pair) for group in by_number for key, pair in tables["en"][group].items() if isinstance(pair, list)]
    assert pairs
    for key, (one, many) in pairs:
        assert fields(one) | {"n"} == fields(many) | {"n"}, key
