"""ms-swift's grounding JSON Lines -> records with ready samples. Of image files it reads the header.

A line has `messages` with the placeholders <image>, <ref-object> and <bbox>, `images`, and `objects` with `ref`, `bbox`
(corners) and `bbox_type`: "real", pixels, or "norm1", fractions of the sides (ms-swift, docs/source_en/Customization/
Custom-dataset.md). Placeholders are filled in their order; a run of <bbox> becomes one group of boxes. The words stay
the user's; each answer is a sample, with the turns before it as its history. A line with `truth`, as `data_tools.
writers.swift` writes it, is one sample: its last answer, with all that is said there of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from data_tools.entries import box_fault, four_numbers, lang_of, stated_size, text_of
from data_tools.readers.documents import lines_of, read_bytes
from data_tools.readers.image_files import Header, guess_image_root, header_of, relative_name
from data_tools.records import XYXY, Finding, Record, Source, Tally
from grounding.samples import Lang, Sample, Task, problems
from grounding.samples.sample import Box
from grounding.text import write_boxes

PLACEHOLDER = re.compile(r"<ref-object>|<bbox>(?:\s*<bbox>)*")
IMAGE = re.compile(r"<image>\n?")


class Line(msgspec.Struct, frozen=True):
    """One line; values are judged later."""

    messages: Any = None
    images: Any = None
    objects: Any = None
    truth: Any = None


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the `truth` of a line says of its sample beside words and image; the keys are those of a Sample."""

    id: str
    width: int | None
    height: int | None
    phrase: str | None
    category: str | None
    boxes: list[Box] | None
    categories: list[str] | None
    ignore: list[Box]
    task: Task
    lang: Lang
    upright: bool


class Objects:
    """The references and boxes of a line, handed out in their order. `take_*` raises LookupError where none is left."""

    def __init__(self, refs: Sequence[str], boxes_px: Sequence[XYXY]) -> None:
        self.refs, self.boxes_px = list(refs), list(boxes_px)

    def take_ref(self) -> str:
        return self.refs.pop(0)

    def take_boxes(self, count: int) -> list[XYXY]:
        if count > len(self.boxes_px):
            raise LookupError("there are fewer boxes than <bbox>")
        taken, self.boxes_px = self.boxes_px[:count], self.boxes_px[count:]
        return taken


class Filled(NamedTuple):
    """A message with its placeholders filled: the groups of boxes in it, and the references."""

    text: str
    groups: list[list[XYXY]]
    refs: list[str]


