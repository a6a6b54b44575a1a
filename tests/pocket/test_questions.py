"""Questions: what is there is never asked as absent, each language is asked, and labels say what the truth says."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from grounding.pocket.folder import Drawing, read_drawing, write_drawing
from grounding.pocket.questions import Asking, absent_questions, is_one, nouns, phrase_of, present_questions, samples_of
from grounding.pocket.scenes import CATEGORIES, draw_scenes
from grounding.samples import problems, read_dataset
from grounding.text import is_not_found, not_found_sentences, read_boxes, to_grid

SCENES = draw_scenes(30, seed=4, objects=(1, 4))


@pytest.mark.parametrize(("bare", "one_word"), [(False, False), (True, False), (True, True)])
def test_labels_say_what_the_truth_says(bare: bool, one_word: bool) -> None:
    for number, scene in enumerate(SCENES):
        way = Asking(present=5, absent=3, bare=bare, one_word=one_word)
        samples = list(samples_of(scene.objects, scene.image.size, "x.png", random.Random(number), way))
        assert len(samples) == 8
        for sample in samples:
            assert not list(problems(sample))
            true = [list(map(float, one.xyxy_px)) for one in scene.objects if is_one(one, sample.category)]
            assert sample.boxes == true
            assert sample.phrase is not None and sample.phrase in sample.prompt
            if true:
                read = read_boxes(sample.label).xyxy_grid
                cells, _ = to_grid(true, scene.image.size)
                assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, np.asarray(cells).tolist()))
            else:
                assert is_not_found(sample.label, not_found_sentences())


def test_what_is_there_is_never_asked_as_absent() -> None:
    for number, scene in enumerate(SCENES):
        there = {drawn.category for drawn in scene.objects}
        asked = absent_questions(scene.objects, random.Random(number), 8)
        assert len(set(asked)) == 8
        assert not there & {question.category for question in asked}


def test_near_misses_share_colour_or_shape_with_what_is_there() -> None:
    for number, scene in enumerate(SCENES):
        words = {word for drawn in scene.objects for word in drawn.category.split(" ")}
        first, second = absent_questions(scene.objects, random.Random(number), 2)
        assert words & set(first.category.split(" ")) and words & set(second.category.split(" "))


def test_every_class_there_is_asked_in_turn() -> None:
    for number, scene in enumerate(SCENES):
        there = {drawn.category for drawn in scene.objects}
        asked = present_questions(there, random.Random(number), 2 * len(there))
        assert sorted((one.category, one.lang) for one in asked) == sorted(
            (category, lang) for category in there for lang in ("en", "zh")
        )


def test_nouns_are_no_classes_and_have_two_names() -> None:
    assert len(dict(nouns())) == len(nouns()) > 50
    for english, chinese in nouns():
        assert english not in CATEGORIES
        assert chinese and not chinese.isascii()


def test_names_differ_in_both_languages() -> None:
    for lang in ("en", "zh"):
        names = [phrase_of(one._replace(lang=lang)) for one in _all_classes()]
        assert len(set(names)) == len(CATEGORIES)


def _all_classes() -> list:
    from grounding.pocket.questions import Question

    return [Question(category, "en") for category in CATEGORIES]


def test_a_drawn_folder_reads_back_and_is_the_same_each_time(tmp_path: Path) -> None:
    drawing = Drawing(scenes=3, seed=9, side=64)
    for name in ("one", "two"):
        write_drawing(tmp_path / name, drawing, {"bare": Asking(4, 2, bare=True), "full": Asking()})
    for file in ("bare.jsonl", "full.jsonl", "images/000002.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    pictures, objects = read_drawing(tmp_path / "one/full.jsonl")
    scenes = draw_scenes(3, seed=9, size_wh=(64, 64), objects=(1, 4))
    for picture, found, scene in zip(pictures, objects, scenes, strict=True):
        np.testing.assert_array_equal(picture, np.asarray(scene.image))
        assert sorted(found) == sorted(scene.objects)
    full = read_dataset(tmp_path / "one/full.jsonl").samples
    assert sum(bool(sample.boxes) for sample in full) * 2 == len(full)
