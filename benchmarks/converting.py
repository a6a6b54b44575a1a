"""How fast are annotations converted, and in how much memory? A file of the shape of COCO's train2017, and VOC files.

Each contender runs in a process of its own; CPU seconds and peak memory are what the system counted for that process,
imports included. The floor and the pycocotools loop (`benchmarks.converting_floor`) write the same bytes, which is
checked. The VOC side reads the same files by expat alone, its handlers empty.

    python -m benchmarks.converting [ROUNDS [FOLDER]]

The annotations are made anew, in FOLDER where one is named; those that are there already are taken.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from xml.parsers import expat

from benchmarks.timing import report
from benchmarks.train2017_shape import BOXES, IMAGES, write_train2017, write_voc

SPLITS = ("train.jsonl", "val.jsonl", "test.jsonl")
VOC_FILES = 20_000
CONVERT = ("-m", "grounding", "convert")
PLAIN = ("--no-check-images", "--quiet", "--workers", "1")


def measure(arguments: Sequence[str]) -> dict[str, float]:
    """CPU seconds and peak MiB of `python ARGUMENTS`."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_run, args=(theirs, [sys.executable, *arguments]))
    process.start()
    cpu_s, peak_mib, status = ours.recv()
    process.join()
    if status:
        raise SystemExit(f"python {' '.join(arguments)} ended with {status}")
    return {"cpu_s": cpu_s, "peak_mib": peak_mib}


def _run(answer: Connection, command: Sequence[str]) -> None:
    """Runs a command as the only child of this process, so that what children used is what it used."""
    status = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer.send((used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, status))


def read_by_expat(folder: Path) -> None:
    """Parses all files with handlers that do nothing."""

    def ignore(*_: object) -> None:
        return None

    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        parser = expat.ParserCreate()
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = ignore
        with open(entry.path, "rb") as file:  # noqa: PTH123  (the quickest way)
            parser.Parse(file.read(), True)


def read_voc(folder: Path) -> None:
    """Reads the folder to records."""
    from data_tools.readers.voc import open_voc

    gc.disable()  # as `grounding convert` does
    open_voc(folder, None, {})


def main(rounds: int, folder: Path) -> None:
    coco, voc = folder / "instances_train2017.json", folder / "voc"
    if not coco.exists():
        write_train2017(coco)
    if not voc.exists():
        write_voc(voc, VOC_FILES)
    floor, slices, loop, ours = (str(folder / out) for out in ("floor", "slices", "loop", "ours"))
    module = ("-m", "benchmarks.converting_floor")
    convert = (*CONVERT, str(coco), "--format", "coco", *PLAIN)
    contenders: dict[str, tuple[str, ...]] = {
        "floor": (*module, "floor", str(coco), floor),
        "floor, in slices": (*module, "slices", str(coco), slices),
        "grounding convert --negatives 0 --lang en": (*convert, "--negatives", "0", "--out", ours),
        "grounding convert --lang en,zh": (*convert, "--lang", "en,zh", "--out", str(folder / "both")),
        "VOC: expat alone": ("-m", "benchmarks.converting", "expat", str(voc / "Annotations")),
        "VOC: read": ("-m", "benchmarks.converting", "voc", str(voc)),
        "VOC: grounding convert": (*CONVERT, str(voc), "--format", "voc", *PLAIN, "--out", str(folder / "made")),
        "nothing but imports": (*CONVERT, "--help"),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):  # turn by turn, so that a drift of the machine hits all alike
        for contender, arguments in contenders.items():
            if "--out" in arguments:  # a dataset that is there would be held against the one that is made
                shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)
            runs[contender].append(measure(arguments))
    runs["pycocotools and a loop"] = [measure((*module, "pycocotools", str(coco), loop))]
    for split in SPLITS:
        contents = {(Path(out) / split).read_bytes() for out in (floor, slices, loop, ours)}
        if len(contents) > 1:
            raise SystemExit(f"{split} is not the same for all")
    settings = {
        "images": IMAGES,
        "boxes": BOXES,
        "megabytes": round(coco.stat().st_size / 1e6),
        "voc_files": VOC_FILES,
        "rounds": rounds,
        "same_bytes": True,
    }
    results = {name: _figures(some, runs) for name, some in runs.items()}
    report("converting", "Converting annotations (images not opened)", settings, results, ("msgspec", "pycocotools"))


def _figures(
    some: Sequence[Mapping[str, float]], runs: Mapping[str, Sequence[Mapping[str, float]]]
) -> dict[str, float]:
    """The least CPU time, the largest peak, and the median over rounds of the time over the floor's in that round."""
    floor = [run["cpu_s"] for run in runs["floor"]]
    return {
        "min_cpu_s": min(run["cpu_s"] for run in some),
        "median_cpu_s": statistics.median(run["cpu_s"] for run in some),
        "peak_mib": max(run["peak_mib"] for run in some),
        "over_floor": statistics.median(run["cpu_s"] / base for run, base in zip(some, floor, strict=False)),
    }


if __name__ == "__main__":
    told = sys.argv[1:]
    if told[:1] == ["expat"]:
        read_by_expat(Path(told[1]))
    elif told[:1] == ["voc"]:
        read_voc(Path(told[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(int(told[0]) if told else 3, Path(told[1] if told[1:] else temporary))
