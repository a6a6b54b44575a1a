"""The card of an adapter folder: true, harmless to PEFT, without paths of this machine, and its code runs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import PeftModel
from torch import nn

from grounding.models.loading import load_model
from grounding.training.run import RunResult, run
from tests.training.conftest import MakeSettings, lora


def trained(make_settings: MakeSettings, base: Path, **changes: Any) -> RunResult:
    def factory(*_: Any) -> Any:
        return lambda model: {"grec_50": 0.25, "acc_50": 0.5}

    common = lora(base) | {"training": {"max_steps": 2, "learning_rate": 0.1}, "evaluation": {"every": 1}} | changes
    return run(make_settings(**common), evaluate_factory=factory, say=lambda _: None)


def test_it_says_what_the_adapter_is_and_nothing_of_the_machine(
    make_settings: MakeSettings, base: Path, scenes: Path
) -> None:
    found = trained(make_settings, base)
    card = (found.result / "README.md").read_text(encoding="utf-8")
    _, head, body = card.split("---\n", maxsplit=2)
    assert yaml.safe_load(head)["library_name"] == "peft"
    assert "`grec_50` | 0.25 |" in body and f"`loss` | {found.metrics['eval_loss']:.4g} |" in body
    assert f"At step {found.best_step}, on 4 samples of `val.jsonl`" in body and "of these 4 were answered" in body
    assert "| base | `model`, in float32 |" in body and "28 x 28 pixels" in body and "eval_score" not in body
    digest = hashlib.sha256((scenes / "train.jsonl").read_bytes()).hexdigest()
    assert f"| `train.jsonl` | 8 | 3 | all | `{digest}` |" in body
    (settings,) = re.findall(r"```yaml\n(.*?)```", body, flags=re.DOTALL)
    told = yaml.safe_load(settings)
    assert told["tuning"]["rank"] == 4 and told["training"]["max_steps"] == 2
    assert not re.search(r"[\s`\"'(]/\w", card), "no absolute path"
    earlier = (found.result.parent / "checkpoints" / "checkpoint-1" / "README.md").read_text(encoding="utf-8")
    assert "## Validation" not in earlier and digest in earlier


def test_leaks_and_the_start_stand_in_it(make_settings: MakeSettings, base: Path, scenes: Path, tmp_path: Path) -> None:
    first = trained(make_settings, base)
    tuning = lora(base)["tuning"] | {"start_from": str(first.result)}
    same = {"train": str(scenes / "train.jsonl"), "val": str(scenes / "train.jsonl")}
    second = trained(make_settings, base, tuning=tuning, data=same, output=str(tmp_path / "second"))
    card = (second.result / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256((first.result / "adapter_model.safetensors").read_bytes()).hexdigest()
    assert f"| started from | `adapter`, SHA-256 of its weights `{digest}` |" in card
    assert "> 8 of the 8 samples of data.val" in card


def test_its_code_loads_the_adapter_and_peft_keeps_the_card(
    make_settings: MakeSettings, base: Path, tmp_path: Path
) -> None:
    found = trained(make_settings, base)
    card = (found.result / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace('"model"', repr(str(base))).replace('"THIS_FOLDER"', repr(str(found.result))), names)
    ids = {"input_ids": torch.tensor([[1, 5, 9]]), "token_type_ids": torch.zeros(1, 3, dtype=torch.long)}

    def logits(model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model(**ids).logits

    ours = load_model(base, adapter=found.result, device="cpu").model
    assert torch.equal(logits(names["model"]), logits(ours))
    assert not torch.equal(logits(ours), logits(load_model(base, device="cpu").model))
    assert isinstance(ours, PeftModel)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "README.md").write_text(card, encoding="utf-8")
    ours.save_pretrained(str(tmp_path / "again"))
    assert "## Training data" in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")


def test_a_whole_model_has_none(make_settings: MakeSettings) -> None:
    found = run(make_settings(training={"max_steps": 1}), say=lambda _: None)
    assert not (found.result / "README.md").exists()
