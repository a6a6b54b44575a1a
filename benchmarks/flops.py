"""Floating-point operations that a LoRA step asks of the network, by formula: what the use of a machine is measured by.

    matrices    2 * inputs * outputs * tokens forward, the same again for the gradient of the input, from the first
                adapter up; of the frozen tower and projector forward only. An adapter: rank in place of one side, and
                both its own gradients besides.
    attention   4 * width * (pairs of a token and one it sees) a layer forward, twice that backward; tower forward only.

What is worked out again for gradient checkpointing is not counted, nor are norms, activations, softmax, the optimiser
and unpacking of quantised weights. Tokens that nothing depends on are left out as the model leaves them out. Knows
shapes alone: no model and no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from grounding.models.cogvlm import CogVLMConfig


class Row(NamedTuple):
    """A packed row: an image and so many prompts of `text` tokens, the last `labels` of them (never all) labels."""

    prompts: int
    text: int
    labels: int


class Flops(NamedTuple):
    """Operations in matrix products and in attention."""

    matrices: int
    attention: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.attention


class _Product(NamedTuple):
    """Tokens through a matrix; whether it has an adapter, and whether its input gets a gradient."""

    tokens: int
    inputs: int
    outputs: int
    adapted: bool = False
    back: bool = False

    def flops(self, rank: int) -> int:
        """Forward and backward."""
        own = 2 * self.tokens * self.inputs * self.outputs * (1 + self.back)
        if not self.adapted:
            return own
        # Forward through both matrices of the pair; their own gradients; back through the second, then the first.
        return own + 2 * self.tokens * rank * (3 * self.outputs + (2 + self.back) * self.inputs)


def step_flops(config: CogVLMConfig, row: Row, rank: int) -> Flops:
    """Forward and backward of a row, with LoRA pairs of this rank on all linear layers of both experts."""
    matrices = sum(product.flops(rank) for product in (*_tower(config), *_decoder(config, row)))
    vision, layers = config.vision, config.num_hidden_layers
    prefix, branch = config.image_token_count + 1, row.text - 1
    in_prefix = prefix * (prefix + 1) // 2
    in_branches = row.prompts * (branch * prefix + branch * (branch + 1) // 2)
    pairs = (layers - 1) * in_prefix + layers * in_branches  # the last layer's prefix is read by nobody
    tower = 4 * vision.hidden_size * vision.num_hidden_layers * (vision.patch_count + 1) ** 2
    return Flops(matrices, tower + 3 * 4 * config.hidden_size * pairs)


def _tower(config: CogVLMConfig) -> Iterator[_Product]:
    vision = config.vision
    patches, width, inner = vision.patch_count, vision.hidden_size, vision.intermediate_size
    yield _Product(patches, vision.in_channels * vision.patch_size**2, width)
    for _ in range(vision.num_hidden_layers):
        for inputs, outputs in ((width, 3 * width), (width, width), (width, inner), (inner, width)):
            yield _Product(patches + 1, inputs, outputs)
    wide, deep = config.hidden_size, config.intermediate_size
    for inputs, outputs in ((width, wide), (wide, deep), (wide, deep), (deep, wide)):
        yield _Product(patches, inputs, outputs)


def _decoder(config: CogVLMConfig, row: Row) -> Iterator[_Product]:
    width, inner = config.hidden_size, config.intermediate_size
    # boi and patches are the vision expert's. The last token of an answer predicts nothing.
    vision, language = config.vision.patch_count + 1, 2 + row.prompts * (row.text - 1)
    read = row.prompts * row.labels
    for layer in range(config.num_hidden_layers):
        last = layer == config.num_hidden_layers - 1
        for tokens, wanted in ((vision, 0 if last else vision), (language, read if last else language)):
            yield _Product(tokens, width, 3 * width, adapted=True, back=layer > 0)
            for inputs, outputs in ((width, width), (width, inner), (width, inner), (inner, width)):
                yield _Product(wanted, inputs, outputs, adapted=True, back=True)
    yield _Product(read, width, config.vocab_size, back=True)
