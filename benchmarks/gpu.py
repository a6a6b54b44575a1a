"""What the full 17 B CogVLM takes and gives on a GPU: memory of a LoRA step, its speed, answers a second.

    python -m benchmarks.gpu [memory] [step] [answers]

Without a part, all three. Weights are random, drawn on the device, quantised matrix by matrix as they come. What cannot
run here (no bitsandbytes, a card too small) is left out and said. `--small --device cpu` walks the same way with a
small network, whose numbers mean nothing. Knows no files of weights and no data.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks.checkpoints import SMALL
from benchmarks.flops import Row, step_flops
from benchmarks.loading import tensors_of
from benchmarks.shared_prefix_answering import NEW_TOKENS, PROMPT_TOKENS, one_by_one, shared
from benchmarks.shared_prefix_training import LABELS, TEXT, make_rows
from benchmarks.timing import report, side_by_side
from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.attention import RopeFrequencies, rope_frequencies
from grounding.models.cogvlm.positions import LANGUAGE, VISION
from grounding.models.cogvlm.processor import Encoded
from grounding.models.loading import usable_device
from grounding.models.quantization import check_backend, check_quantized, is_quantizable, parts_kept
from grounding.settings import FinetuneSettings, read_settings
from grounding.training.build import make_trainable
from grounding.training.plan import GIB, SLACK, Lengths, make_plan
from grounding.training.simulated import Alive

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "qlora_24gb.yaml"
KINDS = {"nf4": ("nf4", False), "nf4 with the tower": ("nf4", True), "bf16": ("none", False)}
"""Names to (stored form of the decoder, whether the tower is stored so too)."""
PROMPTS = (1, 8, 16)
CARD = int(23.5 * GIB)
"""What PyTorch can have of a card of 24 GB."""
ROUNDS = 5
Figures = dict[str, dict[str, float]]


def random_model(config: CogVLMConfig, place: torch.device, *, quantization: str, tower: bool) -> CogVLMForCausalLM:
    """A model in bfloat16 on the device; no more than one matrix is there unquantised at a time."""
    _free()  # of the model before
    with torch.device("meta"):
        model = CogVLMForCausalLM(config).to(torch.bfloat16)
    kept, draw = parts_kept(tower), torch.Generator(place).manual_seed(0)
    for name, module in list(model.named_modules()):
        _fill(module, place, draw)
        if quantization == "nf4" and is_quantizable(name, module, kept):
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, _as_nf4(module))
    if quantization == "nf4":
        check_quantized(model, kept)
        model.is_loaded_in_4bit = True  # from this PEFT knows which kind of layer to put beside
    return model.eval()


def _fill(module: nn.Module, place: torch.device, draw: torch.Generator) -> None:
    for name, parameter in module._parameters.items():
        if parameter is None:
            continue
        values = torch.empty(parameter.shape, dtype=parameter.dtype, device=place)
        is_norm = name == "weight" and parameter.ndim == 1
        values = values.fill_(1) if is_norm else values.normal_(0, 0.02, generator=draw)
        module._parameters[name] = nn.Parameter(values, requires_grad=False)
    if isinstance(module, RopeFrequencies):
        module.inv_freq = rope_frequencies(module.head_size, place).to(torch.bfloat16)


def _as_nf4(linear: nn.Linear) -> nn.Module:
    from bitsandbytes.nn import Linear4bit, Params4bit

    kind = {"compress_statistics": True, "quant_type": "nf4"}
    made = Linear4bit(linear.in_features, linear.out_features, False, torch.bfloat16, device="meta", **kind)
    weight = Params4bit(linear.weight.data, requires_grad=False, module=made, **kind)
    made.weight, made.bias = weight.to(linear.weight.device), linear.bias
    return made


def settings_of(kind: str, checkpointed: bool) -> FinetuneSettings:
    """The shipped QLoRA settings, with the decoder stored so."""
    quantization, tower = KINDS[kind]
    words = {
        "model.quantization": quantization,
        "model.quantize_tower": str(tower).lower(),
        "training.gradient_checkpointing": str(checkpointed).lower(),
    }
    return read_settings(CONFIG, [f"{key}={value}" for key, value in words.items()])


class LoraStep:
    """Forward, backward and AdamW of one packed row, as the trainer does them."""

    def __init__(self, config: CogVLMConfig, place: torch.device, kind: str, *, checkpointed: bool = True) -> None:
        quantization, tower = KINDS[kind]
        self.place, self.settings = place, settings_of(kind, checkpointed)
        self.model = random_model(config, place, quantization=quantization, tower=tower)
        self.adapted = make_trainable(self.model, self.settings).train()
        self.trained = [parameter for parameter in self.adapted.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=1e-5)

    def batch(self, prompts: int) -> dict[str, Tensor]:
        """So many prompts about one image."""
        return {name: tensor.to(self.place) for name, tensor in make_rows(self.model, prompts)[0].items()}

    def __call__(self, batch: dict[str, Tensor]) -> None:
        with torch.autocast(self.place.type, torch.bfloat16):
            loss = self.adapted(**batch, label_logits_only=True, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()

    def memory(self, prompts: int) -> int:
        """The most bytes reserved in two steps; on a CPU, of tensors alive, activations and all that stays."""
        batch = self.batch(prompts)
        on_gpu = self.place.type == "cuda"
        _free()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.place)
        self(batch)  # from now on the optimiser has its averages
        with Alive() if not on_gpu else nullcontext() as alive:
            self(batch)
        if on_gpu:
            return torch.cuda.max_memory_reserved(self.place)
        averages = [value for state in self.optimiser.state.values() for value in state.values()]
        return sum(tensor.nbytes for tensor in (*tensors_of(self.adapted), *averages)) + alive.peak


def planned(config: CogVLMConfig, settings: FinetuneSettings, prompts: int) -> int:
    """What `grounding plan` says of such a row, without the CUDA context, which no allocator counts."""
    longest = 1 + config.image_token_count + prompts * TEXT
    training = settings.training.model_copy(
        update={"effective_batch": 2 * prompts, "micro_batch": 1, "pack_tokens": longest}
    )
    row = settings.model_copy(update={"training": training})
    plan = make_plan(row, config, Lengths(1 + TEXT, LABELS, prompts))
    return int(plan.training * (1 + SLACK))


def largest(fits: Callable[[int], bool]) -> int:
    """The largest number that fits, where all smaller ones do too; 0 where none does."""
    above = 1
    while fits(above):
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if fits(middle) else (below, middle)
    return below


def measure_memory(config: CogVLMConfig, place: torch.device, skipped: dict[str, str], *, card: int = CARD) -> Figures:
    """Bytes of a step of 8 prompts, and the most prompts that a card of 24 GB takes, measured and planned."""
    results: Figures = {}
    for kind in KINDS:
        with _left_out(kind, skipped), _at_most(card if kind != "bf16" else None, place):
            _check(kind, place)
            results |= _memory_of(LoraStep(config, place, kind), config, kind, card, skipped)
    return results


def _memory_of(step: LoraStep, config: CogVLMConfig, kind: str, card: int, skipped: dict[str, str]) -> Figures:
    counts = {"8 prompts": 8}
    if kind != "bf16":
        counts["the most prompts"] = largest(partial(_fits, step, card))
    results: Figures = {}
    for name, prompts in counts.items():
        if not prompts:
            skipped[f"{kind}, {name}"] = f"not one prompt fits {card / GIB:.1f} GiB"
            continue
        measured, plan = step.memory(prompts), planned(config, step.settings, prompts)
        results[f"{kind}, {name}"] = {
            "prompts": prompts,
            "measured_gib": measured / GIB,
            "planned_gib": plan / GIB,
            "planned_over_measured": plan / measured,
        }
    return results


def _fits(step: LoraStep, card: int, prompts: int) -> bool:
    try:
        return step.memory(prompts) <= card
    except torch.OutOfMemoryError:
        step.optimiser.zero_grad()
        return False


def matmul_ceiling(place: torch.device) -> float:
    """Operations a second of one large product of random bfloat16 matrices."""
    side = 8192 if place.type == "cuda" else 512
    one, other = (torch.randn(side, side, device=place, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / statistics.median(_seconds(lambda: one @ other, place))


def measure_steps(config: CogVLMConfig, place: torch.device, skipped: dict[str, str]) -> Figures:
    """Seconds of a step and the share of the machine's matrix products that the model's own operations are."""
    ceiling = matmul_ceiling(place)
    results: Figures = {}
    for kind, checkpointed in product(("bf16", "nf4"), (True, False)):
        name = f"{kind}, {'checkpointed' if checkpointed else 'activations kept'}"
        with _left_out(name, skipped):
            _check(kind, place)
            results |= _speeds_of(LoraStep(config, place, kind, checkpointed=checkpointed), name, ceiling, skipped)
    return results


def _speeds_of(step: LoraStep, name: str, ceiling: float, skipped: dict[str, str]) -> Figures:
    results: Figures = {}
    for prompts in PROMPTS:
        with _left_out(f"{name}, {prompts} prompts", skipped):
            seconds = statistics.median(_seconds(partial(step, step.batch(prompts)), step.place))
            row, rank = Row(prompts, TEXT, LABELS), step.settings.tuning.rank
            asked = step_flops(step.model.config, row, rank).total
            results[f"{name}, {prompts} prompts"] = {
                "seconds": seconds,
                "prompts_a_second": prompts / seconds,
                "tflop": asked / 1e12,
                "tflop_a_second": asked / seconds / 1e12,
                "ceiling_tflop_a_second": ceiling / 1e12,
                "of_the_ceiling": asked / seconds / ceiling,
            }
    return results


def measure_answers(config: CogVLMConfig, place: torch.device, skipped: dict[str, str]) -> Figures:
    """Answers of 32 tokens a second: the published way, one prompt after the other, and behind one prefix."""
    results: Figures = {}
    for kind in ("bf16", "nf4"):
        with _left_out(kind, skipped):
            _check(kind, place)
            results |= _answers_of(random_model(config, place, quantization=KINDS[kind][0], tower=False), kind)
    return results


def _answers_of(model: CogVLMForCausalLM, kind: str) -> Figures:
    draw = torch.Generator().manual_seed(1)
    side, image = model.config.vision.image_size, model.config.image_token_count
    prefix = Encoded([1, *[0] * image], [LANGUAGE, *[VISION] * image])
    pixels = torch.randn(1, 3, side, side, generator=draw).to(model.device, torch.bfloat16)
    results: Figures = {}
    for count in PROMPTS:
        prompts = torch.randint(3, model.config.vocab_size, (count, PROMPT_TOKENS), generator=draw)
        ways = {
            name: partial(_finished, partial(way, model, prompts, pixels, prefix), model.device)
            for name, way in (("one by one", one_by_one), ("shared", shared))
        }
        figures = side_by_side(ways, rounds=3)
        for name, row in figures.items():
            wall = row["median_wall_s"]
            results[f"{kind}, {count} prompts, {name}"] = {
                "seconds": wall,
                "answers_a_second": count / wall,
                "speed_up": figures["one by one"]["median_wall_s"] / wall,
            }
    return results


def _check(kind: str, place: torch.device) -> None:
    """See that a kind of weights can be made here.

    Raises:
        InputError: bitsandbytes is not here or has no kernels for the device.
    """
    if KINDS[kind][0] != "none":
        check_backend(KINDS[kind][0], place)


@contextmanager
def _left_out(name: str, skipped: dict[str, str]) -> Iterator[None]:
    """What cannot be here is noted with its reason, and the next is tried."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError) as error:
        skipped[name] = str(error).splitlines()[0]