def open_swift(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format swift`: a JSON Lines file. Raises InputError where it cannot be read.

    Paths of images are often absolute; they are taken where they lie below the image root (--images).
    """
    content = read_bytes(source)
    lines = list(lines_of(content, Line))
    stated = [_image_of(line) for _, line in lines[:20] if line is not None]
    root = images or guess_image_root(source, [name for name in stated if isinstance(name, str)])
    findings: list[Finding] = []
    records: dict[tuple[str, object, bool], Record] = {}
    for number, line in lines:
        record = _record(line, f"{source.name}:{number}", root, options.get("frame", ""), findings)
        if record is not None:
            same = (record.name, record.size_wh, record.upright)
            first = records.setdefault(same, record)
            if first is not record:
                records[same] = replace(first, samples=first.samples + record.samples)
    return [
        Source(
            records=list(records.values()),
            tally=Tally.of(findings),
            image_root=root,
            inputs={str(source): hashlib.sha256(content).hexdigest()},
            classes=frozenset(),
            absence="none",
        )
    ]


def _image_of(line: Line) -> object:
    """The one image that a line names, as stated; None where it names none or several."""
    images = line.images if isinstance(line.images, list) else [line.images]
    first = images[0] if len(images) == 1 else None
    return first.get("path") if isinstance(first, dict) else first


def _record(line: Line | None, place: str, root: Path, frame: str, findings: list[Finding]) -> Record | None:
    """The record of a line, or None and findings."""
    if line is None or not isinstance(line.messages, list):
        findings.append(Finding("malformed_line", place))
        return None
    answers = [f"{place}#{number}" for number in range(1, 1 + sum(map(_is_answer, line.messages)))]
    fallen = [Finding("image_refused", answer) for answer in answers]
    stated = _image_of(line)
    if stated is None and not line.images:
        findings += [Finding("text_only", answer) for answer in answers]
        return None
    if stated is None:
        findings += [Finding("several_images", place, repr(line.images)[:80]), *fallen]
        return None
    name = relative_name(stated, root)
    if name is None:
        findings += [Finding("bad_file_name", place, f"{stated!r} is not below {root}"), *fallen]
        return None
    try:
        truth = _truth(line.truth)
        header = _size_of(truth, root, name, frame)
        if header.size_wh is None:
            findings += [Finding(header.fault or "missing_image", place, header.found), *fallen]
            return None
        objects = _objects(line.objects, header.size_wh, place, findings)
        samples = tuple(_samples(line.messages, objects, header.size_wh, place, name, findings))
        if truth is not None:
            samples = (_with_truth(samples[-1], truth),)
    except _Unwritable as error:
        findings += [Finding("unwritable_box", answer, str(error)) for answer in answers]
        return None
    except (LookupError, ValueError) as error:
        findings += [Finding("malformed_sample", answer, str(error)) for answer in answers or [place]]
        return None
    upright = truth is not None and truth.upright
    return Record(name=name, size_wh=header.size_wh, samples=samples, place=place, upright=upright)


def _is_answer(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


def _truth(stated: object) -> Truth | None:
    """What a line says with `truth`, JSON in a string. Raises ValueError where it cannot be read."""
    if stated is None:
        return None
    try:
        return msgspec.json.decode(stated if isinstance(stated, str) else "", type=Truth)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"truth: {error}") from error


def _size_of(truth: Truth | None, root: Path, name: str, frame: str) -> Header:
    """The size of the frame that boxes are in: as stated with the truth, else that of the image file."""
    stated = None if truth is None else stated_size(truth.width, truth.height)
    return Header(stated) if stated is not None else header_of(root, name, frame, upright=False)


def _with_truth(sample: Sample, truth: Truth) -> Sample:
    """The sample with what is stated of it. Raises ValueError where that cannot be."""
    stated = replace(sample, **msgspec.structs.asdict(truth))
    for fault in problems(stated):
        raise ValueError(fault)
    return stated


class _Unwritable(Exception):
    """A box that would have to stand in a text cannot."""


def _objects(stated: object, size_wh: tuple[int, int], place: str, findings: list[Finding]) -> Objects:
    """The references, and the boxes in pixels, cut at the edges of the image.

    Raises ValueError where they are malformed, _Unwritable for a box at fault.
    """
    if stated is None:
        return Objects([], [])
    if not isinstance(stated, dict):
        raise ValueError("`objects` is no JSON object")
    kind = stated.get("bbox_type") or "real"
    if kind not in ("real", "norm1"):
        raise ValueError(f"bbox_type {kind!r} is not known; there are real and norm1")
    stated_boxes, refs = stated.get("bbox") or [], stated.get("ref") or []
    if not isinstance(stated_boxes, list) or not isinstance(refs, list):
        raise ValueError("`ref` and `bbox` must be lists")
    scale = size_wh * 2 if kind == "norm1" else (1, 1, 1, 1)
    boxes = []
    for value in stated_boxes:
        numbers = four_numbers(value)
        if numbers is None:
            raise _Unwritable(f"{value!r} is not four numbers")
        x0, y0, x1, y1 = (number * factor for number, factor in zip(numbers, scale, strict=True))
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size_wh[0])), min(y1, float(size_wh[1])))
        fault = box_fault((x0, y0, x1, y1)) or ("outside_image" if box_fault(box) else None)
        if fault is not None:
            raise _Unwritable(f"{value!r}: {fault}")
        if box != (x0, y0, x1, y1):
            findings.append(Finding("clipped", place, f"{value!r} in {size_wh}"))
        boxes.append(box)
    return Objects([str(ref) for ref in refs], boxes)


def _samples(
    messages: list[Any], objects: Objects, size_wh: tuple[int, int], place: str, name: str, findings: list[Finding]
) -> Iterator[Sample]:
    """One sample for each answer. Raises LookupError or ValueError where messages and placeholders do not fit."""
    turns = [message for message in messages if isinstance(message, dict) and message.get("role") != "system"]
    if len(turns) < len(messages):
        findings.append(Finding("system_message", place))
    roles = [turn.get("role") for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2):
        raise ValueError(f"messages must be user, assistant in turn; found {', '.join(map(str, roles)) or 'none'}")
    history: list[tuple[str, str]] = []
    made: list[Sample] = []
    for asked, answered in zip(turns[::2], turns[1::2], strict=True):
        query = _fill(IMAGE.sub("", _text(asked)), objects, size_wh)
        answer = _fill(_text(answered), objects, size_wh)
        sample = _sample(query, answer, list(history), size_wh, f"{place}#{len(history) + 1}", name)
        faults = list(problems(sample))
        if faults:
            raise ValueError(faults[0])
        made.append(sample)
        history.append((query.text, answer.text))
    if objects.refs or objects.boxes_px:
        raise LookupError(f"{len(objects.refs)} ref and {len(objects.boxes_px)} bbox are left over by the placeholders")
    yield from made


def _text(turn: Mapping[str, Any]) -> str:
    text = text_of(turn.get("content"))
    if text is None:
        raise ValueError("a message has no text")
    return text


def _fill(text: str, objects: Objects, size_wh: tuple[int, int]) -> Filled:
    groups: list[list[XYXY]] = []
    refs: list[str] = []

    def put(match: re.Match[str]) -> str:
        if match[0] == "<ref-object>":
            refs.append(objects.take_ref())
            return refs[-1]
        groups.append(objects.take_boxes(match[0].count("<bbox>")))
        return write_boxes([list(box) for box in groups[-1]], size_wh).text

    return Filled(PLACEHOLDER.sub(put, text), groups, refs)


def _sample(
    query: Filled, answer: Filled, history: list[tuple[str, str]], size_wh: tuple[int, int], identity: str, name: str
) -> Sample:
    """The sample of one turn; an answer of one group of boxes answers a question, one with more is a caption."""
    boxes = [list(box) for group in answer.groups for box in group] if answer.groups else None
    task: Task = "box_to_phrase" if query.groups else "text"
    if boxes is not None:
        task = "phrase_to_boxes" if len(answer.groups) == 1 and not answer.refs else "caption_with_boxes"
    phrase = query.refs[0] if len(set(query.refs)) == 1 and boxes is not None else None
    return Sample(
        id=identity,
        image=name,
        width=size_wh[0],
        height=size_wh[1],
        prompt=query.text,
        label=answer.text,
        phrase=phrase,
        boxes=boxes,
        task=task,
        lang=lang_of(query.text),
        history=history,
    )
