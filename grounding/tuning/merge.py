"""An adapter and the checkpoint it was trained on to one checkpoint in the published layout, matrix by matrix.

Knows files of tensors and PEFT; no model is ever built, so the host holds one shard that is being written and a few
matrices, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
from torch import Tensor, nn

from grounding.errors import InputError, RunError
from grounding.models.adapter_check import PREFIX, check_adapter
from grounding.models.checkpoint import check_tensors, read_config, weight_files
from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM
from grounding.models.cogvlm.resolution import POSITIONS, interpolate_positions
from grounding.models.quantization import is_quantizable, parts_kept, through_quantization
from grounding.models.shards import SHARD_BYTES, StoredTensors, TensorPlan, write_shards

PROBES = 8
"""Rows of random input that a merged matrix is compared on."""
TOLERANCE = {torch.float32: 1e-5}
COARSE_TOLERANCE = 1e-2
"""Largest allowed relative difference of a merged matrix's output; the coarse one holds for half precision."""


@dataclass(frozen=True)
class Recipe:
    """What is merged into what.

    Attributes:
        base: checkpoint folder. adapter: PEFT folder.
        quantization: "nf4" or "int8": the base is first rounded as it was in training, then dequantised, so that the
            result answers as base and adapter did together; None: the weights as they are stored.
        quantize_tower: the tower was quantised too.
        compute_dtype: what the base was loaded in before it was quantised.
    """

    base: Path
    adapter: Path
    quantization: str | None = None
    quantize_tower: bool = False
    compute_dtype: torch.dtype = torch.bfloat16


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Attributes:
        matrices: merged linear layers. replaced: tensors that the adapter holds in full.
        largest: the largest relative difference of a merged matrix's output from base plus adapter, and `where`.
        files: the weights.
    """

    matrices: int
    replaced: int
    largest: float
    where: str
    files: list[Path]


def merge(
    recipe: Recipe,
    config: CogVLMConfig,
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    device: torch.device | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Merged:
    """Write the weights of base plus adapter into a folder that exists, and compare every merged matrix.

    Each is compared on random input, in float32: its output after rounding to the stored dtype against base plus
    adapter as PEFT works it out, by the norm of the difference over the norm.

    Args:
        config: of the result: the base's, but for the image size where that is another.
        device: where matrices are worked on; the CPU when left out.
        progress: is told of each tensor written.

    Raises:
        InputError: base or adapter are broken or do not belong together, or the adapter's kind is not merged.
        RunError: a matrix differs by more than the tolerance (relative 1e-5 in float32, 1e-2 in half precision).
    """
    check_tensors(recipe.base, read_config(recipe.base))
    with torch.device("meta"):
        skeleton = CogVLMForCausalLM(config)
    check_adapter(skeleton, recipe.adapter)
    base = StoredTensors(weight_files(recipe.base))
    merger = _Merger(recipe, base, skeleton, device or torch.device("cpu"))

    def make(name: str) -> Tensor:
        progress(1)
        return merger.tensor(name)

    plan = dict(base.plan)
    plan[POSITIONS] = plan[POSITIONS]._replace(shape=tuple(skeleton.get_parameter(POSITIONS).shape))
    files = write_shards(folder, plan, make, shard_bytes=shard_bytes)
    largest, where = max(((value, name) for name, value in merger.differences.items()), default=(0.0, ""))
    return Merged(len(merger.differences), merger.replaced, largest, where, files)


class _Merger:
    """Makes the tensors of the merged checkpoint, one at a time, and keeps how far each matrix is off."""

    def __init__(self, recipe: Recipe, base: StoredTensors, skeleton: nn.Module, device: torch.device) -> None:
        self.recipe, self.base, self.device = recipe, base, device
        self.positions = len(skeleton.get_parameter(POSITIONS))
        self.adapter = StoredTensors([recipe.adapter / "adapter_model.safetensors"])
        self.settings = PeftConfig.from_pretrained(str(recipe.adapter))
        self.pairs, self.whole = self._sorted_out()
        kept = parts_kept(recipe.quantize_tower)
        self.rounded = (
            {f"{name}.weight" for name, module in skeleton.named_modules() if is_quantizable(name, module, kept)}
            if recipe.quantization
            else set()
        )
        self.differences: dict[str, float] = {}
        self.replaced = 0

    def _sorted_out(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """The adapter's tensors by the matrix that they change, and those that stand for a tensor of the base.

        Raises:
            InputError: tensors that belong to no single matrix.
        """
        pairs: dict[str, list[str]] = {}
        whole: dict[str, str] = {}
        strange = []
        for stored in self.adapter.plan:
            name = stored.removeprefix(PREFIX)
            parts = name.split(".")
            owners = (".".join(parts[:cut]) for cut in range(len(parts) - 1, 0, -1))
            owner = next((owner for owner in owners if f"{owner}.weight" in self.base.plan), None)
            if name in self.base.plan:
                whole[name] = stored
            elif owner is not None and name != f"{owner}.bias":
                pairs.setdefault(f"{owner}.weight", []).append(stored)
            else:
                strange.append(name)
        if strange:
            raise InputError(
                f"adapters of kind {self.settings.peft_type} cannot be merged matrix by matrix: {strange[0]} "
                "belongs to no single one.",
                where=str(self.recipe.adapter),
                fix="Use it beside its base (--model and --adapter), without merging.",
            )
        return pairs, whole

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name of the merged checkpoint, as the base's is stored."""
        plan: TensorPlan = self.base.plan[name]
        if name in self.whole:
            self.replaced += 1
            return self.adapter.read(self.whole[name]).to(plan.dtype)
        weight = self.base.read(name)
        if name == POSITIONS:
            return interpolate_positions(weight, self.positions)
        if name in self.rounded:
            weight = self._rounded(weight)
        if name not in self.pairs:
            return weight.to("cpu", plan.dtype)
        return self._with_adapter(name, weight, plan.dtype)

    def _rounded(self, weight: Tensor) -> Tensor:
        assert self.recipe.quantization is not None
        return through_quantization(weight.to(self.device, self.recipe.compute_dtype), self.recipe.quantization)

    @torch.no_grad()
    def _with_adapter(self, name: str, weight: Tensor, dtype: torch.dtype) -> Tensor:
        module_name = name.removesuffix(".weight")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
        linear.weight = nn.Parameter(weight.to(self.device, torch.float32), requires_grad=False)
        layer = self._wrapped(module_name, linear)
        # The same input for a matrix in every run.
        generator = torch.Generator().manual_seed(len(self.differences))
        probes = torch.randn(PROBES, weight.shape[1], generator=generator).to(self.device)
        expected = layer(probes)
        layer.merge(safe_merge=True)
        merged = layer.get_base_layer().weight.to(dtype)
        found = probes @ merged.float().T
        difference = float((found - expected).norm() / expected.norm().clamp_min(torch.finfo(torch.float32).tiny))
        allowed = TOLERANCE.get(dtype, COARSE_TOLERANCE)
        if not difference <= allowed:
            raise RunError(
                f"{name}: merged, its output differs from base plus adapter by {difference:.1e} (relative), more than "
                f"the {allowed:.0e} that {str(dtype).removeprefix('torch.')} allows. Nothing was written."
            )
        self.differences[name] = difference
        return merged.cpu()

    def _wrapped(self, module_name: str, linear: nn.Linear) -> Any:
        """The linear layer with its part of the adapter on it, in a tree that has nothing else: patterns of PEFT's
        settings that go by full names hold."""
        *parents, last = module_name.split(".")
        root = inner = nn.Module()
        for parent in parents:
            inner.add_module(parent, nn.Module())
            inner = inner.get_submodule(parent)
        inner.add_module(last, linear)
        settings = deepcopy(self.settings)
        settings.inference_mode = False
        for key, value in {
            "target_modules": [module_name],
            "modules_to_save": None,
            "layers_to_transform": None,
            "layers_pattern": None,
            "exclude_modules": None,
            "base_model_name_or_path": None,
        }.items():
            if hasattr(settings, key):
                setattr(settings, key, value)
        adapted = get_peft_model(root, settings).eval()
        stored = {name: self.adapter.read(name) for name in self.pairs[f"{module_name}.weight"]}
        outcome: Any = set_peft_model_state_dict(adapted, stored)
        if outcome.unexpected_keys:
            raise InputError(
                f"{outcome.unexpected_keys[0]} is no tensor of an adapter of kind {self.settings.peft_type}.",
                where=str(self.recipe.adapter),
            )
        return adapted.to(self.device).get_submodule(f"{PREFIX}{module_name}")
