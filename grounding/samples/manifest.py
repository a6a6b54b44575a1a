"""The dataset folder: its manifest, and a dataset read whole, by file or by folder. Opens no image.

Without a manifest the image root is the JSONL's own folder and no not-found sentence is set: the room for words
(`grounding.text`) has the usual one for each language that none is set for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from grounding.errors import InputError
from grounding.samples.atomic import write_text_atomic
from grounding.samples.conversations import is_cogvlm_folder, read_cogvlm_folder
from grounding.samples.decoding import decode, read_whole
from grounding.samples.jsonl import open_samples, read_samples
from grounding.samples.sample import LANGUAGES, TASKS, Sample

MANIFEST_NAME = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside the JSONL files of a dataset.

    Attributes:
        image_root: folder of the images, relative to the manifest.
        not_found: the not-found sentence by language, where one is set.
        answers: the answer templates that labels of `phrase_to_boxes` were made from, by language (`{boxes}`,
            `{phrase} is at {boxes}`), and those of another task by TASK:LANG; where none are named, the packaged ones.
        counts: at least `images` and `samples`.
        refusals: number of annotations or images left out, by reason.
        settings, versions: what the dataset was made with.
        inputs: hash of each file it was made from, by path.
    """

    image_root: str
    not_found: dict[str, str] = {}
    answers: dict[str, list[str]] = {}
    counts: dict[str, Any] = {}
    refusals: dict[str, int] = {}
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}
    inputs: dict[str, str] = {}


@dataclass(frozen=True)
class Dataset:
    """Samples and what is needed to use them.

    Attributes:
        samples: in file order.
        image_root: folder that the samples' image paths are below; not looked at when the dataset is read.
        not_found: the not-found sentence by language, where the manifest sets one; to be handed to `read_boxes`.
        path: what was read.
        answers: the answer templates by language, where the manifest names them.
    """

    samples: Sequence[Sample]
    image_root: Path
    not_found: dict[str, str]
    path: Path
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)


_manifest = msgspec.json.Decoder(Manifest)


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        InputError: the file cannot be read, is no manifest, or has a not-found sentence that says nothing, or an answer
            template without boxes.
    """
    try:
        manifest = decode(read_whole(path), _manifest)
    except ValueError as error:
        fix = "It must be a manifest as `grounding convert` writes it."
        raise InputError(f"{error}.", where=str(path), fix=fix) from error
    for lang, sentence in manifest.not_found.items():
        if lang not in LANGUAGES:
            raise InputError(f"`not_found` has {lang!r}; allowed are {', '.join(LANGUAGES)}.", where=str(path))
        if not any(character.isalnum() for character in sentence):
            raise InputError(f"`not_found.{lang}` is {sentence!r}; a sentence with letters is needed.", where=str(path))
    for lang, answers in manifest.answers.items():
        task, _, name = lang.rpartition(":")
        if name not in LANGUAGES or (task and task not in TASKS):
            allowed = f"{', '.join(LANGUAGES)}, and TASK: with a name of a task before them"
            raise InputError(f"`answers` has {lang!r}; allowed are {allowed}.", where=str(path))
        if wrong := [answer for answer in answers if answer.count("{boxes}") != 1]:
            raise InputError(f"`answers.{lang}` has {wrong[0]!r}; {{boxes}} is needed once.", where=str(path))
    return manifest


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Writes a manifest as JSON, under a temporary name first.

    Raises:
        RunError: the file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()  # json takes long for many classes
    write_text_atomic(Path(path), f"{text}\n")


def read_dataset(path: Path, images: Path | None = None) -> Dataset:
    """A dataset: a JSONL file with the manifest beside it, or a folder with CogVLM's `images/` and `labels/`.

    Args:
        path: the file or folder.
        images: an image root in place of the one that the manifest names.

    Raises:
        InputError: it is not there or neither of the two, or what it holds cannot be read.
    """
    return _dataset(Path(path), images, read_samples)


def open_dataset(path: Path, images: Path | None = None, faults: list[InputError] | None = None) -> Dataset:
    """The same, with the samples of a JSONL file left there and read again each time they are used.

    Args:
        faults: where given, lines that are wrong are left out and told here, an error for each.

    Raises:
        InputError: as `read_dataset`; without those that go into `faults`.
    """
    return _dataset(Path(path), images, partial(open_samples, faults=faults))


def _dataset(path: Path, images: Path | None, read: Callable[[Path], Sequence[Sample]]) -> Dataset:
    if path.is_dir():
        if not is_cogvlm_folder(path):
            files = ", ".join(sorted(file.name for file in path.glob("*.jsonl")))
            if files:
                raise InputError(f"this is a folder; it holds {files}.", where=str(path), fix="Name one of them.")
            raise InputError(
                "this folder holds no .jsonl file, nor images/ with labels/ beside it.",
                where=str(path),
                fix="Name the file or folder of a dataset, as `grounding convert` makes it.",
            )
        return Dataset(read_cogvlm_folder(path), Path(images or path / "images"), {}, path)
    samples = read(path)
    beside = path.parent / MANIFEST_NAME
    manifest = read_manifest(beside) if beside.exists() else Manifest(image_root=".")
    root = Path(images or path.parent / manifest.image_root)
    return Dataset(samples, root, manifest.not_found, path, manifest.answers)
