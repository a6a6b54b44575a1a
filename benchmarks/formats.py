"""Each format on a sample: what its files hold, what `grounding convert` makes of it, and where the difference went.

What goes in is counted by plain json, xml and csv, without a reader of this project. What comes out is counted in the
lines that are written. Annotations must balance: each is asked for, kept aside as `ignore`, put together with its copy,
or refused for a reason that is counted.

    python -m benchmarks.formats [REAL_DATA_FOLDER]

The samples are small sets with the usual faults (tests/data_tools/sets.py); in REAL_DATA_FOLDER `coco`, `lvis`, `bccd`
and `raccoon` are taken where they are there. Formats that datumaro reads need `pip install 'grounding[datumaro]'`.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.table import Table

from benchmarks.timing import RESULTS
from data_tools.reasons import REASONS, Unit
from grounding.cli.main import group
from grounding.cli.tables import output, print_whole
from grounding.samples import write_json_atomic
from tests.data_tools import sets

Kind = Literal["boxes", "phrases", "prompts"]
UNITS: Mapping[Kind, Unit] = {"boxes": "annotation", "phrases": "phrase", "prompts": "sample"}
ASIDE = frozenset({"crowd", "difficult", "group_of"})
COPY = "repeated_annotation"
PATH = RESULTS / "formats.json"
COLUMNS = ("counted", "images", "with samples", "in", "asked for", "aside", "copies", "refused")


class Held(NamedTuple):
    """What the files of a source hold: images, and annotations of the kind that is counted."""

    images: int
    annotations: int


class Case(NamedTuple):
    """A source to convert.

    Attributes:
        kind: what its annotations are.
        source: gives the SOURCE; a sample is written into the folder that it is told.
        count: counts what the source holds.
        options: of `grounding convert`, besides those that all have.
    """

    kind: Kind
    source: Callable[[Path], Path]
    count: Callable[[Path], Held]
    options: Sequence[str] = ()


def in_coco(source: Path) -> Held:
    """Images and boxes of COCO's JSON files, or LVIS's."""
    files = [source] if source.is_file() else source.rglob("*.json")
    documents = [json.loads(path.read_bytes()) for path in files]
    images = {image.get("file_name", image.get("coco_url")) for document in documents for image in document["images"]}
    return Held(len(images), sum(len(document["annotations"]) for document in documents))


def in_captions(source: Path) -> Held:
    """Pictures and captions of MDETR's JSON: an entry of `images` is a caption."""
    captions = json.loads(source.read_bytes())["images"]
    return Held(len({caption["file_name"] for caption in captions}), len(captions))


def in_xml(source: Path, image: str, boxes: Sequence[str]) -> Held:
    """Elements of all XML files below a folder: those of an image, and those of a box."""
    roots = [ET.parse(path).getroot() for path in sorted(source.rglob("*.xml"))]
    return Held(*(sum(1 for root in roots for tag in tags for _ in root.iter(tag)) for tags in ([image], boxes)))


def in_rows(source: Path) -> Held:
    """Pictures, or label files without one, and rows of YOLO."""
    labels = {path.stem: path.read_text().split("\n") for path in (source / "labels").rglob("*.txt")}
    pictures = {path.stem for path in (source / "images").rglob("*.*")}
    return Held(len(pictures | labels.keys()), sum(bool(row) for rows in labels.values() for row in rows))


