"""The loader of words: a table a language, the code's own English in the English one alone, sentences by number."""

from __future__ import annotations

import pytest

from grounding.errors import InputError
from grounding.page.words import load_words, say
from grounding.samples import LANGUAGES
from tests.page.tables import sentences

ROOMS = ("grounding.evaluation.report", "data_tools.inspection")


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_table_is_that_of_its_file(room: str, lang: str) -> None:
    table = load_words(room, lang, {})
    assert table["html"] == {"en": "en", "zh": "zh-Hans"}[lang]
    assert len(list(sentences(table))) > 150


@pytest.mark.parametrize("room", ROOMS)
def test_what_code_owns_is_english(room: str) -> None:
    owned = {"its own": {"name": "meaning"}}
    assert load_words(room, "en", owned) == {**load_words(room, "en", {}), **owned}
    assert load_words(room, "zh", owned) == load_words(room, "zh", {})


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="en, zh"):
        load_words(ROOMS[0], "de", {})


@pytest.mark.parametrize(
    ("n", "said"),
    [(1, "1 box of 3"), ("1", "1 box of 3"), (0, "0 boxes of 3"), (21, "21 boxes of 3"), ("2", "2 boxes of 3")],
)
def test_one_and_many(n: object, said: str) -> None:
    words = {"found": {"boxes": ["{n} box of {all}", "{n} boxes of {all}"], "any": "{n}: one sentence"}}
    assert say(words, "found", "boxes", n=n, all=3) == said
    assert say(words, "found", "any", n=n) == f"{n}: one sentence"
