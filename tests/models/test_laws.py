"""What must not change the numbers: checkpointing, the attention implementation, padding, packing, saving of logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from grounding.models.cogvlm.positions import image_position_ids
from grounding.models.cogvlm.processor import Encoded
from grounding.models.loading import LoadedModel

TINY = {"atol": 1e-5, "rtol": 1e-4}
"""float32 rounding of a model whose logits are of order 1."""


def gradients(model: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """Gradients by name; an absent one counts as zero."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, **TINY, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture
def batch(tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor) -> dict[str, Tensor]:
    return {**tiny.processor.pad(encoded), "pixel_values": pixels}


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_changes_nothing(tiny: LoadedModel, batch: dict[str, Tensor], reentrant: bool) -> None:
    model = tiny.model.train()
    plain = model(**batch)
    expected = gradients(model, plain.loss)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        model.enable_input_require_grads()
    layers = [*model.model.layers, *model.model.vision.transformer.layers]
    assert model.is_gradient_checkpointing and all(layer.gradient_checkpointing for layer in layers)
    again = model(**batch)
    torch.testing.assert_close(again.loss, plain.loss)
    assert_same(gradients(model, again.loss), expected)


def test_attention_implementations_agree(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    branches = torch.where(batch["attention_mask"] == 1, (batch["labels"] != -100).long(), -1)
    for extra in ({}, {"branch_ids": branches}):
        outputs = {}
        for name in ("sdpa", "eager"):
            tiny.model.set_attn_implementation(name)
            outputs[name] = tiny.model(**batch, **extra)
        real = batch["attention_mask"].bool()
        torch.testing.assert_close(outputs["sdpa"].logits[real], outputs["eager"].logits[real], **TINY)
        assert_same(gradients(tiny.model, outputs["sdpa"].loss), gradients(tiny.model, outputs["eager"].loss))


@pytest.mark.parametrize("side", ["left", "right"])
def test_batched_is_single(tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor, side: str) -> None:
    batch = tiny.processor.pad(encoded, side=side)
    together = tiny.model(**batch, pixel_values=pixels).logits
    images = iter(pixels)
    for row, one in enumerate(encoded):
        alone = tiny.processor.pad([one])
        image = next(images)[None] if any(one.token_type_ids) else None
        single = tiny.model(**alone, pixel_values=image).logits[0]
        torch.testing.assert_close(together[row][batch["attention_mask"][row].bool()], single, **TINY)


def test_padding_on_the_right_needs_no_mask(tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor) -> None:
    """Attention runs without a mask where causality says the same, so that kernels without one can be used."""
    masks: list[Any] = []
    tiny.model.model.layers[0].register_forward_pre_hook(
        lambda _, __, inputs: masks.append(inputs["sight"].mask), with_kwargs=True
    )
    for side in ("right", "left"):
        tiny.model(**tiny.processor.pad(encoded, side=side), pixel_values=pixels)
    assert masks[0] is None and masks[1] is not None
    gap = tiny.processor.pad(encoded, side="right")
    gap["attention_mask"][0, 9] = 0
    tiny.model(**gap, pixel_values=pixels)
    assert masks[2] is not None


def test_label_logits_only(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    full = tiny.model(**batch)
    expected = gradients(tiny.model, full.loss)
    saved = tiny.model(**batch, label_logits_only=True)
    predicts = pad(batch["labels"][:, 1:], (0, 1), value=-100) != -100
    assert saved.logits.dtype == torch.float32 and len(saved.logits) == int((batch["labels"] != -100).sum())
    torch.testing.assert_close(saved.logits, full.logits[predicts], **TINY)
    torch.testing.assert_close(saved.loss, full.loss)
    assert_same(gradients(tiny.model, saved.loss), expected)
    with pytest.raises(ValueError, match="needs labels"):
        tiny.model(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"], label_logits_only=True)


def test_loss_is_a_sum_over_the_global_batch(tiny: LoadedModel, encoded: list[Encoded], pixels: Tensor) -> None:
    whole = tiny.model(**tiny.processor.pad(encoded), pixel_values=pixels).loss
    count = sum(label != -100 for one in encoded for label in one.labels or [])
    parts = [(encoded[:2], pixels[:1]), (encoded[2:], pixels[1:])]
    for items in (count, torch.tensor(count)):
        losses = [tiny.model(**tiny.processor.pad(rows), pixel_values=images, num_items_in_batch=items).loss
                  for rows, images in parts]  # fmt: skip
        torch.testing.assert_close(torch.stack(losses).sum(), whole)
    assert tiny.model.accepts_loss_kwargs


def test_loss_without_any_label_is_zero(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    for saving in (False, True):
        output = tiny.model(**batch | {"labels": torch.full_like(batch["labels"], -100)}, label_logits_only=saving)
        assert output.loss.item() == 0
        assert all(not value.any() for value in gradients(tiny.model, output.loss).values())


def test_positions_with_masks() -> None:
    types = torch.tensor([[0, 1, 1, 1, 1, 0, 0]])
    assert image_position_ids(types).tolist() == [[0, 1, 2, 2, 3, 4, 5]]
    assert image_position_ids(types[:, :5]).tolist() == [[0, 1, 2, 2, 3]]
    # An image that touches padding has no known end there, as in the original.
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    assert image_position_ids(types, mask).tolist() == [[0, 1, 2, 2, 2, 2, 2]]
    left = image_position_ids(torch.tensor([[0, 0, 0, 1, 1, 1, 0]]), torch.tensor([[0, 0, 1, 1, 1, 1, 1]]))
    assert left.tolist() == [[0, 0, 1, 2, 3, 4, 5]]


def test_padding_row_of_the_table_gets_no_gradient(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    found = gradients(tiny.model, tiny.model(**batch).loss)["model.embed_tokens.weight"]
    assert not found[0].any() and found[1].any()
    assert not tiny.model.model.embed_tokens.weight[0].any()


def test_rope_tables_keep_their_precision_in_bfloat16(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    """Angles of far positions are the same in both dtypes: bfloat16 could not even hold the position 257."""
    model = tiny.model
    ids = torch.tensor([[1, 30, 31, 32]])
    near, far = torch.arange(4)[None], torch.arange(4)[None] + 1999
    difference = model(input_ids=ids, position_ids=near).logits - model(input_ids=ids, position_ids=far).logits
    assert difference.abs().max() < 1e-2  # rope is relative
    half = model.to(torch.bfloat16)
    assert half.model.layers[0].self_attn.rotary_emb.inv_freq.dtype == torch.bfloat16
    shift = half(input_ids=ids, position_ids=near).logits - half(input_ids=ids, position_ids=far).logits
    assert shift.abs().max() < 0.1 and half(**batch).logits.dtype == torch.float32


def test_an_expert_without_tokens(tiny: LoadedModel, encoded: list[Encoded]) -> None:
    """Text only: vision experts get gradients of zero (so that distributed training finds them), the tower none."""
    batch = tiny.processor.pad([encoded[1]])
    tiny.model.zero_grad(set_to_none=True)
    tiny.model(**batch).loss.backward()
    for name, parameter in tiny.model.named_parameters():
        if name.startswith("model.vision."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None
            assert parameter.grad.any() != ("vision" in name), name
    seen: list[str] = []
    for layer in tiny.model.model.layers:
        layer.mlp.vision_mlp.register_forward_hook(lambda *_: seen.append("vision"))
    with torch.no_grad():
        tiny.model(**{name: values[:, :1] for name, values in batch.items()})  # as wide as a decoding step
    assert seen == []


def test_contradictions_are_refused(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    model, text = tiny.model, {"input_ids": torch.tensor([[1, 5, 6]])}

    def refuse(message: str, **inputs: Any) -> None:
        with pytest.raises(ValueError, match=message):
            model(**inputs)

    refuse("mark 18 image positions, but pixel_values hold 2", **batch | {"pixel_values": batch["pixel_values"][:2]})
    refuse("mark 18 image positions, but pixel_values hold 0", **batch | {"pixel_values": None})
    refuse("mark 0 image positions", **text, pixel_values=batch["pixel_values"])
    refuse("3, 28, 28", **batch | {"pixel_values": batch["pixel_values"][..., :14]})
    inside = torch.where(batch["attention_mask"] == 1, batch["token_type_ids"], -1)
    refuse("must stand in the prefix", **batch, branch_ids=inside)
    refuse("output_attentions", **text, output_attentions=True)
    refuse("either input_ids or inputs_embeds")
    cache = model(**text, use_cache=True).past_key_values
    refuse("position_ids are needed", **text, past_key_values=cache)
    refuse("cannot continue", **text, past_key_values=cache, branch_ids=torch.zeros(1, 3, dtype=torch.long))
    model.config._attn_implementation = "flash_attention_2"
    refuse("need attention 'eager' or 'sdpa'", **text, branch_ids=torch.zeros(1, 3, dtype=torch.long))


def test_embeddings_in_place_of_ids(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    expected = tiny.model(**batch).logits
    ids = {name: value for name, value in batch.items() if name not in ("input_ids", "pixel_values")}
    table = tiny.model.get_input_embeddings()
    given = tiny.model(**ids, inputs_embeds=table(batch["input_ids"]), pixel_values=batch["pixel_values"])
    assert torch.equal(given.logits, expected)
    states = tiny.model(**batch, output_hidden_states=True).hidden_states[0]
    assert torch.equal(tiny.model(**ids, inputs_embeds=states).logits, expected)  # image vectors already inside