def in_csv(source: Path) -> Held:
    """Images and boxes of Open Images."""
    with next(source.glob("*-annotations-bbox.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Held(len({row["ImageID"] for row in rows}), len(rows))


def in_shapes(source: Path) -> Held:
    """Files and shapes of LabelMe's JSON."""
    files = [json.loads(path.read_bytes()) for path in source.rglob("*.json")]
    return Held(len(files), sum(len(file["shapes"]) for file in files))


def in_regions(source: Path) -> Held:
    """Images and regions of Visual Genome."""
    entries = json.loads((source / "region_descriptions.json").read_bytes())
    return Held(len(entries), sum(len(entry["regions"]) for entry in entries))


def in_lines(source: Path, count: Callable[[Any], int], image: Callable[[Any], object]) -> Held:
    """Images and annotations of JSON Lines."""
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    return Held(len({image(line) for line in lines} - {None}), sum(map(count, lines)))


def in_labels(source: Path) -> Held:
    """Files and answers of CogVLM's folders."""
    talks = [json.loads(path.read_bytes())["conversations"] for path in (source / "labels").glob("*.json")]
    return Held(len(talks), sum(turn["role"] == "assistant" for talk in talks for turn in talk))


def _instances(line: Any) -> int:
    return len(line["detection"]["instances"])


def _regions(line: Any) -> int:
    return len(line["grounding"]["regions"])


def _filename(line: Any) -> object:
    return line["filename"]


def _coco_twice(folder: Path) -> Path:
    """COCO in two files of which one repeats the other."""
    sets.coco(folder, sets.FAULTY, sets.MISSING)
    first = (folder / "instances.json").rename(folder / "instances_train.json")
    shutil.copy(first, folder / "instances_val.json")
    return folder


def _faulty(build: Callable[..., Path], said: bool = False) -> Callable[[Path], Path]:
    return lambda folder: build(folder, sets.FAULTY_SAID if said else sets.FAULTY, sets.MISSING)


in_voc = partial(in_xml, image="annotation", boxes=["object"])
SAMPLES: dict[str, Case] = {
    "COCO": Case("boxes", _faulty(sets.coco), in_coco),
    "COCO, twice the same": Case("boxes", _coco_twice, in_coco),
    "LVIS": Case("boxes", _faulty(sets.lvis), in_coco),
    "Pascal VOC": Case("boxes", _faulty(sets.voc), in_voc),
    "YOLO": Case("boxes", _faulty(sets.yolo), in_rows),
    "YOLO, oriented": Case("boxes", _faulty(sets.yolo_oriented), in_rows),
    "Open Images": Case("boxes", _faulty(sets.openimages), in_csv),
    "LabelMe": Case("boxes", _faulty(sets.labelme), in_shapes),
    "ODVG, detection": Case("boxes", _faulty(sets.odvg), partial(in_lines, count=_instances, image=_filename)),
    "ODVG, grounding": Case(
        "phrases", _faulty(sets.odvg_grounding, True), partial(in_lines, count=_regions, image=_filename)
    ),
    "RefCOCO (MDETR)": Case("phrases", _faulty(sets.referring, True), in_captions),
    "Visual Genome": Case("phrases", _faulty(sets.visual_genome, True), in_regions),
    "ms-swift": Case(
        "prompts",
        _faulty(sets.swift, True),
        partial(in_lines, count=lambda line: 1, image=lambda line: line["images"][0]),
    ),
    "conversations": Case(
        "prompts",
        _faulty(sets.conversation_lines, True),
        partial(in_lines, count=lambda line: 1, image=lambda line: line.get("image")),
    ),
    "conversations, CogVLM's folders": Case("prompts", _faulty(sets.conversations, True), in_labels),
}
BY_DATUMARO: dict[str, Case] = {
    "CVAT (datumaro)": Case(
        "boxes",
        _faulty(sets.cvat),
        partial(in_xml, image="image", boxes=["box", "polygon"]),
        ("--format", "datumaro:cvat"),
    ),
    "LabelMe's XML (datumaro)": Case("boxes", _faulty(sets.labelme_xml), in_voc, ("--format", "datumaro:label_me")),
}


def real_cases(data: Path) -> dict[str, Case]:
    """The sets of real images that are there; of LVIS the annotations alone are."""
    places: dict[str, tuple[str, Callable[[Path], Held], tuple[str, ...]]] = {
        "COCO 2017": ("coco", in_coco, ()),
        "LVIS, images not read": ("lvis/lvis_val_100.json", in_coco, ("--no-check-images",)),
        "BCCD, VOC": ("bccd", in_voc, ()),
        "raccoons, VOC": ("raccoon", in_voc, ()),
    }
    return {
        f"{name} (real)": Case("boxes", lambda _, source=data / place: source, count, options)
        for name, (place, count, options) in places.items()
        if (data / place).exists()
    }


def measure(case: Case) -> dict[str, Any]:
    """Converts a source and counts: JSON-ready, with the reasons of all that was refused."""
    with tempfile.TemporaryDirectory() as temporary:
        source, out = case.source(Path(temporary) / "set"), Path(temporary) / "out"
        held = case.count(source)
        words = [f"train={source}", "--negatives", "0", "--out", str(out), "--quiet", *case.options]
        if status := group.main(args=["convert", *words], prog_name="grounding", standalone_mode=False):
            raise SystemExit(status)
        samples = [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]
        manifest, findings = (json.loads((out / name).read_bytes()) for name in ("manifest.json", "findings.json"))
    counted = {
        reason: n
        for reason, n in manifest["refusals"].items()
        if REASONS[reason].unit == UNITS[case.kind] or reason == "image_refused"
    }
    recognised = [how for what, how in manifest["settings"]["taken"].items() if what.startswith("format")]
    gone = {finding["place"] for finding in findings if finding["reason"] in {*counted, COPY}}
    return {
        "read as": recognised[0].partition(":")[0] if recognised else manifest["settings"]["format"],
        "counted": case.kind,
        "images": held.images,
        "with samples": len({sample["image"] for sample in samples}),
        "in": held.annotations,
        "asked for": sum(len(sample["boxes"]) for sample in samples) if case.kind == "boxes" else len(samples),
        "aside": sum(finding["reason"] in ASIDE and finding["place"] not in gone for finding in findings),
        "copies": manifest["counts"]["mended"].get(COPY, 0),
        "refused": sum(counted.values()),
        "reasons": counted,
        "other refusals": {reason: n for reason, n in manifest["refusals"].items() if reason not in counted},
    }


def balances(row: Mapping[str, Any]) -> bool:
    """Whether nothing went missing, and nothing was made up."""
    gone = row["aside"] + row["copies"] + row["refused"]
    return row["in"] == row["asked for"] + gone and row["images"] >= row["with samples"]


def told(counts: Mapping[str, int]) -> str:
    """Reasons and numbers in a line, the most frequent first."""
    return ", ".join(f"{reason} {n:,}" for reason, n in Counter(counts).most_common())


def markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table as it stands in the docs."""
    heads = ["format", *COLUMNS, "refused because"]
    lines = [heads, ["---"] * len(heads)]
    lines += [[name, *(str(row[column]) for column in COLUMNS), told(row["reasons"])] for name, row in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(data: Path | None) -> None:
    cases = SAMPLES | (BY_DATUMARO if find_spec("datumaro") else {}) | (real_cases(data) if data else {})
    rows = {name: measure(case) for name, case in cases.items()}
    table = Table("format", *COLUMNS, "refused because", title="What goes into `grounding convert`, and what comes out")
    for name, row in rows.items():
        table.add_row(name, *(str(row[column]) for column in COLUMNS), told(row["reasons"]))
    print_whole(output(), table)
    before = json.loads(PATH.read_bytes()) if PATH.exists() else {}
    write_json_atomic(PATH, before | rows)  # what cannot be had on this machine stays as it was measured
    if wrong := [name for name, row in rows.items() if not balances(row)]:
        raise SystemExit(f"what goes in and what comes out do not balance: {', '.join(wrong)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
