"""Display names and aliases: read with their mistakes told, drawn without a look at the truth, never of two classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.compose import compose
from data_tools.convert import Options, convert
from data_tools.names import ClassNames, check_names, load_names, names_in, phrases_of
from data_tools.selection import Question
from data_tools.wording import Voice, draw_name, load_languages
from grounding.errors import InputError, ManyErrors
from grounding.pocket.scenes import draw_scenes, write_coco
from grounding.text import NOT_FOUND, read_boxes
from tests.data_tools.annotated import box, record

CELLS: ClassNames = {"rbc_01": {"en": ("red blood cell", "erythrocyte"), "zh": ("红细胞",)}}
BOTH = load_languages(("en", "zh"), NOT_FOUND, {})


def written(folder: Path, text: str) -> Path:
    path = folder / "names.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_lists_and_single_names_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path, "rbc_01:\n  en: [red blood cell, erythrocyte, red blood cell]\n  zh: 红细胞\n7: {en: seven}\n"
    )
    assert load_names(path) == {**CELLS, "7": {"en": ("seven",)}}


def test_what_is_not_named_keeps_the_class_name() -> None:
    assert names_in("white_cell", "zh", CELLS) == ("white cell",)
    assert names_in("rbc_01", "zh", {"rbc_01": {"en": ("cell",)}}) == ("rbc 01",)
    assert phrases_of("rbc_01", CELLS) == ("red blood cell", "erythrocyte", "红细胞")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no classes"),
        ("- a\n- b\n", "holds no classes"),
        ("a: [", "is not YAML"),
        ("rbc: red cell\n", "rbc: 'red cell' has no languages"),
        ("rbc: {de: Zelle}\n", "'de' is no language; there are en, zh"),
        ("rbc: {en: []}\n", "rbc: en: [] is no name"),
        ("rbc: {en: [cell, 7]}\n", "is no name or list of names"),
        ("rbc: {en: '__'}\n", "is no name or list of names"),
    ],
)
def test_mistakes_in_the_file_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        load_names(written(tmp_path, text))
    assert told in str(raised.value)
    assert "names.yaml" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_names(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"rbc_1": {"en": ("cell",)}}, "'rbc_1' is no class here. Did you mean 'rbc_01'?"),
        ({"rbc_01": {"en": ("Platelet",)}}, "would mean both 'platelet' and 'rbc_01'"),
        ({"rbc_01": {"en": ("cell",)}, "wbc": {"en": ("cell",)}}, "'cell' would mean both 'rbc_01' and 'wbc'"),
    ],
)
def test_names_must_fit_the_classes(names: ClassNames, told: str) -> None:
    with pytest.raises(ManyErrors) as raised:
        check_names(names, {"rbc_01", "platelet", "wbc"})
    assert told in str(raised.value)


def test_the_name_is_the_same_whether_the_class_is_there_or_not() -> None:
    image = record("a.png", box("rbc_01"))
    for seed in range(20):
        (found,), _ = compose(
            [Question(image, "rbc_01", True)], {"phrase_to_boxes": Voice(BOTH, NOT_FOUND, seed, CELLS)}
        )
        (absent,), _ = compose(
            [Question(record("a.png"), "rbc_01", False)], {"phrase_to_boxes": Voice(BOTH, NOT_FOUND, seed, CELLS)}
        )
        assert (found.prompt, found.phrase, found.category) == (absent.prompt, absent.phrase, "rbc_01")
        assert found.phrase in CELLS["rbc_01"][found.lang]
        assert found.phrase in found.prompt
        assert len(read_boxes(found.label).xyxy_grid) == 1


def test_all_aliases_come_up() -> None:
    drawn = {draw_name("rbc_01", "en", CELLS, 0, f"{number}.png") for number in range(40)}
    assert drawn == {"red blood cell", "erythrocyte"}


def test_a_conversion_uses_the_names_and_keeps_the_class(tmp_path: Path) -> None:
    scenes = draw_scenes(12, seed=1)
    there = scenes[0].objects[0].category
    instances = write_coco(tmp_path, scenes)
    names = written(tmp_path, f"{there}: {{en: thing one, zh: 甲}}\n")
    made = convert(
        [("train", instances)],
        tmp_path / "out",
        Options(images=tmp_path / "images", langs=("en", "zh"), names=names, negatives=9),
    )
    phrases = {s.phrase for s in made.samples["train"] if s.category == there}
    assert phrases <= {"thing one", "甲"}
    assert phrases
    assert str(names) in made.manifest.inputs
