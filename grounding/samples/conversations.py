"""Conversations to Samples and back: the one-object-a-line form, and CogVLM's own folder of images and label files.

Knows no model and no chat template; looks at names of images, never into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from grounding.errors import InputError, ManyErrors
from grounding.samples.decoding import decode, read_whole
from grounding.samples.sample import Box, Lang, Sample, Task, Turn, problems, written_keys

IMAGE_MARK = "<image>"
_MARKED = IMAGE_MARK + "\n"

# CogVLM's fine-tuning script reads `labels`; the label folders of its published data carry their language.
LABEL_FOLDERS: dict[str, Lang] = {"labels": "en", "labels_en": "en", "labels_zh": "zh"}


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a conversation line."""

    speaker: Literal["human", "gpt"] = msgspec.field(name="from")
    value: str


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a conversations file: messages in place of prompt and label, beside all other keys of a Sample."""

    id: str
    image: str | None = None
    conversations: list[Message]
    width: int | None = None
    height: int | None = None
    phrase: str | None = None
    category: str | None = None
    boxes: list[Box] | None = None
    categories: list[str] | None = None
    ignore: list[Box] = []
    task: Task | None = None
    lang: Lang = "en"
    upright: bool = False
    history: list[Turn] = []


class RoleMessage(msgspec.Struct, frozen=True):
    """One turn of a CogVLM label file."""

    role: Literal["user", "assistant"]
    content: str


class LabelFile(msgspec.Struct, frozen=True):
    """A CogVLM label file; keys beside the conversation are not CogVLM's and are passed over."""

    conversations: list[RoleMessage]


_label_file = msgspec.json.Decoder(LabelFile)
_ROLES = {"role": ("user", "assistant")}


def to_conversation(sample: Sample) -> dict[str, Any]:
    """The sample as a conversation line: two messages, then all its keys but prompt and label, in their order."""
    line: dict[str, Any] = {"id": sample.id, "image": sample.image}
    query = sample.prompt if sample.image is None else _MARKED + sample.prompt
    line["conversations"] = [{"from": "human", "value": query}, {"from": "gpt", "value": sample.label}]
    for key in written_keys(sample):
        if key not in ("id", "image", "prompt", "label"):
            line[key] = getattr(sample, key)
    return line


def from_conversation(line: Conversation) -> list[Sample]:
    """The samples of a conversation line, one for each answer, earlier turns as its history.

    One answer keeps the id of the line; of several, the n-th has the id `ID#n`. Without truth keys `boxes` is None, and
    the task is then `text` where the line names none.

    Raises:
        ValueError: messages do not alternate, beginning with human; or several answers share one truth or `history`.
    """
    texts = [message.value for message in line.conversations]
    speakers = [message.speaker for message in line.conversations]
    turns = _turns(texts, speakers, ("human", "gpt"), has_image=line.image is not None)
    several = len(turns) > 1
    if several and (line.boxes is not None or line.ignore or line.history):
        raise ValueError("`boxes`, `ignore` or `history` is given for several answers; give one answer a line")
    task: Task = line.task or ("text" if line.boxes is None else "phrase_to_boxes")
    said = ("id", "conversations", "history", "task")
    kept = {key: getattr(line, key) for key in line.__struct_fields__ if key not in said}
    return [
        Sample(
            id=f"{line.id}#{number}" if several else line.id,
            prompt=prompt,
            label=label,
            history=turns[: number - 1] if several else line.history,
            task=task,
            **kept,
        )
        for number, (prompt, label) in enumerate(turns, start=1)
    ]


def _turns(texts: list[str], speakers: Sequence[str], order: tuple[str, str], has_image: bool) -> list[Turn]:
    """Pairs of query and answer; the image mark is taken off the first query.

    Raises:
        ValueError: the speakers do not alternate in the order given, or an answer is missing.
    """
    if not texts or len(texts) % 2 or list(speakers) != list(order) * (len(texts) // 2):
        found = ", ".join(speakers[:6]) or "no message"
        raise ValueError(f"`conversations` must be {order[0]}, {order[1]} in turn, {order[1]} last; found {found}")
    first = _without_mark(texts[0]) if has_image else texts[0]
    queries = [first, *texts[2::2]]
    return list(zip(queries, texts[1::2], strict=True))


def _without_mark(query: str) -> str:
    """The query without its image mark: exactly what `to_conversation` put there, else one at the start or the end."""
    for mark in (_MARKED, IMAGE_MARK):
        if query.startswith(mark):
            return query.removeprefix(mark)
    return query.removesuffix(IMAGE_MARK).removesuffix("\n") if query.endswith(IMAGE_MARK) else query


def is_cogvlm_folder(path: Path) -> bool:
    """Whether a folder holds `images/` and at least one of CogVLM's label folders."""
    return (path / "images").is_dir() and any((path / name).is_dir() for name in LABEL_FOLDERS)


def read_cogvlm_folder(path: Path) -> list[Sample]:
    """The samples of CogVLM's own form: `labels/NAME.json` is the conversation about `images/NAME.*`.

    One sample for each answer, with the id `LABELS/NAME#n` and earlier turns as history; they ask for no box, and their
    task is `text`. An image without a label file is no sample. Paths of images are below `images/`.

    Raises:
        InputError: label files that cannot be read, or have no image or more than one, all told at once; no sample.
    """
    images = _images_by_name(path / "images")
    samples: list[Sample] = []
    found: list[InputError] = []
    for folder, lang in LABEL_FOLDERS.items():
        for file in sorted((path / folder).rglob("*.json")):
            name = file.relative_to(path / folder).with_suffix("").as_posix()
            try:
                read = _read_label_file(file, f"{folder}/{name}", images.get(name, []), lang)
                found += [InputError(problem, where=str(file)) for sample in read for problem in problems(sample)]
                samples += read
            except ValueError as error:
                found.append(InputError(str(error), where=str(file)))
    if found:
        raise ManyErrors(f"{path}: this images and labels folder cannot be read as it is", found)
    if not samples:
        raise InputError("no samples: there is no label file.", where=str(path), fix="Put NAME.json into labels/.")
    return samples


def _images_by_name(folder: Path) -> dict[str, list[str]]:
    """The files below a folder by their path without its suffix."""
    names: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            image = file.relative_to(folder)
            names.setdefault(image.with_suffix("").as_posix(), []).append(image.as_posix())
    return names


def _read_label_file(file: Path, name: str, images: list[str], lang: Lang) -> list[Sample]:
    """The samples of one label file.

    Raises:
        ValueError: what is wrong with it.
        InputError: it cannot be read.
    """
    if len(images) != 1:
        raise ValueError(f"one image of the same name is needed in images/, found {', '.join(images) or 'none'}")
    messages = decode(read_whole(file), _label_file, _ROLES).conversations
    speakers = [message.role for message in messages]
    turns = _turns([message.content for message in messages], speakers, ("user", "assistant"), has_image=True)
    return [
        Sample(
            id=f"{name}#{number}",
            image=images[0],
            width=None,
            height=None,
            prompt=prompt,
            label=label,
            boxes=None,
            task="text",
            lang=lang,
            history=turns[: number - 1],
        )
        for number, (prompt, label) in enumerate(turns, start=1)
    ]
