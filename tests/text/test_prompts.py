"""Wordings: each packaged one fills and reads back; a user's wrong line is told; nothing filled in is a template."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from grounding.errors import InputError
from grounding.samples import TASKS
from grounding.text import (
    NO_MORE,
    NOT_FOUND,
    Wording,
    fill_all,
    fill_answer,
    fill_clause,
    fill_presence,
    fill_prompt,
    is_not_found,
    load_wordings,
    not_found_clauses,
    pick,
    read_boxes,
    write_boxes,
)
from grounding.text.prompts import LANGUAGES, tasks

PHRASES = [
    "dog",
    "the man in the red coat",
    "一只狗",
    "red_blood-cell (RBC)",
    "a {b}",
    "{boxes}",
    "a => b",
    "50%",
    r"\1\g<0>",
]
ONE = [[8.6, 54, 40, 76]]
TWO = [*ONE, [1, 2, 3, 4]]
PACKAGED = [(lang, wording) for lang in LANGUAGES for wording in load_wordings("phrase_to_boxes", lang)]
CLAUSES = [(lang, clause) for lang in LANGUAGES for clause in not_found_clauses(lang)]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_there_are_many_wordings_none_twice_and_most_answer_with_boxes_alone(lang: str) -> None:
    wordings = load_wordings("phrase_to_boxes", lang)
    assert 20 <= len(wordings) <= 35
    assert len({wording.prompt for wording in wordings}) == len(wordings)
    plain = [wording for wording in wordings if wording.answer == "{boxes}"]
    assert 0.7 < len(plain) / len(wordings) < 1
    assert 3 <= len(set(not_found_clauses(lang))) == len(not_found_clauses(lang))


def test_the_style_that_cogvlm_knows_and_a_chinese_sentence_are_among_them() -> None:
    assert Wording("Where is {phrase}? answer in [[x0,y0,x1,y1]] format.") in load_wordings("phrase_to_boxes", "en")
    sentences = {wording.answer for wording in load_wordings("phrase_to_boxes", "zh")}
    assert "图片中存在{phrase}，所在区域为{boxes}" in sentences


@pytest.mark.parametrize(("lang", "wording"), PACKAGED, ids=[wording.prompt for _, wording in PACKAGED])
def test_every_wording_fills_and_its_answer_reads_back(lang: str, wording: Wording) -> None:
    for phrase in PHRASES:
        prompt = fill_prompt(wording, phrase)
        assert phrase in prompt
        assert not re.search(r"[{}]", prompt.replace(phrase, ""))
        for boxes in (ONE, TWO):
            written = write_boxes(boxes, (100, 100)).text
            answer = fill_answer(wording, phrase, written)
            assert answer.count(written) == 1
            assert not re.search(r"[{}]", answer.replace(phrase, ""))
            reading = read_boxes(answer)
            assert reading.xyxy_grid.tolist() == read_boxes(written).xyxy_grid.tolist()
            assert not reading.refusals and not is_not_found(answer)


@pytest.mark.parametrize(("lang", "wording"), PACKAGED, ids=[wording.prompt for _, wording in PACKAGED])
def test_every_prompt_asks_for_the_form_and_ends_a_sentence(lang: str, wording: Wording) -> None:
    assert wording.prompt.count("{phrase}") == 1
    assert wording.prompt.count("[[x0,y0,x1,y1]]") == 1
    assert fill_prompt(wording, "dog")[-1] in {"en": ".?", "zh": "。？"}[lang] or wording.prompt.endswith("{phrase}.")
    # Words of a language only: a wording in the wrong file would teach to mix them.
    assert bool(re.search(r"[\u4e00-\u9fff]", wording.prompt + wording.answer)) == (lang == "zh")


@pytest.mark.parametrize(("lang", "clause"), CLAUSES, ids=[clause for _, clause in CLAUSES])
def test_every_clause_says_the_sentence_and_follows_a_prompt(lang: str, clause: str) -> None:
    assert clause.count("{not_found}") == 1
    assert clause.startswith(" ") == (lang == "en") and not clause.startswith("  ")
    for sentence in (*NOT_FOUND.values(), "own {phrase} sentence"):
        prompt = fill_prompt(Wording("Find {phrase}."), "a {not_found}", fill_clause(clause, sentence))
        assert prompt.startswith("Find a {not_found}.") and prompt.endswith(sentence)


def test_what_is_filled_in_is_not_filled_again() -> None:
    wording = Wording("{phrase}?", "{phrase}: {boxes}")
    assert fill_prompt(wording, "{phrase}{boxes}") == "{phrase}{boxes}?"
    assert fill_answer(wording, "{boxes}", "[[001,002,003,004]]") == "{boxes}: [[001,002,003,004]]"


def test_picking_goes_by_the_callers_generator_and_reaches_all() -> None:
    wordings = load_wordings("phrase_to_boxes", "en")
    drawn = [pick(wordings, random.Random(seed)) for seed in range(500)]
    assert drawn == [pick(wordings, random.Random(seed)) for seed in range(500)]
    assert set(drawn) == set(wordings)


OTHERS = [task for task in tasks() if task != "phrase_to_boxes"]


@pytest.mark.parametrize("task", OTHERS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_other_task_has_wordings_in_its_language(task: str, lang: str) -> None:
    wordings = load_wordings(task, lang)
    assert len(wordings) >= 5
    assert len({wording.prompt for wording in wordings}) == len(wordings)
    for wording in wordings:
        assert wording.prompt[-1] in {"en": '.?"', "zh": "。？”"}[lang]
        assert bool(re.search(r"[\u4e00-\u9fff]", wording.prompt)) == (lang == "zh")
        assert ("{boxes}" in wording.answer) == ("[[x0,y0,x1,y1]]" in wording.prompt)
        filled = fill_prompt(wording, "dog", boxes_text="[[001,002,003,004]]")
        assert not re.search(r"[{}]", filled + fill_answer(wording, "dog", "[[001,002,003,004]]"))
        for said in re.findall(r"“(没有[^”]*)”|\"(There [^\"]*)\"", wording.prompt):
            assert NO_MORE[lang] in said


def test_the_answers_that_are_no_boxes_are_no_not_found_sentence() -> None:
    for lang in LANGUAGES:
        assert read_boxes(NO_MORE[lang]).refusals[0].reason == "no_box"
        for wording in load_wordings("presence", lang):
            answers = [fill_presence(wording, "dog", present) for present in (True, False)]
            assert len(set(answers)) == 2 and not any(map(is_not_found, answers))


def test_everything_at_once_reads_back_class_by_class() -> None:
    for lang in LANGUAGES:
        for wording in load_wordings("all_to_boxes", lang):
            texts = {"dog": write_boxes(TWO, (100, 100)).text, "一只猫": write_boxes(ONE, (100, 100)).text}
            reading = read_boxes(fill_all(wording, texts, lang))
            assert reading.groups.tolist() == [0, 0, 1] and not reading.refusals


@pytest.mark.parametrize(
    ("task", "line", "said"),
    [
        ("next_box", "Find {phrase}.", "no {boxes}"),
        ("box_to_phrase", "What is this?", "no {boxes}"),
        ("box_to_phrase", "What is {boxes}? => {phrase} {phrase}", "{phrase} exactly once"),
        ("box_to_phrase", "What {phrase} is {boxes}?", "the prompt holds '{phrase}'"),
        ("all_to_boxes", "List all.", "no answer"),
        ("all_to_boxes", "List all. => {boxes}", "{phrase} exactly once"),
        ("presence", "Is {phrase} there?", "no answer"),
        ("presence", "Is {phrase} there? => Yes.", "must be two"),
        ("presence", "Is {phrase} there? => Yes. | {boxes}", "the answer holds '{boxes}'"),
    ],
)
def test_a_wrong_line_of_another_task_is_named(tmp_path: Path, task: str, line: str, said: str) -> None:
    file = tmp_path / "own.txt"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_wordings(task, "en", file)
    assert str(raised.value).startswith(f"{file}:1: ") and said in str(raised.value)


def test_an_unknown_task_or_language_is_told_what_there_is() -> None:
    assert set(tasks()) == {*TASKS} - {"caption_with_boxes", "text"}
    with pytest.raises(InputError, match=r"'next_bok'.*phrase_to_boxes"):
        load_wordings("next_bok", "en")
    with pytest.raises(InputError, match=r"'fr'.*en, zh"):
        load_wordings("phrase_to_boxes", "fr")
    with pytest.raises(InputError, match=r"'fr'.*en, zh"):
        not_found_clauses("fr")


def test_a_users_own_file(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# mine\r\n\r\nFind {phrase}, {phrase}!\r\n  Show {phrase}. => {phrase} is at {boxes}.\r\n"
    )
    assert load_wordings("phrase_to_boxes", "en", file) == (
        Wording("Find {phrase}, {phrase}!", "{boxes}"),
        Wording("Show {phrase}.", "{phrase} is at {boxes}."),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Find it.", "no {phrase}"),
        ("=> {boxes}", "no {phrase}"),
        ("Find {phrase}. =>", "{boxes} exactly once"),
        ("Find {phrase}. => here", "{boxes} exactly once"),
        ("Find {phrase}. => {boxes} {boxes}", "{boxes} exactly once"),
        ("Find {phrase}. => {boxes} => {boxes}", "more than once"),
        ("Find {phrase} in {image}.", "'{image}'"),
        ("Find {phrase} {", "'{'"),
        ("Find {phrase} }", "'}'"),
        ("Find {phrase}. => {boxes} {x}", "'{x}'"),
        ("Find {phrase} {boxes}.", "'{boxes}'"),
        ("Find {phrase}. => {not_found} {boxes}", "'{not_found}'"),
        ("Find {phrase}. => [[1,2,3,4]] {boxes}", "does not read back"),
        ("Find {phrase}. => [[x]] {boxes}", "does not read back"),
        ("Find {phrase}. => 未找到指定目标 {boxes}", "does not read back"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "own.txt"
    file.write_text(f"# first\nFind {{phrase}}.\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_wordings("phrase_to_boxes", "en", file)
    assert str(raised.value).startswith(f"{file}:3: ") and said in str(raised.value)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("# nothing\n")
    binary.write_bytes(b"\xff\xfe{")
    for file, said in ((empty, "no wording"), (binary, "UTF-8"), (tmp_path / "gone.txt", "cannot be read")):
        with pytest.raises(InputError, match=said) as raised:
            load_wordings("phrase_to_boxes", "zh", file)
        assert str(file) in str(raised.value)
