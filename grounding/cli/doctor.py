"""`grounding doctor`: what this machine can do: versions, cards, quantisation, attention, and which config fits.

grounding doctor --configs configs
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from grounding import __version__
from grounding.cli.plan import LABEL_TOKENS, TEXT_TOKENS, architecture_of
from grounding.counted import counted
from grounding.errors import GroundingError
from grounding.models.memory import free_memory
from grounding.progress import waiting
from grounding.settings import FinetuneSettings, read_settings

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "safetensors",
    "tokenizers",
    "huggingface_hub",
)
GIB = 2**30


@click.command(name="doctor")
@click.option(
    "--configs",
    type=click.Path(path_type=Path),
    default=Path("configs"),
    show_default=True,
    metavar="PATH",
    help="Folder of configs, or one of them, each of which is held against this machine's memory.",
)
def command(configs: Path) -> None:
    """Say what this machine can do. Loads no model; exit status 0 whatever is found."""
    with waiting("loading PyTorch"):
        import torch

    click.echo(f"grounding {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    click.echo("Packages: " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    cpu = torch.device("cpu")
    click.echo(f"CPU: {counted(os.cpu_count() or 1, 'core')}, {free_memory(cpu) / GIB:.1f} GiB of memory free")
    cards = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for line in _cards(cards):
        click.echo(line)
    for place in [cpu, *cards]:
        click.echo(f"Quantisation on {place}: {'; '.join(_quantisation(place))}")
    click.echo(f"Attention: {'; '.join(_attention(bool(cards)))}")
    for line in _fits(configs, cards):
        click.echo(line)
    if len(cards) > 1:
        click.echo(
            f"Several GPUs: torchrun --nproc-per-node {len(cards)} -m grounding finetune CONFIG spreads the prompts of "
            "a step, each GPU holding all weights; benchmark is shared out the same way. To spread weights too: "
            f"configs/launch, and `grounding plan CONFIG --processes {len(cards)} --strategy fsdp`"
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not here)"


def _cards(cards: list[Any]) -> Iterator[str]:
    import torch

    if not cards:
        yield "GPU: none that this torch can use" + ("" if torch.version.cuda else " (it was built without CUDA)")
    for card in cards:
        about = torch.cuda.get_device_properties(card)
        free, total = torch.cuda.mem_get_info(card)
        half = "bfloat16" if about.major >= 8 else "no fast bfloat16"
        yield (
            f"GPU {card.index}: {about.name}, {total / GIB:.1f} GiB, {free / GIB:.1f} GiB free, compute capability "
            f"{about.major}.{about.minor}, {half}, CUDA {torch.version.cuda}"
        )


def _quantisation(place: Any) -> Iterator[str]:
    """By trying: each kind works, or why it does not."""
    from grounding.models.quantization import QUANTIZATIONS, check_backend

    for kind in QUANTIZATIONS:
        try:
            check_backend(kind, place)
            yield f"{kind} works"
        except GroundingError as error:
            yield f"{kind} does not: {error}"


def _attention(on_card: bool) -> Iterator[str]:
    from torch.backends import cuda
    from transformers.utils import is_flash_attn_2_available

    yield "eager and sdpa work"
    if on_card:
        kernels = {
            "flash": cuda.flash_sdp_enabled() and cuda.is_flash_attention_available(),
            "memory-efficient": cuda.mem_efficient_sdp_enabled(),
            "cuDNN": cuda.cudnn_sdp_enabled(),
        }
        there = [name for name, is_there in kernels.items() if is_there]
        yield f"kernels of sdpa: {', '.join(there) or 'none but the plain one'}"
    yield "flash_attention_2 " + (
        "works" if is_flash_attn_2_available() else "does not (no GPU or no flash-attn package)"
    )


def _fits(configs: Path, cards: list[Any]) -> Iterator[str]:
    """For each config what it needs, and whether that is here."""
    with waiting("loading Transformers"):
        from transformers.utils import logging

        from grounding.training.plan import USABLE, make_plan
        from grounding.training.planned_batch import Lengths

    logging.set_verbosity_error()
    files = [configs] if configs.is_file() else sorted(configs.glob("*.yaml"))
    if not files:
        yield f"Configs: there are none in {configs} (--configs names another folder)"
    largest = max((_total(card) for card in cards), default=0)
    for file in files:
        try:
            settings = read_settings(file)
            with waiting(f"working out what {file} needs"):
                plan = make_plan(settings, architecture_of(settings)[0], Lengths(TEXT_TOKENS, LABEL_TOKENS))
        except GroundingError as error:
            yield f"{file}: {error}"
            continue
        yield f"{file}: needs {plan.peak / GIB:.1f} GiB; {_verdict(settings, plan.peak, int(largest * USABLE))}"


def _verdict(settings: FinetuneSettings, needed: int, card: int) -> str:
    import torch

    if settings.model.device == "cpu":
        return (
            "fits the CPU's memory" if needed <= free_memory(torch.device("cpu")) else "the CPU's memory is too small"
        )
    if not card:
        return "there is no GPU here"
    if needed <= card:
        return f"fits, {(card - needed) / GIB:.1f} GiB are left"
    return "does not fit: `grounding plan` with --card says what to change"


def _total(card: Any) -> int:
    import torch

    return int(torch.cuda.mem_get_info(card)[1])
