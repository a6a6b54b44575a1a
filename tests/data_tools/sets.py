"""Small sets in every format that `convert` reads, each written out of the same boxes or phrases, sound or with faults.

A builder writes annotations and pictures into a folder and gives the SOURCE. It writes what it is told, also what no
annotator should: which of it is a fault is the readers' to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grounding.text import write_boxes
from tests.data_tools.annotated import (
    SIZE,
    coco_box,
    coco_file,
    coco_image,
    csv_file,
    image,
    json_file,
    jsonl_file,
    text_file,
    voc_folder,
    voc_object,
    voc_xml,
)

WIDTH, HEIGHT = SIZE
NAMES = ("cat", "dog")


class Object(NamedTuple):
    """A box of a class, its corners in px; `aside` where the format has a word for it: crowd, difficult, group."""

    name: str
    box: tuple[float, float, float, float]
    aside: bool = False


class Said(NamedTuple):
    """A phrase for one box in the picture of a stem."""

    stem: str
    phrase: str
    box: tuple[float, float, float, float]


Boxes = Mapping[str, Sequence[Object]]
TRUTH: Boxes = {
    "1": [Object("cat", (4, 3, 20, 15)), Object("dog", (0, 0, 40, 30)), Object("cat", (10, 6, 30, 24))],
    "2": [Object("dog", (8, 9, 16, 21))],
}
FAULTY: Boxes = {
    **TRUTH,
    "3": [Object("dog", (8, 9, 16, 21)), Object("cat", (5, 5, 5, 9))],  # without area
    "4": [Object("cat", (30, 20, 60, 40)), Object("dog", (50, 5, 60, 15))],  # over the edge; outside
    "5": [Object("cat", (2, 2, 30, 20), aside=True), Object("dog", (5, 5, 10, 10))],
    "6": [Object("cat", (4, 3, 20, 15)), Object("cat", (9, 9, 20, 9))],  # sound, beside one without area
    "7": [Object("cat", (4, 3, 20, 15)), Object("dog", (8, 9, 16, 21))],  # its picture is missing
}
SAID = [Said("1", "a dog", (1, 1, 6, 6))]
FAULTY_SAID = [
    *SAID,
    Said("1", "the left cat", (10, 6, 30, 24)),
    Said("2", "a line", (5, 5, 5, 9)),
    Said("2", "over the edge", (30, 20, 60, 40)),
    Said("2", "something outside", (50, 5, 60, 15)),
    Said("2", " ", (8, 9, 16, 21)),
    Said("7", "what is missing", (4, 3, 20, 15)),
]
MISSING = frozenset({"7"})


def _draw(folder: Path, stems: Collection[str], suffix: str, missing: Collection[str], *, broken: bool = False) -> None:
    """A picture for each stem but those that are missing; or, where a format must have all, broken."""
    for colour, stem in enumerate(stems):
        if stem not in missing:
            image(folder, f"{stem}{suffix}", colour=colour)
        elif broken:
            text_file(folder, f"{stem}{suffix}", "")


def _xywh(box: Sequence[float]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def coco(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = (), **more: Any) -> Path:
    boxes = [
        coco_box(int(stem), NAMES.index(one.name) + 1, _xywh(one.box), **({"iscrowd": 1} if one.aside else {}))
        for stem, objects in truth.items()
        for one in objects
    ]
    coco_file(folder, [coco_image(int(stem), **more) for stem in truth], boxes)
    _draw(folder, truth, ".png", missing)
    return folder


def lvis(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    return coco(folder, truth, missing, neg_category_ids=[], not_exhaustive_category_ids=[])


def voc(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    """Pixels count from 1; a side without extent has both its ends at one number, as a click has."""

    def tag(one: Object) -> str:
        x0, y0, x1, y1 = one.box
        return voc_object(one.name, x0 + (x0 < x1), y0 + (y0 < y1), x1, y1, difficult=int(one.aside))

    voc_folder(folder, {stem: voc_xml(map(tag, objects)) for stem, objects in truth.items()})
    for stem in missing:
        (folder / "JPEGImages" / f"{stem}.png").unlink()
    return folder


def _yolo(folder: Path, truth: Boxes, missing: Collection[str], numbers: Callable[..., Sequence[float]]) -> Path:
    _draw(folder / "images", truth, ".png", missing)
    for stem, objects in truth.items():
        rows = [f"{NAMES.index(one.name)} {' '.join(map(str, numbers(*_fractions(one.box))))}\n" for one in objects]
        text_file(folder, f"labels/{stem}.txt", "".join(rows))
    text_file(folder, "data.yaml", "train: images\nnames: [cat, dog]\n")
    return folder


def _fractions(box: Sequence[float]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0 / WIDTH, y0 / HEIGHT, x1 / WIDTH, y1 / HEIGHT]


def yolo(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    return _yolo(folder, truth, missing, lambda x0, y0, x1, y1: [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])


def yolo_oriented(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    """Rows of four corners."""
    return _yolo(folder, truth, missing, lambda x0, y0, x1, y1: [x0, y0, x1, y0, x1, y1, x0, y1])


def openimages(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    rows = []
    for stem, objects in truth.items():
        for one in objects:
            x0, y0, x1, y1 = _fractions(one.box)
            rows.append((stem, f"/m/{one.name}", x0, x1, y0, y1, int(one.aside)))
    head = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
    csv_file(folder, "train-annotations-bbox.csv", [head, *rows])
    csv_file(folder, "class-descriptions-boxable.csv", [(f"/m/{name}", name) for name in NAMES])
    _draw(folder / "train", truth, ".jpg", missing)
    return folder


def _odvg_line(stem: str, **content: Any) -> dict[str, Any]:
    return {"filename": f"{stem}.png", "width": WIDTH, "height": HEIGHT, **content}


def odvg(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    lines = [
        _odvg_line(
            stem,
            detection={
                "instances": [
                    {"bbox": one.box, "label": NAMES.index(one.name), "category": one.name} for one in objects
                ]
            },
        )
        for stem, objects in truth.items()
    ]
    _draw(folder, truth, ".png", missing)
    return jsonl_file(folder, "odvg.jsonl", lines)


def odvg_grounding(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    stems = list(dict.fromkeys(one.stem for one in said))
    lines = []
    for stem in stems:
        regions = [{"phrase": one.phrase, "bbox": one.box} for one in said if one.stem == stem]
        caption = ", ".join(region["phrase"] for region in regions)
        lines.append(_odvg_line(stem, grounding={"caption": caption, "regions": regions}))
    _draw(folder, stems, ".png", missing)
    return jsonl_file(folder, "odvg.jsonl", lines)


def referring(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    captions = [
        coco_image(number, f"{one.stem}.png", caption=one.phrase, dataset_name="refcoco")
        for number, one in enumerate(said)
    ]
    boxes = [coco_box(number, 1, _xywh(one.box)) for number, one in enumerate(said)]
    document = {"images": captions, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    _draw(folder, list(dict.fromkeys(one.stem for one in said)), ".png", missing)
    return json_file(folder, "finetune_refcoco_train.json", document)


def visual_genome(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    stems = list(dict.fromkeys(one.stem for one in said))
    entries = []
    for stem in stems:
        regions = [
            {"phrase": one.phrase, **dict(zip(("x", "y", "width", "height"), _xywh(one.box), strict=True))}
            for one in said
            if one.stem == stem
        ]
        entries.append({"id": int(stem), "regions": regions})
    _draw(folder, stems, ".jpg", missing)
    json_file(folder, "region_descriptions.json", entries)
    return folder


def swift(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    talk = [{"role": "user", "content": "Where is <ref-object>?"}, {"role": "assistant", "content": "<bbox>"}]
    lines = [
        {"messages": talk, "images": [f"{one.stem}.png"], "objects": {"ref": [one.phrase], "bbox": [one.box]}}
        for one in said
    ]
    _draw(folder, list(dict.fromkeys(one.stem for one in said)), ".png", missing)
    return jsonl_file(folder, "swift.jsonl", lines)


def _answer(one: Said) -> str:
    """The box text; words where there is no box to write."""
    x0, y0, x1, y1 = one.box
    return write_boxes([one.box], SIZE).text if x0 < x1 and y0 < y1 else "There is only a line."


def conversations(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    """CogVLM's folders, all that is said of a picture in one conversation."""
    stems = list(dict.fromkeys(one.stem for one in said))
    for stem in stems:
        turns = [
            turn
            for one in said
            if one.stem == stem
            for turn in (
                {"role": "user", "content": f"Where is {one.phrase}?"},
                {"role": "assistant", "content": _answer(one)},
            )
        ]
        json_file(folder, f"labels/{stem}.json", {"conversations": turns})
    _draw(folder / "images", stems, ".png", missing, broken=True)
    return folder


