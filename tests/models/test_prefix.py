"""The cache of rows behind shared prefixes: what it holds, how it grows and forgets, and what a step sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from grounding.models.cogvlm.prefix import ROOM, PrefixCache, Prefixes, PrefixLayer

HEADS, WIDTH, PREFIX = 2, 4, 5


def states(rows: int, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(2, rows, HEADS, columns, WIDTH, generator=torch.Generator().manual_seed(seed)))  # type: ignore


def layer(padding: Tensor | None = None) -> PrefixLayer:
    """Two prefixes with one row each, then one with three."""
    first, second = states(2, PREFIX, 0), states(1, PREFIX, 1)
    empty = None if padding is None else torch.arange(int(padding.max())) < padding[:, None]
    made = PrefixCache([[Prefixes(*first, 1), Prefixes(*second, 3)]], empty).layers[0]
    assert isinstance(made, PrefixLayer)
    return made


def whole(part: int, own: Tensor) -> Tensor:
    """All keys (0) or values (1) of each row, put together by hand."""
    first, second = states(2, PREFIX, 0)[part], states(1, PREFIX, 1)[part]
    return torch.cat([torch.cat([first, second, second, second]), own], dim=2)


@pytest.mark.parametrize("padding", [None, torch.tensor([0, 2, 1, 0, 2])], ids=["full", "padded"])
def test_a_step_sees_what_whole_rows_hold(padding: Tensor | None) -> None:
    cache, (keys, values) = layer(padding), states(5, 3, 2)
    given_keys, given_values = cache.update(keys, values)
    torch.testing.assert_close(given_keys, whole(0, keys))
    torch.testing.assert_close(given_values, whole(1, values))
    for step in range(ROOM + 3):  # past the room of the beginning
        new_keys, new_values = states(5, 1, 3 + step)
        keys, values = torch.cat([keys, new_keys], dim=2), torch.cat([values, new_values], dim=2)
        rows, again = cache.update(new_keys, new_values)
        assert rows is again and cache.get_seq_length() == PREFIX + keys.shape[2]
        query = states(5, 1, 1000 + step)[0]
        mask = None
        if padding is not None:
            columns = torch.arange(-PREFIX, keys.shape[2])
            mask = ((columns < 0) | (columns >= padding[:, None]))[:, None, None]
        expected = torch.nn.functional.scaled_dot_product_attention(query, whole(0, keys), whole(1, values), mask)
        torch.testing.assert_close(rows.attend(query), expected.transpose(1, 2).flatten(2))


def test_forgetting_and_changing_places() -> None:
    cache, (keys, values) = layer(), states(5, 4, 2)
    cache.update(keys, values)
    cache.crop(-3)
    cache.crop(0)
    order = torch.tensor([0, 1, 4, 2, 3])
    cache.reorder_cache(order)
    more = states(5, 2, 3)
    given = cache.update(*more)
    for part, (start, end) in enumerate(zip((keys, values), more, strict=True)):
        torch.testing.assert_close(given[part], whole(part, torch.cat([start[order][:, :, :1], end], dim=2)))
    assert (cache.get_mask_sizes(1), cache.get_max_length()) == ((PREFIX + 4, 0), -1)
    for wrong in (1, -4):
        with pytest.raises(ValueError, match="cropped"):
            cache.crop(wrong)


def test_prefixes_are_not_copied_for_a_step() -> None:
    cache = layer()
    cache.update(*states(5, 1, 2))
    rows, _ = cache.update(*states(5, 1, 3))
    assert [one.keys.data_ptr() for one in rows.prefixes] == [one.keys.data_ptr() for one in cache.prefixes]
