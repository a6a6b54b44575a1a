"""The plan against what torch holds: weights by their bytes, activations of a step by the allocator's own events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from grounding.models.checkpoint import config_from
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.resolution import with_image_size
from grounding.models.loading import load_model
from grounding.models.tokenizers import train_tokenizer
from grounding.settings import FinetuneSettings
from grounding.training.build import make_trainable
from grounding.training.packing import row_budget
from grounding.training.plan import GIB, Plan, make_plan, savings, stored_size
from grounding.training.planned_batch import Lengths, prompts_in_row

ROWS, LENGTHS = 2, Lengths(text=20, label=9, prompts=1)
SHARED = replace(LENGTHS, prompts=5)
SIZES: dict[str, Any] = {
    "model_type": "cogvlm",
    "vocab_size": 500,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vision_config": {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_heads": 4,
        "image_size": 112,
        "patch_size": 14,
    },
}


def settings(**changes: Any) -> FinetuneSettings:
    base: dict[str, Any] = {
        "output": "out",
        "model": {"path": "somewhere", "dtype": "float32"},
        "tuning": {"rank": 4},
        "data": {"train": "train.jsonl", "val": "val.jsonl"},
        "training": {"micro_batch": ROWS, "gradient_checkpointing": False},
    }
    for name, value in changes.items():
        base[name] = base.get(name, {}) | value if isinstance(value, dict) else value
    return FinetuneSettings.model_validate(base)


def plan_of(asked: FinetuneSettings) -> Plan:
    return make_plan(asked, config_from(SIZES, where="here"), LENGTHS)


def rows_of_prompts(image: int, prompts: int) -> dict[str, torch.Tensor]:
    """Rows of an image and so many prompts of the longest kind."""
    branch = LENGTHS.text - 1
    ids = torch.randint(3, 400, (ROWS, 1 + image + prompts * branch))
    types, labels, branches = torch.zeros_like(ids), torch.full_like(ids, -100), torch.zeros_like(ids)
    types[:, 1 : image + 1] = 1
    for number in range(prompts):
        end = ids.shape[1] - (prompts - 1 - number) * branch
        branches[:, end - branch : end] = number + 1
        labels[:, end - LENGTHS.label : end] = ids[:, end - LENGTHS.label : end]
    batch = {"input_ids": ids, "token_type_ids": types, "labels": labels}
    return batch if prompts == 1 else batch | {"branch_ids": branches}


def allocated_in_a_step(asked: FinetuneSettings, prompts: int = 1) -> int:
    """The most that the allocator holds more at any time in forward and backward than before them."""
    torch.manual_seed(0)
    full = asked.tuning.method == "full"
    config = config_from(SIZES, where="here")
    config._attn_implementation = asked.model.attention or "sdpa"
    model = CogVLMForCausalLM(config)
    model = model.to(torch.float32 if full else getattr(torch, asked.model.dtype))
    trained = make_trainable(model, asked).train()
    batch = rows_of_prompts(model.config.image_token_count, prompts)
    pixels = torch.randn(ROWS, 3, 112, 112)
    for parameter in trained.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    half = torch.autocast("cpu", torch.bfloat16, enabled=asked.model.dtype == "bfloat16")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen, half:
        output = trained(**batch, pixel_values=pixels, label_logits_only=True)
        output.loss.backward()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": {"dtype": "bfloat16"}},
        {"tuning": {"targets": "both+tower"}},
        {"tuning": {"targets": "language", "mlp": False}},
        {"tuning": {"targets": "published"}},
        {"model": {"attention": "eager"}},
        {"tuning": {"method": "full"}},
        {"tuning": {"method": "full", "freeze": ["tower"]}, "model": {"dtype": "bfloat16"}},
    ],
    ids=["lora", "bfloat16", "tower", "language", "published", "eager", "full", "full but the tower"],
)
def test_activations_are_what_a_step_allocates(changes: dict[str, Any], checkpointing: bool) -> None:
    asked = settings(**changes, training={"gradient_checkpointing": checkpointing})
    measured = allocated_in_a_step(asked)
    plan = make_plan(asked, config_from(SIZES, where="here"), LENGTHS, compare=True)
    assert plan.activations == pytest.approx(measured, rel=0.12)
    other = plan_of(settings(**changes, training={"gradient_checkpointing": not checkpointing}))
    assert plan.activations_otherwise == other.activations
    assert (plan.activations < other.activations) == checkpointing
    assert 0 < plan.logits < plan.activations


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, {"model": {"dtype": "bfloat16"}}, {"model": {"attention": "eager"}}, {"tuning": {"method": "full"}}],
    ids=["lora", "bfloat16", "eager", "full"],
)
def test_packed_rows_are_what_a_step_of_them_allocates(
    changes: dict[str, Any], checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The plan is for a GPU; joined attention, which holds less, is the CPU's own.
    monkeypatch.setattr("grounding.models.cogvlm.cogvlm.can_join", lambda device: False)
    training = {"gradient_checkpointing": checkpointing, "effective_batch": 12}
    asked = settings(**changes, training=training)
    plan = make_plan(asked, config_from(SIZES, where="here"), SHARED)
    assert (plan.prompts, plan.tokens) == (5, 1 + 66 + 5 * 19)
    assert plan.activations == pytest.approx(allocated_in_a_step(asked, 5), rel=0.12)


@pytest.mark.parametrize(
    ("training", "prompts", "expected"),
    [
        ({"effective_batch": 12}, None, 6),  # half of a step
        ({"effective_batch": 12}, 4, 4),  # all that an image has
        ({"effective_batch": 12, "pack_tokens": 67 + 3 * 19 + 18}, None, 3),  # a fourth has 19 tokens
        ({"effective_batch": 12, "pack_tokens": 50}, None, 1),  # longer than the budget: a row of its own
        ({"effective_batch": 12, "pack": False}, 4, 1),
        ({"effective_batch": 400}, None, (2048 - 67) // 19),
    ],
)
def test_how_many_prompts_meet_in_a_row(training: dict[str, Any], prompts: int | None, expected: int) -> None:
    asked = settings(training=training)
    lengths = replace(LENGTHS, prompts=prompts)
    assert prompts_in_row(asked, config_from(SIZES, where="here"), lengths) == expected


def test_a_larger_image_is_planned_with_its_tokens_and_a_budget_that_holds_it() -> None:
    config = config_from(SIZES, where="here")
    asked = settings(training={"effective_batch": 400})
    plans = [make_plan(asked, with_image_size(config, size), replace(SHARED, prompts=None)) for size in (112, 700)]
    assert [plan.tokens - plan.prompts * 19 for plan in plans] == [1 + 8**2 + 2, 1 + 50**2 + 2]
    assert row_budget(50**2 + 2) == 1 + 50**2 + 2 + 768 and plans[1].prompts == 768 // 19
    assert plans[1].activations > plans[0].activations


@pytest.mark.parametrize(("kind", "tower"), [("none", False), ("nf4", False), ("nf4", True), ("int8", True)])
def test_weights_are_what_is_held(kind: str, tower: bool, tmp_path: Path) -> None:
    from benchmarks.loading import tensors_of

    config = config_from(SIZES, where="here")
    CogVLMForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path)
    train_tokenizer([], 400).save_pretrained(tmp_path)
    loaded = load_model(
        tmp_path, device="cpu", dtype="bfloat16", quantization=None if kind == "none" else kind, quantize_tower=tower
    )
    held = sum(tensor.nbytes for tensor in tensors_of(loaded.model))
    model = {"dtype": "bfloat16", "quantization": kind, "quantize_tower": tower}
    found = plan_of(settings(model=model))
    # The tables of a quantised matrix are no tensors of the model; with matrices this small they show.
    assert found.weights == pytest.approx(held, rel=0.06 if kind == "nf4" else 0.01)
    asked = settings(model=model)
    trainable = make_trainable(loaded.model, asked)
    numbers = sum(parameter.numel() for parameter in trainable.parameters() if parameter.requires_grad)
    assert found.numbers[0] == numbers
    assert (found.trained, found.gradients, found.optimiser) == (4 * numbers, 4 * numbers, 8 * numbers)


def test_the_cache_is_what_generation_holds() -> None:
    model = CogVLMForCausalLM(config_from(SIZES, where="here")).eval()
    prompt = LENGTHS.text - LENGTHS.label
    ids = torch.randint(3, 400, (3, model.config.image_token_count + prompt + 7))
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert plan_of(settings(evaluation={"batch": 3, "max_new_tokens": 7, "samples": 4})).cache == held
    assert plan_of(settings(data={"train": "x"}, evaluation={"samples": 0})).cache == 0


def test_sizes_of_stored_matrices() -> None:
    shape = (4096, 12288)
    count = 4096 * 12288
    assert stored_size(shape, torch.bfloat16, "none") == 2 * count
    assert stored_size(shape, torch.bfloat16, "int8") == count + 4 * 4096
    # 4 bits, 8 a block of 64, 32 for each 256 of these: 4.127 bits a number, as QLoRA's authors say.
    assert stored_size(shape, torch.bfloat16, "nf4") * 8 / count == pytest.approx(4.127, abs=1e-3)


def test_the_published_model_in_four_bits_fits_a_24_gb_card(repository: Path) -> None:
    from grounding.settings import read_settings

    asked = read_settings(repository / "configs" / "qlora_24gb.yaml")
    plan = make_plan(asked, CogVLMConfig(rms_norm_eps=1e-5), Lengths(64, 24))
    assert plan.numbers == (70_709_248, 17_639_685_376 + 70_709_248)
    assert (plan.prompts, plan.tokens) == (8, 1 + 1227 + 8 * 63)
    assert 14.5 * GIB < plan.weights < 15.5 * GIB
    assert plan.peak < 20 * GIB
    assert plan.training <= plan.peak and plan.evaluating <= plan.peak
    tuned = plan.trained + plan.gradients + plan.optimiser
    numbers = [f"{size / GIB:.2f}" for size in (plan.weights, tuned, plan.activations, plan.peak)]
    header = (repository / "configs" / "qlora_24gb.yaml").read_text().partition("output:")[0]
    assert "weights {}, adapter with gradients and optimiser {}, activations {}, in all {}".format(*numbers) in header


@pytest.mark.parametrize("tuning", [{"rank": 16}, {"method": "full", "freeze": ["norms"]}], ids=["lora", "full"])
def test_savings_are_laid_over_each_other_and_save(tuning: dict[str, Any]) -> None:
    asked = settings(tuning=tuning)
    changes = savings(asked, config_from(SIZES, where="here"), LENGTHS)
    assert len(changes) > 4 and all("=" in word for word, _ in changes)
    for _, changed in changes:
        FinetuneSettings.model_validate(changed.model_dump())
    peaks = [plan_of(one).peak for one in (asked, changes[0][1], changes[-1][1])]
    assert peaks[0] >= peaks[1] > peaks[2]
