"""What an adapter folder says of its training: the image size comes back by itself, another base is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from grounding.errors import InputError
from grounding.models.adapter_notes import NOTES_FILE, notes_of, read_notes, weights_fingerprint, write_notes
from grounding.models.loading import LoadedModel, build_model, load_model
from grounding.tuning.adapters import attach_lora, save_adapter
from grounding.tuning.targets import target_modules


@pytest.fixture
def adapter(checkpoint: Path, tmp_path: Path) -> Path:
    """Trained, as it were, on 56-pixel images."""
    model = load_model(checkpoint, device="cpu", image_size=56).model
    adapted = attach_lora(model, target_modules(model, "both"), rank=2, alpha=2)
    save_adapter(adapted, tmp_path / "adapter", notes=notes_of(56, str(checkpoint)))
    return tmp_path / "adapter"


def test_the_image_size_of_the_training_is_used_again(checkpoint: Path, adapter: Path) -> None:
    loaded = load_model(checkpoint, device="cpu", adapter=adapter)
    assert loaded.processor.image_size == 56 and loaded.warnings == ()
    assert isinstance(loaded.model, PeftModel)
    assert loaded.model.get_base_model().config.vision.image_size == 56
    assert PeftModel.from_pretrained(load_model(checkpoint, device="cpu").model, str(adapter))  # peft alone reads it


def test_another_image_size_warns(checkpoint: Path, adapter: Path) -> None:
    loaded = load_model(checkpoint, device="cpu", adapter=adapter, image_size=28)
    assert loaded.processor.image_size == 28
    (warning,) = loaded.warnings
    assert "trained on images of 56 pixels and is used on images of 28" in warning


def test_another_base_of_the_same_shape_warns(
    checkpoint: Path, adapter: Path, architecture: dict[str, Any], words: Any, tmp_path: Path
) -> None:
    other = build_model(architecture, words, seed=4, device="cpu")
    other.model.save_pretrained(tmp_path / "other")
    other.processor.save_pretrained(tmp_path / "other")
    (warning,) = load_model(tmp_path / "other", device="cpu", adapter=adapter).warnings
    assert f"other weights (those of {checkpoint}) than those of {tmp_path / 'other'}" in warning


def test_the_fingerprint_is_of_the_weights_and_not_of_their_files(
    tiny: LoadedModel, checkpoint: Path, tmp_path: Path
) -> None:
    expected = weights_fingerprint(checkpoint)
    tiny.model.save_pretrained(tmp_path / "shards", max_shard_size="30KB")
    tiny.model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    assert weights_fingerprint(tmp_path / "shards") == weights_fingerprint(tmp_path / "half") == expected
    tensors = load_file(checkpoint / "model.safetensors")
    save_file({name: one for name, one in tensors.items() if "inv_freq" not in name}, checkpoint / "model.safetensors")
    assert weights_fingerprint(checkpoint) == expected
    tensors["model.layers.1.mlp.vision_mlp.up_proj.weight"][0, 3] += 0.1
    save_file(tensors, checkpoint / "model.safetensors")
    assert weights_fingerprint(checkpoint) != expected


def test_another_quantisation_warns(checkpoint: Path, adapter: Path) -> None:
    write_notes(adapter, notes_of(56, str(checkpoint), "nf4"))
    (warning,) = load_model(checkpoint, device="cpu", adapter=adapter).warnings
    assert "trained on a base quantised to nf4 and is used on one without quantisation" in warning
    assert load_model(checkpoint, device="cpu", adapter=adapter, quantization="nf4").warnings == ()
    notes = read_notes(adapter)
    assert notes is not None and notes.quantization == "nf4" and not notes.quantize_tower
    (warning,) = notes.differences(checkpoint, 56, "nf4", True)
    assert warning.endswith("used on one quantised to nf4 (the tower too); what it finds may suffer.")
    write_notes(adapter, notes_of(56, str(checkpoint)))  # of a version that did not note it
    assert load_model(checkpoint, device="cpu", adapter=adapter, quantization="nf4").warnings == ()


def test_adapters_without_notes_or_with_broken_ones(checkpoint: Path, adapter: Path) -> None:
    file = adapter / NOTES_FILE
    for text, message in (
        ("{", "no valid JSON"),
        ('{"image_size": "large"}', "hold no image_size, base"),
        ('{"image_size": 28, "base": "", "quantization": "nf5"}', "'nf5'.*allowed are none, nf4, int8"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            load_model(checkpoint, device="cpu", adapter=adapter)
    file.unlink()
    assert read_notes(adapter) is None
    loaded = load_model(checkpoint, device="cpu", adapter=adapter)
    assert loaded.processor.image_size == 28 and loaded.warnings == ()


def test_notes_of_a_base_that_has_no_folder(tmp_path: Path) -> None:
    notes = notes_of(28, str(tmp_path / "gone"))
    assert notes.fingerprint is None and notes_of(28, "").base == ""
    assert notes.differences(tmp_path, 28) == []
