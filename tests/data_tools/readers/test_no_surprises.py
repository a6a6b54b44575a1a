"""Whatever JSON stands where a format has a key: its reader says so, and never fails in another way."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.readers import open_auto
from data_tools.readers.coco import open_coco
from data_tools.readers.labelme import open_labelme
from data_tools.readers.odvg import open_odvg
from data_tools.readers.referring import open_referring
from data_tools.readers.swift import open_swift
from data_tools.readers.visual_genome import open_visual_genome
from data_tools.readers.yolo import open_yolo
from data_tools.records import Reader
from grounding.errors import InputError
from tests.data_tools.annotated import image

WORDS = st.sampled_from(
    ["a.png", "a dog", "circle", "<image><ref-object>", "<bbox>", "user", "assistant", "norm1", "refcoco", ""]
)
NUMBERS = st.one_of(st.integers(-50, 50), st.floats(), st.just(10**400))
VALUES: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=5), st.lists(NUMBERS, min_size=4, max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


def some(**keys: Any) -> Any:
    """An object with these keys, each left out at times and each holding what it should or anything else."""
    return st.fixed_dictionaries({}, optional={key: st.one_of(value, VALUES) for key, value in keys.items()})


def several(entry: Any) -> Any:
    return st.lists(st.one_of(entry, VALUES), max_size=3)


NAME = st.just("a.png")
ID = st.integers(0, 2)
BOX = st.lists(st.integers(0, 30), min_size=4, max_size=4)
SPAN = st.lists(st.integers(0, 9), min_size=2, max_size=2)
SPANS = st.lists(SPAN, max_size=2)
IMAGE = some(
    id=ID, file_name=NAME, coco_url=WORDS, width=st.just(40), caption=WORDS, dataset_name=WORDS, neg_category_ids=VALUES
)
ANNOTATION = some(image_id=ID, id=ID, category_id=ID, bbox=BOX, tokens_positive=SPANS, segmentation=VALUES)
COCO = some(images=several(IMAGE), annotations=several(ANNOTATION), categories=several(some(id=ID, name=WORDS)))
REGION = some(phrase=WORDS, bbox=BOX, x=ID, y=ID, width=ID, height=ID)
OBJECTS = some(ref=st.lists(WORDS, max_size=2), bbox=st.lists(BOX, max_size=2), bbox_type=WORDS)
ASKED = some(role=st.just("user"), content=WORDS)
ANSWERED = some(role=st.just("assistant"), content=WORDS)
KINDS: dict[str, tuple[Reader, Any, str]] = {
    "coco": (open_coco, COCO, "x.json"),
    "referring": (open_referring, COCO, "finetune_x.json"),
    "visual_genome": (
        open_visual_genome, several(some(id=ID, regions=several(REGION))), "region_descriptions.json"
    ),
    "odvg": (
        open_odvg,
        some(filename=NAME, width=ID, detection=some(instances=several(some(bbox=BOX, label=ID, category=WORDS))),
             grounding=some(caption=WORDS, regions=several(REGION))),
        "x.jsonl",
    ),
    "swift": (
        open_swift,
        some(messages=st.tuples(ASKED, ANSWERED), images=st.just(["a.png"]), objects=OBJECTS),
        "x.jsonl",
    ),
    "labelme": (
        open_labelme,
        some(imagePath=NAME, imageWidth=ID,
             shapes=several(some(label=WORDS, points=several(SPAN), shape_type=WORDS, group_id=ID, flags=VALUES))),
        "x.json",
    ),
    "yolo": (open_yolo, some(names=st.just(["cat"]), train=WORDS, path=WORDS), "data.yaml"),
}  # fmt: skip

EXAMPLES = 30


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_surprises_a_reader(kind: str) -> None:
    reader, documents, name = KINDS[kind]

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(documents)
    def read(document: Any) -> None:
        path = folder / name
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")
        for opened in (reader, open_auto):
            _read(opened, path)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        image(folder, "a.png")
        read()


def _read(reader: Callable[..., Any], path: Path) -> None:
    try:
        sources = reader(path, None, {})
    except InputError as error:
        assert path.name in str(error)
    else:
        assert all(finding.place for s in sources for found in s.tally.examples.values() for finding in found)
