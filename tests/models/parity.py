"""The measured numbers of the original CogVLM, and how far this one is from them, quantity by quantity.

Knows the fixture files under tests/fixtures/parity; asserts nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from grounding.models.cogvlm import CogVLMConfig, CogVLMForCausalLM, CogVLMProcessor
from grounding.models.cogvlm.positions import image_position_ids, vision_expert_mask
from grounding.models.tokenizers import train_tokenizer

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "parity"
CASES = ("tiny", "wide-head", "batch-padded", "batch-mixed", "text-only")
ATTENTIONS = ("eager", "sdpa")


@dataclass(frozen=True)
class Distance:
    """One comparison: the largest absolute error, and the largest share of its tolerance (1 = just allowed)."""

    quantity: str
    error: float
    share: float


def distance(quantity: str, found: Tensor, expected: Tensor, tolerance: Mapping[str, float] | str) -> Distance:
    """Compare two tensors; with the tolerance "exact" any difference counts as one tolerance and a half."""
    assert found.shape == expected.shape, f"{quantity}: {list(found.shape)} against {list(expected.shape)}"
    if expected.numel() == 0:
        return Distance(quantity, 0.0, 0.0)
    if isinstance(tolerance, str):
        differ = float((found != expected).any())
        return Distance(quantity, differ, 1.5 * differ)
    error = (found.double() - expected.double()).abs()
    allowed = tolerance.get("atol", 0.0) + tolerance.get("rtol", 0.0) * expected.double().abs()
    return Distance(quantity, float(error.max()), float((error / allowed).max()))


class Case:
    """One model of the fixtures with its inputs and what the original made of them."""

    def __init__(self, name: str, attention: str = "sdpa") -> None:
        self.name, self.attention = name, attention
        self.document: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
        self.tensors = load_file(FIXTURES / f"{name}.safetensors")
        self.tolerances: dict[str, Any] = self.document["tolerances"]

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}

    @cached_property
    def state_dict(self) -> dict[str, Tensor]:
        return self.part("state_dict.")

    @cached_property
    def config(self) -> CogVLMConfig:
        return CogVLMConfig(**self.document["config"], attn_implementation=self.attention)

    @cached_property
    def model(self) -> CogVLMForCausalLM:
        model = CogVLMForCausalLM(self.config)
        model.load_state_dict(self.state_dict)
        return model.eval()

    @cached_property
    def inputs(self) -> dict[str, Tensor | None]:
        names = ("input_ids", "token_type_ids", "attention_mask", "labels", "pixel_values")
        return {name: self.tensors.get(f"input.{name}") for name in names}

    @cached_property
    def left_inputs(self) -> dict[str, Tensor | None]:
        """The same rows padded on the left, or nothing where the case has only one row."""
        names = ("input_ids", "token_type_ids", "attention_mask", "labels")
        if "left.input_ids" not in self.tensors:
            return {}
        return {name: self.tensors[f"left.{name}"] for name in names} | {"pixel_values": self.inputs["pixel_values"]}

    def prompt(self, row: int) -> dict[str, Tensor | None]:
        """Row `row` alone, without its answer and without padding."""
        length = self.document["rows"][row]["prompt_len"]
        names = ("input_ids", "token_type_ids", "attention_mask")
        alone = {name: self.tensors[f"input.{name}"][row : row + 1, :length] for name in names}
        has_image = [one["has_image"] for one in self.document["rows"]]
        index = sum(has_image[:row])
        pixels = self.tensors["input.pixel_values"][index : index + 1] if has_image[row] else None
        return {**alone, "pixel_values": pixels}

    def left_prompts(self) -> dict[str, Tensor | None]:
        """All prompts in one batch, padded on the left."""
        rows = [self.prompt(row) for row in range(len(self.document["rows"]))]
        width = max(row["input_ids"].shape[1] for row in rows)
        names = ("input_ids", "token_type_ids", "attention_mask")
        batch = {
            name: torch.cat([torch.nn.functional.pad(row[name], (width - row[name].shape[1], 0)) for row in rows])
            for name in names
        }
        return {**batch, "pixel_values": self.inputs["pixel_values"]}

    def distances(self) -> Iterator[Distance]:
        """Every quantity of the case."""
        yield from self._inputs()
        yield from self._forward()
        if self.left_inputs:
            yield from self._left()
        yield from self._generation()

    def _inputs(self) -> Iterator[Distance]:
        vision = self.config.vision
        words = train_tokenizer([], 280)
        processor = CogVLMProcessor(words, vision.image_size, vision.patch_size, self.config.template_version)
        with_image = [row for row, one in enumerate(self.document["rows"]) if one["has_image"]]
        for index, row in enumerate(with_image):
            image = Image.fromarray(self.tensors[f"input.image_uint8.{row}"].numpy())
            expected = self.tensors["input.pixel_values"][index]
            yield distance("pixels", processor.preprocess_image(image), expected, self.tolerances["pixel_values"])
        keep = self.tensors["input.attention_mask"].bool()
        types = self.tensors["input.token_type_ids"]
        positions = image_position_ids(types, self.tensors["input.attention_mask"])
        yield distance("position ids", positions[keep], self.tensors["expected.position_ids"][keep], "exact")
        mask = self.tensors["expected.vision_expert_mask"].bool()
        yield distance("expert mask", vision_expert_mask(types)[keep], mask[keep], "exact")

    def _forward(self) -> Iterator[Distance]:
        model, tolerances = self.model, self.tolerances
        pixels = self.inputs["pixel_values"]
        if pixels is not None:
            tower, features = model.model.vision, tolerances["vision_features"]
            with torch.no_grad():
                embedded = tower.patch_embedding(pixels)
                yield distance("patch embedding", embedded, self.tensors["expected.patch_embedding"], features)
                transformed = tower.transformer(embedded)
                yield distance("tower", transformed, self.tensors["expected.vision_transformer"], features)
                yield distance("features", tower(pixels), self.tensors["expected.vision_features"], features)
        keep = self.tensors["input.attention_mask"].bool()
        model.zero_grad(set_to_none=True)
        output = model(**self.inputs, output_hidden_states=True)
        for index, hidden in enumerate(output.hidden_states):
            expected = self.tensors[f"expected.hidden_states.{index}"]
            yield distance("hidden states", hidden.detach()[keep], expected[keep], tolerances["hidden_states"])
        logits = self.tensors["expected.logits"]
        yield distance("logits", output.logits.detach()[keep], logits[keep], tolerances["logits"])
        yield distance("loss", output.loss.detach()[None], self.tensors["expected.loss"], tolerances["loss"])
        output.loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        assert set(gradients) == set(self.document["grad_norms"])
        for name, norm in self.document["grad_norms"].items():
            found = gradients[name]
            if norm is None:
                yield distance("absent gradients", torch.tensor(found is None), torch.tensor(True), "exact")
            else:
                assert found is not None, name
                yield distance("gradient norms", found.norm(), torch.tensor(norm), tolerances["grad_norms"])
        for name, expected in self.part("expected.grad.").items():
            yield distance("gradients", gradients[name], expected, tolerances["grads"])

    def _left(self) -> Iterator[Distance]:
        keep = self.tensors["left.attention_mask"].bool()
        positions = image_position_ids(self.tensors["left.token_type_ids"], self.tensors["left.attention_mask"])
        yield distance("left: position ids", positions, self.tensors["left.expected.position_ids"], "exact")
        with torch.no_grad():
            output = self.model(**self.left_inputs)
        logits = self.tensors["left.expected.logits"]
        yield distance("left: logits", output.logits[keep], logits[keep], self.tolerances["logits"])
        yield distance("left: loss", output.loss[None], self.tensors["left.expected.loss"], self.tolerances["loss"])

    def _generation(self) -> Iterator[Distance]:
        tokens, logits = self.tensors["expected.greedy_tokens"], self.tensors["expected.greedy_step_logits"]
        options: dict[str, Any] = {"do_sample": False, "max_new_tokens": tokens.shape[1]}
        for row in range(len(tokens)):
            prompt = self.prompt(row)
            start = prompt["input_ids"].shape[1]
            output = self.model.generate(**prompt, **options, output_logits=True, return_dict_in_generate=True)
            yield distance("greedy tokens", output.sequences[0, start:], tokens[row], "exact")
            steps = torch.cat(output.logits)
            yield distance("greedy step logits", steps, logits[row], self.tolerances["greedy_step_logits"])
            early = self.document["greedy"][row]["eos_override"]
            stopped = self.model.generate(**prompt, **options, eos_token_id=early["eos_token_id"])[0, start:]
            yield distance("greedy until another eos", stopped, torch.tensor(early["new_tokens"]), "exact")
        batch = self.left_prompts()
        together = self.model.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
        yield distance("left: greedy tokens of a batch", together, tokens, "exact")


def preprocessing_distances() -> Iterator[Distance]:
    """Pictures of several shapes squashed to 28, 70 and 490 pixels."""
    document = json.loads((FIXTURES / "mixed-image-sizes.json").read_text("utf-8"))
    tensors = load_file(FIXTURES / "mixed-image-sizes.safetensors")
    tolerance = {"atol": document["tolerances"]["atol"]}
    words = train_tokenizer([], 280)
    for entry in document["images"]:
        index = entry["index"]
        image = Image.fromarray(tensors[f"image_uint8.{index}"].numpy())
        for side in document["targets"]:
            pixels = CogVLMProcessor(words, side, 14).preprocess_image(image)
            yield distance("pixels", pixels, tensors[f"expected.pixel_values.{index}.{side}"], tolerance)
        large = CogVLMProcessor(words, 490, 14).preprocess_image(image)
        places = tensors[f"expected.pixel490_index.{index}"].long()
        values = large[places[:, 0], places[:, 1], places[:, 2]]
        yield distance("pixels", values, tensors[f"expected.pixel490_value.{index}"], tolerance)
        sums = torch.stack([large.double().sum(), large.double().square().sum()])
        expected = torch.tensor([entry["sum490"], entry["sumsq490"]], dtype=torch.float64)
        yield distance("sums over 490 pixels", sums, expected, {"rtol": 1e-6})
