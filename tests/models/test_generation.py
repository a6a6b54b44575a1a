"""Generation: the cache, batches, beams and continued prompts give what full forwards give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from grounding.models.cogvlm.processor import Encoded
from grounding.models.loading import LoadedModel

NEW = 8
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": NEW, "eos_token_id": None}


@pytest.fixture
def prompts(tiny: LoadedModel) -> list[Encoded]:
    rows = [("Where is the dog?", True), ("2 + 2?", False), ("dog", True), ("狗在哪里", True)]
    return [tiny.processor.encode(query, has_image=image) for query, image in rows]


@pytest.fixture
def batch(tiny: LoadedModel, prompts: list[Encoded], pixels: Tensor) -> dict[str, Tensor]:
    return {**tiny.processor.pad(prompts, side="left"), "pixel_values": pixels}


def by_hand(tiny: LoadedModel, prompt: Encoded, image: Tensor | None) -> list[int]:
    """Greedy tokens by whole forwards over the growing row, without a cache and without `generate`."""
    ids, types = list(prompt.input_ids), list(prompt.token_type_ids)
    for _ in range(NEW):
        with torch.no_grad():
            logits = tiny.model(
                input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), pixel_values=image
            ).logits
        ids.append(int(logits[0, -1].argmax()))
        types.append(0)
    return ids[-NEW:]


def test_generate_is_the_loop_by_hand(
    tiny: LoadedModel, prompts: list[Encoded], batch: dict[str, Tensor], pixels: Tensor
) -> None:
    cached = tiny.model.generate(**batch, **GREEDY)[:, -NEW:]
    uncached = tiny.model.generate(**batch, **GREEDY, use_cache=False)[:, -NEW:]
    assert torch.equal(cached, uncached)
    images = iter(pixels)
    for row, prompt in enumerate(prompts):
        image = next(images)[None] if any(prompt.token_type_ids) else None
        assert cached[row].tolist() == by_hand(tiny, prompt, image)


def test_image_goes_in_once(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    seen: list[int] = []
    tiny.model.model.vision.register_forward_hook(lambda *_: seen.append(1))
    tiny.model.generate(**batch, **GREEDY)
    assert len(seen) == 1


def test_positions_go_on_behind_left_padding(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    positions: list[Tensor] = []
    original = tiny.model.model.forward

    def watch(**inputs: Any) -> Any:
        positions.append(inputs["position_ids"])
        return original(**inputs)

    tiny.model.model.forward = watch
    tiny.model.generate(**batch, **GREEDY)
    last = positions[0][:, -1]
    assert [step.shape[1] for step in positions[1:]] == [1] * (NEW - 1)
    assert torch.equal(torch.cat(positions[1:], dim=1), last[:, None] + torch.arange(1, NEW))


def test_prompt_that_ends_with_the_image(tiny: LoadedModel, pixels: Tensor) -> None:
    """The new tokens are text although the prompt's last type is 1."""
    prompt = Encoded([1, *[0] * 6], [0, *[1] * 6])
    inputs = {**tiny.processor.pad([prompt]), "pixel_values": pixels[:1]}
    expected = by_hand(tiny, prompt, pixels[:1])
    for cache in (True, False):
        assert tiny.model.generate(**inputs, **GREEDY, use_cache=cache)[0, -NEW:].tolist() == expected


def test_beams(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    """Each row's beams see the row's own image: the same as the row searched alone."""
    together = tiny.model.generate(**batch, **GREEDY, num_beams=3)
    assert together.shape == (4, batch["input_ids"].shape[1] + NEW)
    row = {name: value[3:4] for name, value in batch.items() if name != "pixel_values"}
    alone = tiny.model.generate(**row, pixel_values=batch["pixel_values"][2:3], **GREEDY, num_beams=3)
    assert torch.equal(together[3], alone[0])
    assert (
        tiny.model.generate(**row, pixel_values=batch["pixel_values"][2:3], **GREEDY, num_beams=1).shape == alone.shape
    )


def test_without_a_mask_nothing_is_taken_for_padding(tiny: LoadedModel, prompts: list[Encoded], pixels: Tensor) -> None:
    """Image positions carry the padding id; guessing the mask from ids would hide the image."""
    inputs = tiny.processor.pad([prompts[0]])
    mask = inputs.pop("attention_mask")
    with_mask = tiny.model.generate(**inputs, attention_mask=mask, pixel_values=pixels[:1], **GREEDY)
    assert torch.equal(tiny.model.generate(**inputs, pixel_values=pixels[:1], **GREEDY), with_mask)
    text_only = tiny.model.generate(torch.tensor([prompts[1].input_ids]), **GREEDY)
    assert text_only[0, -NEW:].tolist() == by_hand(tiny, prompts[1], None)


def test_padding_on_the_right_is_refused(tiny: LoadedModel, prompts: list[Encoded], pixels: Tensor) -> None:
    batch = tiny.processor.pad(prompts, side="right")
    with pytest.raises(ValueError, match="pad prompts on the left"):
        tiny.model.generate(**batch, pixel_values=pixels, **GREEDY)


def test_a_result_as_a_tuple(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    as_tuple = tiny.model(**batch, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], tiny.model(**batch).logits)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kept", [1, 5, 1000])
def test_only_the_last_logits(tiny: LoadedModel, prompts: list[Encoded], pixels: Tensor, side: str, kept: int) -> None:
    """They and the cache are those of the whole, however the rows are padded."""
    inputs = {**tiny.processor.pad(prompts, side=side), "pixel_values": pixels}
    full, last = tiny.model(**inputs), tiny.model(**inputs, logits_to_keep=kept)
    torch.testing.assert_close(last.logits, full.logits[:, -kept:])
    for one, other in zip(last.past_key_values.layers, full.past_key_values.layers, strict=True):
        torch.testing.assert_close((one.keys, one.values), (other.keys, other.values))
    states = tiny.model(**inputs, logits_to_keep=kept, output_hidden_states=True)
    assert states.hidden_states[-1].shape[1] == full.logits.shape[1]
    assert torch.equal(states.logits, full.logits[:, -kept:])


def test_the_last_logits_behind_a_cache_and_of_branches(tiny: LoadedModel) -> None:
    ids = torch.tensor([[1, 30, 31, 32, 33, 34]])
    cache = tiny.model(ids[:, :2], use_cache=True).past_key_values
    positions = torch.arange(2, 6)[None]
    continued = tiny.model(ids[:, 2:], position_ids=positions, past_key_values=cache, logits_to_keep=2)
    torch.testing.assert_close(continued.logits, tiny.model(ids).logits[:, -2:])
    branches = {"branch_ids": torch.tensor([[0, 0, 1, 1, 2, 2]]), "use_cache": False}
    last = tiny.model(ids, **branches, logits_to_keep=3).logits
    torch.testing.assert_close(last, tiny.model(ids, **branches).logits[:, -3:])


def test_the_last_layer_works_for_the_last_logits_alone(tiny: LoadedModel, batch: dict[str, Tensor]) -> None:
    seen: list[tuple[int, int]] = []
    for layer in tiny.model.model.layers:
        layer.mlp.register_forward_hook(lambda _, inputs, __: seen.append((len(inputs[0]), inputs[1].vision)))
    tiny.model(**batch, logits_to_keep=1)
    assert seen[-1] == (len(batch["input_ids"]), 0)
    assert all(tokens == int(batch["attention_mask"].sum()) and vision for tokens, vision in seen[:-1])
