"""Which classes a form would make absent where they are annotated: told by findings and by samples of other tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_tools.convert import Options, convert
from data_tools.records import Finding, Tally
from data_tools.writers.findings import FINDINGS, write_findings
from data_tools.writers.unsaid import unsaid
from tests.data_tools import sets
from tests.samples.making import TEXT, make


@pytest.mark.parametrize(
    ("reason", "found", "told"),
    [
        ("class_incomplete", "cat in a.png", {"cat": ["a.png"]}),
        ("class_not_exhaustive", "cat in a.png", {"cat": ["a.png"]}),
        ("class_only_ignored", "cat in a.png", {"cat": ["a.png"]}),
        ("class_refused", "cat in a.png", {"cat": ["a.png"]}),
        ("class_refused", "man in suit in a.png", {"man in suit": ["a.png"]}),
        ("class_refused", "man in in a bag.png", {"man": ["in a bag.png"]}),
        ("class_refused", "dog in a.png", {}),  # asked for all the same, by another source perhaps
        ("class_refused", "cat in z.png", {}),  # no sample is about this image: the form does not have it
        ("duplicate_box", "cat in a.png", {}),
    ],
)
def test_what_findings_tell(tmp_path: Path, reason: str, found: str, told: dict[str, list[str]]) -> None:
    write_findings(tmp_path / FINDINGS, Tally.of([Finding(reason, "somewhere", found)]))
    assert unsaid(tmp_path, [], {("a.png", "dog"), ("in a bag.png", "dog")}) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "phrase_to_box"}, {"dog": ["a.png"]}),
        ({"task": "all_to_boxes", "category": None, "categories": ["owl", "cat"]}, {"owl": ["a.png"]}),
        ({"task": "phrase_to_box", "category": "cat"}, {}),
        ({"task": "phrase_to_box", "category": None}, {}),
        ({"boxes": [], "label": "No."}, {}),
        (TEXT, {}),
    ],
)
def test_what_other_samples_tell(tmp_path: Path, changes: dict[str, Any], told: dict[str, list[str]]) -> None:
    values = {"boxes": [[1, 2, 3, 4], [5, 6, 7, 8]]} if "categories" in changes else {}
    samples = [make(**{"image": "a.png", **values, **changes})]
    assert unsaid(tmp_path, samples, {("a.png", "cat")}) == told


def test_most_images_first(tmp_path: Path) -> None:
    findings = [Finding("class_refused", "x", found) for found in ("ox in b", "ant in a", "ox in a", "ox in b")]
    write_findings(tmp_path / FINDINGS, Tally.of(findings))
    assert list(unsaid(tmp_path, [], {("a", "cat"), ("b", "cat")}).items()) == [("ox", ["a", "b"]), ("ant", ["a"])]


def test_convert_writes_what_is_understood(tmp_path: Path) -> None:
    """Of a set with faults, every class that is annotated in an image is asked for there or told."""
    source = sets.coco(tmp_path / "set", sets.FAULTY, sets.MISSING)
    made = convert([(None, source)], tmp_path / "out", Options())
    samples = [sample for split in made.samples.values() for sample in split]
    asked = {(sample.image or "", sample.category or "") for sample in samples}
    refused = {
        found.found
        for reason in ("class_incomplete", "class_only_ignored")
        for found in made.tally.examples.get(reason, ())
    }
    images = {image for image, _ in asked}
    told = {f"{name} in {image}" for name, some in unsaid(tmp_path / "out", samples, asked).items() for image in some}
    assert told and told == {one for one in refused if one.split(" in ")[-1] in images}
