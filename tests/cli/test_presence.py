"""What a command needs and is not there is told at once: before torch is imported, and before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from grounding.samples import write_samples
from tests.evaluation.making import sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_samples(tmp_path / "test.jsonl", [sample(0, [])])
    Image.new("RGB", (200, 100)).save(tmp_path / "photo.png")
    (tmp_path / "run.yaml").write_text("output: x\nmodel: {path: models/none}\ndata: {train: none.jsonl}\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "models/none"}))
    return tmp_path


NO_DATA = "there is no such file or folder of data. `grounding convert` makes such from annotations."
CALLS = {
    "benchmark --data test.jsonl --model pocket --adapter runs/adapter --out x": "runs/adapter: there is no adapter_",
    "benchmark --data test.jsonl --model models/none --out x": "models/none: this is no folder",
    "benchmark --data test.jsonl --model pocket --images none --out x": "the image root none is no folder",
    "predict photo.png cell --adapter adapter": "adapter: there is no adapter_model.safetensors",
    "predict photo.png cell --model models": "models: there is no config.json",
    "predict photo.png cell --tokenizer models/words": "models/words: this tokenizer does not exist",
    "finetune run.yaml": f"- none.jsonl: {NO_DATA} It is data.train in run.yaml:3; name another with data.train=PATH.",
    "finetune run.yaml data.train=test.jsonl": "- models/none: this is no folder",
    "finetune run.yaml data.val=v.jsonl": f"- v.jsonl: {NO_DATA}\n",
    "finetune run.yaml tuning.start_from=adapter": "- adapter: there is no adapter_model.safetensors",
    "finetune run.yaml tuning.start_from=models": "- tuning.start_from = models: there is no adapter_config.json",
    "merge adapter --out x": "models/none: this is no folder",
    "merge models --out x": "models: there is no adapter_config.json",
    "check models/none": "models/none: this is no folder",
}


def test_before_torch_is_imported(folder: Path) -> None:
    program = (
        "import json, sys\nfrom click.testing import CliRunner\nfrom grounding.cli.main import group\n"
        f"calls = {[call.split() for call in CALLS]!r}\n"
        "found = [CliRunner().invoke(group, call) for call in calls]\n"
        "print(json.dumps(['torch' in sys.modules, [(one.exit_code, one.stderr) for one in found]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported, answers = json.loads(done.stdout)
    for (call, said), (status, error) in zip(CALLS.items(), answers, strict=True):
        assert status == 2 and said in error, f"{call}: {error}"
    assert not imported
    assert not (folder / "x").exists()