def conversation_lines(folder: Path, said: Sequence[Said] = SAID, missing: Collection[str] = ()) -> Path:
    """This project's own lines, the last of them about no picture at all."""
    about = [*((one, {"image": f"{one.stem}.png"}) for one in said), (said[0], {})]
    lines = [
        {
            "id": str(number),
            **named,
            "conversations": [
                {"from": "human", "value": f"{'<image>' if named else ''}\nWhere is {one.phrase}?"},
                {"from": "gpt", "value": _answer(one)},
            ],
        }
        for number, (one, named) in enumerate(about)
    ]
    _draw(folder, list(dict.fromkeys(one.stem for one in said)), ".png", missing)
    return jsonl_file(folder, "mine.jsonl", lines)


CVAT = """<?xml version="1.0"?><annotations><version>1.1</version><meta><task><size>1</size><labels>
<label><name>cat</name><attributes></attributes></label><label><name>dog</name><attributes></attributes></label>
</labels></task></meta>{images}</annotations>"""
LABELME = """<annotation><filename>{stem}.png</filename><folder></folder><imagesize><nrows>30</nrows><ncols>40</ncols>
</imagesize>{objects}</annotation>"""
LABELME_OBJECT = """<object><name>{name}</name><deleted>0</deleted><verified>0</verified><occluded>no</occluded>
<attributes/><id>{id}</id><parts><hasparts/><ispartof/></parts><type>bounding_box</type><polygon><username/>{points}
</polygon></object>"""


