"""Which tokens of a batch are real and which expert each goes to, worked out once per forward for all layers.

The decoder keeps its tokens as one list, vision tokens first, so that each expert reads one slice and padding costs
nothing. Only attention needs rows, and goes there and back. Knows nothing of what the experts compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from grounding.models.cogvlm.positions import vision_expert_mask


class TokenLayout(NamedTuple):
    """Where the N real tokens of a batch of B rows and T columns stand.

    `order` is int64[N], the place (row * T + column) of each token, the `vision` tokens of the vision expert first;
    None when every place holds a language token, in row order.
    """

    rows: int
    columns: int
    vision: int
    order: Tensor | None

    def to_tokens(self, values: Tensor) -> Tensor:
        """[B, T, ...] -> [N, ...], padding left out."""
        flat = values.flatten(0, 1)
        return flat if self.order is None else flat.index_select(0, self.order)

    def to_rows(self, tokens: Tensor) -> Tensor:
        """[N, ...] -> [B, T, ...], zeros at padding."""
        if self.order is None:
            return tokens.unflatten(0, (self.rows, self.columns))
        places = tokens.new_zeros(self.rows * self.columns, *tokens.shape[1:])
        return places.index_copy_(0, self.order, tokens).unflatten(0, (self.rows, self.columns))

    def route(
        self, tokens: Tensor, vision_expert: Callable[[Tensor], Tensor], language_expert: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Each token [N, ...] through its own expert; [N, ...].

        An expert without tokens still sees its empty slice, so that its parameters get a gradient of zero instead of
        none (distributed training waits for every parameter), and so that processes over which weights are spread ask
        for the same ones. Only a decoding step spares itself that.
        """
        if self.vision == 0 and self.columns == 1 and not torch.is_grad_enabled():
            return language_expert(tokens)
        vision_tokens, language_tokens = tokens.split([self.vision, len(tokens) - self.vision])
        return torch.cat([vision_expert(vision_tokens), language_expert(language_tokens)])

    def index_of(self, places: Tensor) -> Tensor:
        """Places (row * T + column) to indices into the token list; int64[M] -> int64[M].

        Raises:
            ValueError: a place holds padding.
        """
        if self.order is None:
            return places
        indices = torch.full((self.rows * self.columns,), -1, device=places.device)
        found = indices.index_copy_(0, self.order, torch.arange(len(self.order), device=places.device))[places]
        if bool((found < 0).any()):
            raise ValueError("a label stands right behind padding, where nothing predicts it")
        return found

    def last_columns(self, count: int, device: torch.device) -> tuple[Readers, TokenLayout]:
        """The tokens in the last so many columns as readers, and the layout of a list of them in [B, count] places."""
        places = torch.arange(self.rows * self.columns, device=device) if self.order is None else self.order
        column = places % self.columns - (self.columns - count)
        tokens = (column >= 0).nonzero().squeeze(1)
        readers = Readers(tokens, int((tokens < self.vision).sum()))
        order = (places // self.columns * count + column)[tokens]
        return readers, TokenLayout(self.rows, count, readers.vision, order)


class Readers(NamedTuple):
    """The tokens whose last state is read: in the last layer only they need more than a key and a value.

    `tokens` is int64[M], ascending indices into the token list, the first `vision` of them the vision expert's.
    """

    tokens: Tensor
    vision: int

    def narrowed(self, layout: TokenLayout) -> TokenLayout:
        """The layout by which a list of the readers alone is routed; it has no rows to go back to."""
        return layout._replace(vision=self.vision)


def token_layout(rows: int, columns: int, token_type_ids: Tensor | None, real: Tensor | None) -> TokenLayout:
    """The layout of a batch.

    Args:
        rows, columns: B and T.
        token_type_ids: int64[B, T], 1 at image positions; None when there is no image.
        real: bool[B, T], False at padding; None when there is none.
    """
    if columns == 1 or (token_type_ids is None and real is None):
        # A decoding step: its one token per row is text.
        return TokenLayout(rows, columns, 0, None)
    if token_type_ids is None:
        assert real is not None
        is_vision = torch.zeros_like(real)
    else:
        is_vision = vision_expert_mask(token_type_ids)
    is_language = ~is_vision
    if real is not None:
        is_vision, is_language = is_vision & real, is_language & real
    vision, language = is_vision.flatten().nonzero().squeeze(1), is_language.flatten().nonzero().squeeze(1)
    if len(language) == rows * columns:
        return TokenLayout(rows, columns, 0, None)
    return TokenLayout(rows, columns, len(vision), torch.cat([vision, language]))