@contextmanager
def _at_most(size: int | None, place: torch.device) -> Iterator[None]:
    """The allocator gets no more than so many bytes of a GPU, and makes do as on a card of that size."""
    if size is None or place.type != "cuda":
        yield
        return
    torch.cuda.set_per_process_memory_fraction(min(1.0, size / torch.cuda.get_device_properties(place).total_memory))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _finished(call: Callable[[], object], place: torch.device) -> None:
    call()
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def _seconds(call: Callable[[], object], place: torch.device) -> list[float]:
    """Of some calls by the clock, after two that are not counted."""
    taken = []
    for _ in range(ROUNDS + 2):
        started = time.perf_counter()
        _finished(call, place)
        taken.append(time.perf_counter() - started)
    return taken[2:]


PARTS: Mapping[str, tuple[str, Callable[..., Figures]]] = {
    "memory": ("Memory of a LoRA step on one image", measure_memory),
    "step": ("A LoRA step on one image", measure_steps),
    "answers": (f"Answers of {NEW_TOKENS} tokens about one image", measure_answers),
}


@click.command(help=__doc__)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--small", is_flag=True, help="A network of 0.2 million parameters.")
@click.option("--device", default="cuda", show_default=True)
def main(parts: Sequence[str], small: bool, device: str) -> None:
    """Measure the parts and write benchmarks/results/gpu_<part>.json for each that gave a number."""
    try:
        place = usable_device(device)
    except InputError as error:
        raise click.UsageError(str(error)) from error
    config = CogVLMConfig(**(SMALL | {"vocab_size": 500} if small else {"rms_norm_eps": 1e-5}))
    for part in parts or PARTS:
        question, measure = PARTS[part]
        skipped: dict[str, str] = {}
        results = measure(config, place, skipped)
        for name, reason in skipped.items():
            click.echo(f"left out: {name}: {reason}")
        if results:
            report(
                f"gpu_{part}", question, _settings(config, place, skipped), results, ("torch", "transformers", "peft")
            )


def _settings(config: CogVLMConfig, place: torch.device, skipped: Mapping[str, str]) -> dict[str, Any]:
    on_gpu = place.type == "cuda"
    return {
        "architecture": {name: getattr(config, name) for name in ("hidden_size", "num_hidden_layers", "vocab_size")},
        "image_side": config.vision.image_size,
        "gpu": torch.cuda.get_device_name(place) if on_gpu else None,
        "gpu_gib": torch.cuda.get_device_properties(place).total_memory / GIB if on_gpu else None,
        "cuda": torch.version.cuda,
        "training": f"{TEXT} tokens a prompt, {LABELS} of them labels; rank 16, targets both, AdamW in float32",
        "answering": f"{PROMPT_TOKENS} tokens a prompt, {NEW_TOKENS} answered",
        "left_out": dict(skipped),
    }


if __name__ == "__main__":
    main()