def cvat(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    """CVAT's XML, for datumaro."""
    images = ""
    for number, (stem, objects) in enumerate(truth.items()):
        boxes = "".join(
            f'<box label="{one.name}" occluded="0" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"></box>'
            for one in objects
            for x0, y0, x1, y1 in [one.box]
        )
        images += f'<image id="{number}" name="{stem}.png" width="{WIDTH}" height="{HEIGHT}">{boxes}</image>'
    text_file(folder, "train.xml", CVAT.format(images=images))
    _draw(folder / "images", truth, ".png", missing, broken=True)
    return folder


def labelme_xml(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    """LabelMe's XML, for datumaro."""
    for stem, objects in truth.items():
        told = ""
        for number, one in enumerate(objects):
            x0, y0, x1, y1 = one.box
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
            told += LABELME_OBJECT.format(name=one.name, id=number, points=points)
        text_file(folder, f"Annotations/{stem}.xml", LABELME.format(stem=stem, objects=told))
    _draw(folder / "Images", truth, ".png", missing)
    return folder


def shape(label: Any, *points: Sequence[Any], **more: Any) -> dict[str, Any]:
    """An entry of LabelMe's `shapes`: a rectangle, unless more is said."""
    entry = {"label": label, "points": points, "group_id": None, "shape_type": "rectangle", "flags": {}}
    return {**entry, **more}


def labelme_file(folder: Path, name: str, shapes: Sequence[Any], picture: Any, **more: Any) -> Path:
    """A JSON of LabelMe, of a picture of the usual size."""
    size = {"imageData": "aGVsbG8=", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return json_file(
        folder, name, {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": picture, **size, **more}
    )


def labelme(folder: Path, truth: Boxes = TRUTH, missing: Collection[str] = ()) -> Path:
    """Rectangles, drawn from the right lower corner; the JSON lies beside its picture."""
    for stem, objects in truth.items():
        shapes = [shape(one.name, one.box[2:], one.box[:2], flags={"difficult": one.aside}) for one in objects]
        labelme_file(folder, f"{stem}.json", shapes, f"{stem}.png")
    _draw(folder, truth, ".png", missing)
    return folder


CLASSES: dict[str, Callable[..., Path]] = {
    "coco": coco,
    "lvis": lvis,
    "voc": voc,
    "yolo": yolo,
    "openimages": openimages,
    "odvg": odvg,
    "labelme": labelme,
}
PROMPTS: dict[str, Callable[..., Path]] = {
    "referring": referring,
    "visual_genome": visual_genome,
    "swift": swift,
    "conversations": conversations,
}
BUILDERS: dict[str, Callable[..., Path]] = {**CLASSES, **PROMPTS}
"""One builder for each format of the package's own."""
