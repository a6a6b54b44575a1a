"""The whole line as a user walks it: drawn scenes, then convert, finetune, benchmark and predict as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grounding.pocket.scenes import draw_scenes, write_coco, write_voc

TINY = [
    "model.architecture={hidden_size: 48, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 2, "
    "vision_config: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_heads: 2, image_size: 56, "
    "patch_size: 14}}",
    "training.max_steps=6",
    "evaluation.every=3",
    "evaluation.samples=4",
]


def run(*words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`grounding WORDS` in a process of its own, as a shell would start it."""
    call = [sys.executable, "-m", "grounding", *map(str, words)]
    finished = subprocess.run(
        call, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parent.parent
    )
    assert finished.returncode == status, f"{call}\n{finished.stdout}\n{finished.stderr}"
    return finished


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the line was walked once: coco/, voc/, data/, run/, report/."""
    folder = tmp_path_factory.mktemp("line")
    write_coco(folder / "coco", draw_scenes(6, seed=0))
    write_voc(folder / "voc", draw_scenes(6, seed=1))
    run(
        "convert",
        folder / "coco/instances.json",
        "--format",
        "coco",
        "--images",
        folder / "coco/images",
        "--split",
        "0.7,0.3,0",
        "--lang",
        "en,zh",
        "--out",
        folder / "data/coco",
    )
    run("convert", folder / "voc", "--format", "voc", "--out", folder / "data/voc")
    sets = f"[{folder}/data/coco/train.jsonl, {folder}/data/voc/train.jsonl]"
    run(
        "finetune",
        "configs/tiny_cpu.yaml",
        f"data.train={sets}",
        f"data.val={folder}/data/coco/val.jsonl",
        f"output={folder}/run",
        *TINY,
    )
    run(
        "benchmark",
        "--data",
        folder / "data/voc/val.jsonl",
        "--model",
        folder / "run/model",
        "--out",
        folder / "report",
        "--max-new-tokens",
        "24",
    )
    return folder


def test_both_formats_give_the_true_boxes(walked: Path) -> None:
    for form, seed in (("coco", 0), ("voc", 1)):
        drawn = draw_scenes(6, seed=seed)
        for split in ("train", "val", "test"):
            for line in (walked / f"data/{form}/{split}.jsonl").read_text(encoding="utf-8").splitlines():
                sample = json.loads(line)
                scene = drawn[int(Path(sample["image"]).stem.removeprefix("scene_"))]
                truth = [
                    list(map(float, drawn.xyxy_px)) for drawn in scene.objects if drawn.category == sample["category"]
                ]
                assert sorted(sample["boxes"]) == sorted(truth)


def test_the_report_counts_every_sample(walked: Path) -> None:
    asked = (walked / "data/voc/val.jsonl").read_text(encoding="utf-8").splitlines()
    report = json.loads((walked / "report/report.json").read_text(encoding="utf-8"))
    assert report["metrics"]["n"] == len(asked) > 0
    assert len((walked / "report/samples.jsonl").read_text(encoding="utf-8").splitlines()) == len(asked)
    assert "<html" in (walked / "report/report.html").read_text(encoding="utf-8")


def test_one_phrase_in_one_image(walked: Path) -> None:
    image = walked / "coco/images/scene_00000.png"
    answer = json.loads(run("predict", image, "red circle", "--model", walked / "run/model", "--json").stdout)
    assert {"text", "status"} <= set(answer)


def test_nothing_half_written_is_left(walked: Path) -> None:
    assert not [
        path for path in walked.rglob("*") if path.name.endswith((".tmp", ".part")) or path.name.startswith(".tmp")
    ]
