"""A key-value cache for rows that stand behind shared prefixes: a prefix is kept once, however many rows read it.

Knows keys, values and which rows read which prefix; it does not know what a prefix is made of, nor ids or positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

ROOM = 64
"""Columns that a layer gets ready beyond those it needs, before it doubles: rows grow without a copy at every step."""


class Prefixes(NamedTuple):
    """Keys and values of G prefixes of P tokens in one layer, [G, H, P, d] each; how many rows read each of them."""

    keys: Tensor
    values: Tensor
    readers: int

    def for_rows(self) -> tuple[Tensor, Tensor]:
        """Keys and values once for each row, [G * readers, H, P, d]; with one prefix nothing is copied."""
        return _for_rows(self.keys, self.readers), _for_rows(self.values, self.readers)


class SharedRows(NamedTuple):
    """All that a decoding step of B rows sees in one layer.

    Attributes:
        prefixes: in the order of the rows; their rows together are B.
        keys, values: what the rows have of their own, [B, H, L, d].
        padding: bool[B, 1, 1, W], True where one of the first W <= L of these is padding; None where there is none.
    """

    prefixes: Sequence[Prefixes]
    keys: Tensor
    values: Tensor
    padding: Tensor | None

    def attend(self, query: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v of one query a row, [B, H, 1, d] -> [B, 1, H * d], softmax in float32.

        The queries of all rows behind one prefix meet its keys in one product, so that they are read once.
        """
        query = query * query.shape[-1] ** -0.5
        own = query @ self.keys.transpose(-1, -2)
        if self.padding is not None:
            own[..., : self.padding.shape[-1]].masked_fill_(self.padding, float("-inf"))
        by_prefix = list(zip(self.prefixes, self._split(query), strict=True))
        scores = [_to_rows(_to_prefixes(part, one) @ one.keys.transpose(-1, -2)) for one, part in by_prefix]
        weights = torch.cat([torch.cat(scores), own], dim=-1).softmax(-1, dtype=torch.float32).to(query.dtype)
        on_prefix, on_own = weights.split([weights.shape[-1] - own.shape[-1], own.shape[-1]], dim=-1)
        parts = zip(self.prefixes, self._split(on_prefix), strict=True)
        seen = torch.cat([_to_rows(_to_prefixes(part, one) @ one.values) for one, part in parts])
        return (seen + on_own @ self.values).transpose(1, 2).flatten(2)

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        return rows.split([len(one.keys) * one.readers for one in self.prefixes])


class PrefixLayer(CacheLayerMixin):
    """One layer: the prefixes, which stay as they are, and keys and values of the rows, which grow behind them."""

    is_croppable = True

    def __init__(self, prefixes: Sequence[Prefixes], padding: Tensor | None) -> None:
        super().__init__()
        self.prefixes, self.padding = prefixes, padding
        self.width, self.length = prefixes[0].keys.shape[2], 0
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for the rows, [B, H, T, d] each."""
        self.keys, self.values = _room(key_states, ROOM), _room(value_states, ROOM)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Take in [B, H, T, d] and give back what the tokens see: for one token a row `SharedRows`, twice, else keys
        and values [B, H, P + L, d], put together for this call."""
        if self.keys is None or self.values is None:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        if self.keys.shape[2] < self.length:
            more = max(self.length - self.keys.shape[2], self.keys.shape[2])
            self.keys, self.values = _room(self.keys, more), _room(self.values, more)
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        keys, values = self.keys[:, :, : self.length], self.values[:, :, : self.length]
        if key_states.shape[2] == 1:
            rows = SharedRows(self.prefixes, keys, values, self.padding)
            return rows, rows
        prefix_keys, prefix_values = zip(*(one.for_rows() for one in self.prefixes), strict=True)
        return _behind(prefix_keys, keys), _behind(prefix_values, values)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that a query sees once it is taken in, and where they start."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens a row has, prefix and padding included."""
        return self.width + self.length

    def get_max_length(self) -> int:
        """-1: there is no limit."""
        return -1

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens of every row; as in transformers, their number is given as a negative one."""
        if tokens_to_remove > 0 or self.length + tokens_to_remove < 0:
            raise ValueError(f"{tokens_to_remove} tokens cannot be cropped: give 0 to -{self.length}")
        self.length += tokens_to_remove
        self.padding = None if self.padding is None else self.padding[..., : self.length]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Rows change places among those behind the same prefix and with the same padding, as beams of a prompt do."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.index_select(0, beam_idx), self.values.index_select(0, beam_idx)


class PrefixCache(Cache):
    """A cache of rows behind prefixes of equal length.

    Args:
        layers: for each layer its prefixes, in the order of the rows.
        empty: as `leave_empty` takes it.
    """

    def __init__(self, layers: Sequence[Sequence[Prefixes]], empty: Tensor | None = None) -> None:
        super().__init__(layers=[PrefixLayer(prefixes, None) for prefixes in layers])
        if empty is not None:
            self.leave_empty(empty)

    def leave_empty(self, empty: Tensor) -> None:
        """Say which of the first W columns behind the prefix are padding, bool[B, W]; those behind them are not.

        A decoding step heeds it; for several tokens at once the attention mask says it.
        """
        padding = empty[:, None, None] if bool(empty.any()) else None
        for layer in self.layers:
            layer.padding = padding


def _for_rows(prefixes: Tensor, readers: int) -> Tensor:
    if len(prefixes) == 1:
        return prefixes.expand(readers, -1, -1, -1)
    return prefixes.repeat_interleave(readers, dim=0)


def _behind(prefixes: Sequence[Tensor], own: Tensor) -> Tensor:
    """[B, H, P + L, d]."""
    return torch.cat([prefixes[0] if len(prefixes) == 1 else torch.cat(list(prefixes)), own], dim=2)


def _room(states: Tensor, more: int) -> Tensor:
    """The states with so many more columns behind them, whose content is not set."""
    rows, heads, columns, width = states.shape
    room = states.new_empty(rows, heads, columns + more, width)
    room[:, :, :columns] = states
    return room


def _to_prefixes(rows: Tensor, prefixes: Prefixes) -> Tensor:
    """[G * readers, H, 1, n] -> [G, H, readers, n]."""
    return rows.squeeze(2).unflatten(0, (-1, prefixes.readers)).transpose(1, 2)


def _to_rows(by_prefix: Tensor) -> Tensor:
    """[G, H, readers, n] -> [G * readers, H, 1, n]."""
    return by_prefix.transpose(1, 2).flatten(0, 1).unsqueeze(2)
