"""The making from nothing to a checkpoint, with few and small things; called again it does nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from grounding.models.loading import load_model
from grounding.pocket.make import MAKING, command, merged, part_of
from grounding.samples import read_samples

SMALL: dict[str, Any] = {
    "tokenizer_size": 700,
    "architecture": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vision_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_heads": 2},
    },
    "drawings": {"many": {"scenes": 8}, "val": {"scenes": 3}},
    "tower": {"steps": 3, "batch": 4},
    "looking": {"scenes": 8, "steps": 3, "batch": 4},
    "finetune": {"training": {"effective_batch": 16, "micro_batch": 16}},
}


def test_it_makes_a_checkpoint_once(tmp_path: Path) -> None:
    making = merged(yaml.safe_load(MAKING.read_text(encoding="utf-8")), SMALL)
    last = making["pieces"][-1]
    evaluation = {"every": 2, "samples": 2, "max_new_tokens": 4}
    making["pieces"] = [merged(last, {"scenes": [2, 8], "training": {"max_steps": 2}, "evaluation": evaluation})]
    (tmp_path / "making.yaml").write_text(yaml.safe_dump(making), encoding="utf-8")
    words = [str(tmp_path / "out"), "--making", str(tmp_path / "making.yaml"), "--checkpoint", str(tmp_path / "made")]
    for _ in range(2):
        result = CliRunner().invoke(command, words)
        assert result.exit_code == 0, result.output
    log = (tmp_path / "out/making.log").read_text(encoding="utf-8")
    assert log.count("tower done") == 1 and log.count("looking step") == 1
    assert load_model(tmp_path / "made", device="cpu").model.dtype.itemsize == 2
    part = part_of(tmp_path / "out/data/many/full.jsonl", 2, 8)
    assert {one.image for one in read_samples(part)} == {f"images/{number:06d}.png" for number in range(2, 8)}
