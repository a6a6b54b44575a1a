"""ODVG lines: detections as classes, regions as phrases, and that what is wrong costs itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_tools.readers.odvg import open_odvg
from data_tools.records import Source
from tests.data_tools.annotated import json_file, jsonl_file


def line(name: Any = "a.png", **more: Any) -> dict[str, Any]:
    return {"filename": name, "height": 30, "width": 40, **more}


def instance(bbox: Any, category: Any = "cat", label: Any = 0) -> dict[str, Any]:
    return {"bbox": bbox, "label": label, "category": category}


def detection(*instances: Any) -> dict[str, Any]:
    return {"detection": {"instances": list(instances)}}


def grounding(*regions: Any) -> dict[str, Any]:
    return {"grounding": {"caption": "words", "regions": list(regions)}}


def read(folder: Path, lines: list[Any]) -> Source:
    (source,) = open_odvg(jsonl_file(folder, "set.jsonl", lines), None, {})
    return source


def test_detections(tmp_path: Path) -> None:
    json_file(tmp_path, "set_label_map.json", {"0": "cat", "1": "dog", "2": "cow"})
    unnamed = {"bbox": [0, 0, 9, 9], "label": 1}
    source = read(tmp_path, [line(**detection(instance([1, 2, 3.5, 4]), unnamed)), line("b.png", **detection())])
    assert [(a.category, a.xyxy_px) for a in source.records[0].annotations] == [
        ("cat", (1.0, 2.0, 3.5, 4.0)),
        ("dog", (0.0, 0.0, 9.0, 9.0)),
    ]
    assert [record.size_wh for record in source.records] == [(40, 30)] * 2
    assert (source.absence, source.classes) == ("exhaustive", {"cat", "dog", "cow"})
    assert (len(source.inputs), dict(source.tally.counts)) == (2, {})


def test_regions(tmp_path: Path) -> None:
    regions = [
        {"phrase": "a dog", "bbox": [[1, 1, 5, 5], [6, 6, 9, 9]], "tokens_positive": [[0, 5]]},
        {"phrase": "hat", "bbox": [1, 1, 3, 3]},
        {"phrase": "hat", "bbox": [4, 4, 6, 6]},
        {"phrase": "a dog", "bbox": [20, 20, 25, 25], "tokens_positive": [[9, 14]]},
    ]
    source = read(tmp_path, [line(**grounding(*regions)), line("b.png", **detection(instance([1, 1, 2, 2])))])
    phrases = source.records[0].phrases
    assert [(p.text, len(p.boxes_px)) for p in phrases] == [("a dog", 2), ("hat", 2), ("a dog", 1)]
    assert source.absence == "none"
    assert not source.tally.counts


@pytest.mark.parametrize(
    ("content", "counted"),
    [
        (detection(instance([1, 1, 1, 5])), {"zero_area": 1}),
        (detection(instance([5, 1, 1, 5])), {"negative_area": 1}),
        (detection(instance([float("nan"), 1, 1, 5])), {"not_finite": 1}),
        (detection(instance(None)), {"missing_box": 1}),
        (detection(instance([1, 2, 3])), {"malformed_box": 1}),
        (detection(instance([1, 1, 5, 5], None, 9), "no object"), {"unknown_category": 2}),
        (grounding({"phrase": "x", "bbox": [[1, 1, 2, 2], [3, 3, 3, 3]]}), {"zero_area": 1, "phrase_incomplete": 1}),
        (grounding({"bbox": [1, 1, 2, 2]}, 5), {"empty_phrase": 2}),
        ({"detection": 5, "grounding": []}, {}),
    ],
)
def test_what_is_wrong_costs_itself(tmp_path: Path, content: dict[str, Any], counted: dict[str, int]) -> None:
    source = read(tmp_path, [line(**content), line("b.png", **detection(instance([1, 1, 5, 5])))])
    assert dict(source.tally.counts) == counted
    assert [len(record.annotations) for record in source.records] == [0, 1]
    assert not any(record.phrases for record in source.records)


def test_wrong_lines_are_counted(tmp_path: Path) -> None:
    path = jsonl_file(tmp_path, "set.jsonl", [line(), 5, {"height": 3}, line("../x.png"), line("/x.png")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b'{"filename": "b.p\n\xff\xfe\n\n')
    (source,) = open_odvg(path, None, {})
    assert [record.name for record in source.records] == ["a.png"]
    assert dict(source.tally.counts) == {"malformed_line": 4, "bad_file_name": 2}
    assert source.tally.examples["malformed_line"][0].place == "set.jsonl:2"
