"""What a command needs and is not there is told at once: before torch is imported, and before anything is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from grounding.cli.there import LINE
from grounding.samples import write_samples
from tests.evaluation.making import sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_samples(tmp_path / "test.jsonl", [sample(0, [])])
    Image.new("RGB", (200, 100)).save(tmp_path / "photo.png")
    (tmp_path / "run.yaml").write_text("output: x\nmodel: {path: models/none}\ndata: {train: none.jsonl}\n")
    (tmp_path / "models" / "llama").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "adapter").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "runs" / "a" / "adapter" / "adapter_model.safetensors").touch()
    (tmp_path / "full" / "model").mkdir(parents=True)
    (tmp_path / "full" / "model" / "config.json").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "predictions.jsonl").touch()
    (tmp_path / "coco.json").write_text('{\n "images": []}')
    (tmp_path / "long.json").write_text(json.dumps({"images": [], "info": "x" * LINE}))
    write_samples(tmp_path / "lines.json", [sample(0, [])])
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "models/none"}))
    return tmp_path


NO_DATA = "there is no such file or folder of data. `grounding convert` makes such from annotations."
CALLS = {
    "benchmark --data test.jsonl --model pocket --adapter runs/adapter --out x": "runs/adapter: there is no such",
    "benchmark --data test.jsonl --model pocket --adapter runs/a --out x": "the adapter in it is runs/a/adapter,",
    "benchmark --data test.jsonl --model models/none --out x": "models/none: this is no folder",
    "benchmark --data test.jsonl --model pocket --images none --out x": "the image root none is no folder",
    "benchmark --data tets.jsonl --model pocket --out x": "no such file or folder of data. Did you mean 'test.jsonl'?",
    "benchmark --data test.jsonl --predictions tests.jsonl --out x": "predictions file. Did you mean 'test.jsonl'?",
    "benchmark --data test.jsonl --also g=tests.jsonl --model pocket --out x": "Did you mean 'test.jsonl'?",
    "benchmark --data test.jsonl --predictions runs --out x": "runs: is a folder. Name a JSONL file of answers.",
    "benchmark --data test.jsonl --predictions run --out x": "Name the answers in it: run/predictions.jsonl",
    "benchmark --data coco.json --model pocket --out x": "Make one of it: grounding convert coco.json --out DIR",
    "finetune run.yaml data.train=long.json": "- long.json: is one JSON document, such as annotations are;",
    "finetune run.yaml data.train=lines.json": "settings name can be used (1 problem)\n  - models/none: this is no",
    "benchmark --data test.jsonl --model pocket --out run.yaml": "--out run.yaml: is a file; a folder is written.",
    "compare runs run --out run.yaml": "--out run.yaml: is a file; a folder is written.",
    "predict photo.png cell --adapter adapter": "adapter: there is no adapter_model.safetensors",
    "predict photo.png cell --adapter adaptr": "adaptr: there is no such adapter folder. Did you mean 'adapter'?",
    "predict photo.png cell --model models": "models: there is no config.json",
    "benchmark --data test.jsonl --model pocket --adapter full/model --out x": "This is a whole model: name it as the",
    "predict photo.png cell --model full": "no checkpoint. This is a run's folder; the model in it is full/model",
    "predict photo.png cell --model runs/a": "This is a run's folder; the adapter in it is runs/a/",
    "finetune run.yaml model.path=runs/a/adapter": "This is an adapter: name its base as the model, and this as",
    "predict photo.png cell --model pockett": "pockett: this is no folder. Did you mean 'pocket'? Name a folder",
    "predict photo.png cell --tokenizer models/words": "models/words: this tokenizer does not exist. Published",
    "predict photo.png cell --tokenizer models/llamma": "does not exist. Did you mean 'models/llama'?",
    "predict foto.png cell": "foto.png: there is no such image file or folder. Did you mean 'photo.png'?",
    "predict photo.png --phrases test.json": "no such file of phrases. Did you mean 'test.jsonl'?",
    "finetune run.yaml": f"- none.jsonl: {NO_DATA} It is data.train in run.yaml:3; name another with data.train=PATH.",
    "finetune run.yaml data.train=test.jsonl": "- models/none: this is no folder",
    "finetune run.yaml data.train=test.json": "folder of data. Did you mean 'test.jsonl'?",
    "finetune run.yaml data.val=v.jsonl": f"- v.jsonl: {NO_DATA}\n",
    "finetune run.yaml model.path=NoOne/none": "\nNoOne/none is no folder here either; as a name on the hub it is",
    "finetune run.yaml model.path=spaces/none": "- spaces/none: this is no folder",
    "finetune run.yml": "run.yml: there is no such file. Did you mean 'run.yaml'?",
    "finetune models": "models: is a folder; settings are read from a YAML file.",
    "finetune run.yaml tuning.start_from=adapter": "- adapter: there is no adapter_model.safetensors",
    "finetune run.yaml tuning.start_from=models": "- tuning.start_from = models: there is no adapter_config.json",
    "finetune run.yaml tuning.start_from=adaptor": "nor in adapter/. Did you mean 'adapter'? Name a run",
    "compare adaptor run --out x": "adaptor: is no report folder (there is no report.json). Did you mean 'adapter'?",
    "merge adapter --out x": "models/none: this is no folder",
    "merge models --out x": "models: there is no adapter_config.json",
    "merge adaptor --out x": "adaptor: there is no such folder. Did you mean 'adapter'?",
    "check models/none": "models/none: this is no folder",
    "check models/lama": "models/lama: this is no folder. Did you mean 'models/llama'?",
    "plan run.ymal": "Did you mean 'run.yaml'?",
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
