"""Conversations -> records with ready samples: this project's own JSON Lines, and CogVLM's images/ + labels/ folders.

Prompts and answers go through as they stand, to be split, checked and written beside others. Truth keys that a line has
are kept; without them a sample asks for no box. Knows no annotation format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_tools.entries import clean_name
from data_tools.records import Finding, Record, Source, Tally
from grounding.errors import InputError
from grounding.samples import Sample, read_cogvlm_folder, read_dataset

SPLITS = ("train", "val", "test")


def open_conversations(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format conversations`. Raises InputError (all bad lines at once) as the trainer would.

    A JSON Lines file in either style of this project; a folder with train.jsonl, val.jsonl, test.jsonl; or a folder of
    CogVLM's own, with `images/` and `labels/`, `labels_en/` or `labels_zh/`.
    """
    if not source.exists():
        raise InputError("no such file or folder", where=str(source))
    if source.is_file():
        return [_open_file(source, images, None)]
    if (source / "images").is_dir():
        return [_open_cogvlm(source, images)]
    files = [(split, source / f"{split}.jsonl") for split in SPLITS if (source / f"{split}.jsonl").is_file()]
    if not files:
        raise InputError(
            "there is no images/ beside labels/, and no train.jsonl, val.jsonl or test.jsonl", where=str(source)
        )
    return [_open_file(path, images, split) for split, path in files if path.stat().st_size]


def _open_file(path: Path, images: Path | None, split: str | None) -> Source:
    dataset = read_dataset(path)
    records, tally = records_of(dataset.samples, path.name)
    return Source(
        records=records,
        tally=tally,
        image_root=images or dataset.image_root,
        inputs={str(path): hashlib.sha256(path.read_bytes()).hexdigest()},
        classes=frozenset(),
        absence="none",
        split=split,
    )


def _open_cogvlm(source: Path, images: Path | None) -> Source:
    samples = read_cogvlm_folder(source)
    records, tally = records_of(samples, source.name)
    digest = hashlib.sha256()
    for path in sorted(source.glob("labels*/**/*.json")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(content)}\0".encode() + content)
    return Source(
        records=records,
        tally=tally,
        image_root=images or source / "images",
        inputs={str(source): digest.hexdigest()},
        classes=frozenset(),
        absence="none",
    )


def records_of(samples: Iterable[Sample], file: str) -> tuple[list[Record], Tally]:
    """One record for each image, size and frame of its samples; those without an image are counted."""
    findings: list[Finding] = []
    groups: dict[tuple[str, tuple[int, int] | None], list[Sample]] = {}
    for sample in samples:
        name = clean_name(sample.image) if sample.image is not None else None
        if name is None:
            reason = "text_only" if sample.image is None else "bad_file_name"
            findings.append(Finding(reason, file, f"{sample.id}: {sample.image}"))
            findings += [Finding("image_refused", file, sample.id)] if sample.image is not None else []
            continue
        size_wh = (sample.width, sample.height) if sample.width and sample.height else None
        groups.setdefault((name, size_wh), []).append(sample)
    records = [
        Record(
            name=name,
            size_wh=size_wh,
            samples=tuple(members),
            place=f"{file}: {members[0].id}",
            upright=any(sample.upright for sample in members),
        )
        for (name, size_wh), members in groups.items()
    ]
    return records, Tally.of(findings)
