"""A fresh adapter with a saved one's weights is that one; what does not belong there is refused, all of it at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from grounding.errors import InputError, ManyErrors
from grounding.tuning.adapters import attach_lora, save_adapter
from grounding.tuning.freeze import count_parameters
from grounding.tuning.start import check_start, load_start
from grounding.tuning.targets import SETS, target_modules
from tests.tuning.conftest import tiny_model
from tests.tuning.test_adapters import adapted, logits, stirred


@pytest.mark.parametrize("name", SETS)
def test_the_start_is_what_was_saved_and_all_of_it_learns(name: str, batch: dict[str, Tensor], tmp_path: Path) -> None:
    saved = stirred(adapted(name))
    save_adapter(saved, tmp_path)
    model = tiny_model()
    targets = target_modules(model, name)
    check_start(model, tmp_path, targets, rank=4, alpha=8)
    fresh = attach_lora(model, targets, rank=4, alpha=8, seed=7)
    assert not torch.equal(logits(fresh, batch), logits(saved, batch))
    load_start(fresh, tmp_path)
    assert torch.equal(logits(fresh, batch), logits(saved, batch))
    assert count_parameters(fresh) == count_parameters(saved)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("both", {"rank": 8}, ["tuning.rank is 8, the adapter's is 4"]),
        ("both", {"rank": 2, "alpha": 16}, ["tuning.rank is 2", "tuning.alpha is 16, the adapter's is 8"]),
        ("language", {}, ["the adapter alone has"]),
        ("both+tower", {}, ["the adapter lacks"]),
        ("published", {"alpha": 9}, ["tuning.alpha is 9", "the adapter alone has", "the adapter lacks"]),
    ],
)
def test_misfits_are_told_all_at_once(name: str, changes: dict[str, int], told: list[str], tmp_path: Path) -> None:
    save_adapter(adapted("both"), tmp_path)
    model = tiny_model()
    with pytest.raises(ManyErrors) as caught:
        check_start(model, tmp_path, target_modules(model, name), **({"rank": 4, "alpha": 8} | changes))
    assert len(caught.value.problems) == len(told)
    assert all(text in problem for text, problem in zip(told, caught.value.problems, strict=True))


@pytest.mark.parametrize("other", [{"use_rslora": True}, {"alpha_pattern": {"dense": 3}}, {"rank_pattern": {"x": 2}}])
def test_another_scale_is_refused(other: dict[str, Any], tmp_path: Path) -> None:
    save_adapter(adapted("both"), tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | other))
    model = tiny_model()
    with pytest.raises(ManyErrors, match=f"{next(iter(other))} = .*, a fresh one has not"):
        check_start(model, tmp_path, target_modules(model, "both"), rank=4, alpha=8)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    save_adapter(adapted("both"), tmp_path)
    model = tiny_model(layers=1)
    with pytest.raises(InputError, match="do not fit"):
        check_start(model, tmp_path, target_modules(model, "both"), rank=4, alpha=8)
