"""How much faster are many prompts about one image answered in one batch behind one prefix than one after the other?

The model has 93 M parameters and random weights; the baseline is the published way of working, rebuilt in
`benchmarks/published_way.py`. Both get the same tensors and must choose the same tokens. Where every prompt has
an image of its own there is nothing to share: there a plain batch of whole rows is the baseline.

    OMP_NUM_THREADS=2 python -m benchmarks.shared_prefix_answering
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import torch
from torch import Tensor
from transformers import GenerationConfig

from benchmarks import published_way
from benchmarks.shared_prefix_training import MODEL, TOWER
from benchmarks.timing import report, side_by_side
from grounding.inference.decoding import Decoding, decode
from grounding.inference.prefix import pad_prompts, prefill, row_cache
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.positions import LANGUAGE, VISION
from grounding.models.cogvlm.processor import Encoded

ARCHITECTURE: dict[str, Any] = {**MODEL, "vision_config": {**TOWER, "image_size": 224}}
PROMPT_TOKENS, NEW_TOKENS = 32, 32
PROMPTS = (1, 8, 16)
IMAGES = 8
"""Images with one prompt each, in a batch where nothing is shared."""
PUBLISHED = {
    "of": "the published code itself, transformers 4.46.3, torch 2.13.0, 2 threads of a Xeon at 2.5 GHz, quiet",
    "wall_seconds": {"1": 1.027, "8": 8.167, "16": 17.252},
}
CLOSE = 1e-3
"""Two logits closer than this may change places between two ways of adding up in float32."""


def make_model(seed: int = 0) -> CogVLMForCausalLM:
    torch.manual_seed(seed)
    return CogVLMForCausalLM(CogVLMConfig(**ARCHITECTURE)).eval()


def one_by_one(model: CogVLMForCausalLM, prompts: Tensor, pixels: Tensor, prefix: Encoded) -> Tensor:
    """int64[K, NEW_TOKENS]."""
    types = torch.tensor([prefix.token_type_ids + [LANGUAGE] * PROMPT_TOKENS], device=model.device)
    rows = [torch.tensor([prefix.input_ids + prompt], device=model.device) for prompt in prompts.tolist()]
    return torch.stack([published_way.answer(model, row, types, pixels, NEW_TOKENS) for row in rows])


@torch.inference_mode()
def shared(model: CogVLMForCausalLM, prompts: Tensor, pixels: Tensor, prefix: Encoded) -> Tensor:
    """int64[K, NEW_TOKENS] for K prompts about n images, in turn; the path that `grounding benchmark` takes, without
    reading files and texts."""
    prefilled = prefill(model, prefix, len(pixels), pixels)
    padded = pad_prompts(prompts.tolist(), 0, prefilled.next_position, model.device)
    sizes = [len(prompts) // len(pixels)] * len(pixels)
    return decode(
        model,
        padded,
        lambda rows: row_cache([(prefilled, sizes)], padded, rows_per_prompt=rows),
        decoding=Decoding(),
        budgets=[NEW_TOKENS] * len(prompts),
        special_ids={"bos_token_id": 1, "pad_token_id": 0},
        given=[None] * len(prompts),
    ).tokens


@torch.inference_mode()
def whole_rows(model: CogVLMForCausalLM, prompts: Tensor, pixels: Tensor, prefix: Encoded) -> Tensor:
    """The same by `generate` alone, an image a prompt."""
    rows = torch.tensor([prefix.input_ids + prompt for prompt in prompts.tolist()])
    types = torch.tensor([prefix.token_type_ids + [LANGUAGE] * PROMPT_TOKENS] * len(prompts))
    config = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, bos_token_id=1, pad_token_id=0)
    mask = torch.ones_like(rows)
    inputs = {"input_ids": rows, "token_type_ids": types, "attention_mask": mask, "pixel_values": pixels}
    return model.generate(**inputs, generation_config=config)[:, rows.shape[1] :]


@torch.inference_mode()
def check_same(model: CogVLMForCausalLM, prompts: Tensor, pixels: Tensor, prefix: Encoded) -> int:
    """How many rows differ, at a step whose two best logits are closer than `CLOSE`.

    Raises:
        AssertionError: rows differ elsewhere.
    """
    ours, theirs = shared(model, prompts, pixels, prefix), one_by_one(model, prompts, pixels, prefix)
    differing = 0
    for prompt, mine, other in zip(prompts.tolist(), ours.tolist(), theirs.tolist(), strict=True):
        if mine == other:
            continue
        step = next(index for index, pair in enumerate(zip(mine, other, strict=True)) if pair[0] != pair[1])
        ids = prefix.input_ids + prompt + mine[:step]
        types = prefix.token_type_ids + [LANGUAGE] * (len(ids) - len(prefix))
        logits = model(
            input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), pixel_values=pixels, logits_to_keep=1
        ).logits
        best, second = logits[0, -1].topk(2).values.tolist()
        assert best - second < CLOSE, f"tokens differ at step {step}, where the best logit leads by {best - second}"
        differing += 1
    return differing


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of all contenders.")
@click.option("--prompts", "counts", multiple=True, type=int, default=PROMPTS, show_default=True, help="On one image.")
def main(rounds: int, counts: tuple[int, ...]) -> None:
    """Time both ways side by side and write benchmarks/results/shared_prefix_answering.json."""
    model = make_model()
    generator = torch.Generator().manual_seed(1)
    image = model.config.image_token_count
    prefix = Encoded([1, *[0] * image], [LANGUAGE, *[VISION] * image])
    pixels = torch.randn(1, 3, 224, 224, generator=generator)
    results: dict[str, dict[str, float]] = {}
    differing: dict[str, int] = {}
    for count in counts:
        prompts = torch.randint(3, 32000, (count, PROMPT_TOKENS), generator=generator)
        differing[str(count)] = check_same(model, prompts, pixels, prefix)
        arguments = (model, prompts, pixels, prefix)
        figures = side_by_side(
            {"one by one": partial(one_by_one, *arguments), "shared": partial(shared, *arguments)}, rounds=rounds
        )
        for name, values in figures.items():
            speed_up = figures["one by one"]["median_wall_s"] / values["median_wall_s"]
            results[f"{count} prompts, {name}"] = {**values, "cpu_speed_up": 1 / values["ratio"], "speed_up": speed_up}
    images = torch.randn(IMAGES, *pixels.shape[1:], generator=generator)
    arguments = (model, torch.randint(3, 32000, (IMAGES, PROMPT_TOKENS), generator=generator), images, prefix)
    differing["an image each"] = int((whole_rows(*arguments) != shared(*arguments)).any(-1).sum())
    figures = side_by_side(
        {"whole rows": partial(whole_rows, *arguments), "prefixes": partial(shared, *arguments)}, rounds=rounds
    )
    for name, values in figures.items():
        speed_up = figures["whole rows"]["median_wall_s"] / values["median_wall_s"]
        found = {**values, "cpu_speed_up": 1 / values["ratio"], "speed_up": speed_up}
        results[f"{IMAGES} prompts, an image each, {name}"] = found
    settings = {
        "architecture": ARCHITECTURE,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sequence": f"1 begin, {image} image and {PROMPT_TOKENS} prompt tokens",
        "new_tokens": NEW_TOKENS,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
        "rows_that_differ_at_a_tie": differing,
        "published": PUBLISHED,
    }
    report("shared_prefix_answering", "Prompts about one image", settings, results, ("torch", "transformers"))


if __name__ == "__main__":
    main()
