"""Branches behind a shared prefix: packed rows are separate rows, for losses, logits and every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from grounding.models.cogvlm.experts import token_layout
from grounding.models.cogvlm.joined import attend_behind
from grounding.models.cogvlm.positions import branch_position_ids
from grounding.models.cogvlm.processor import Encoded
from grounding.models.cogvlm.visibility import branch_sight
from grounding.models.loading import LoadedModel, build_model


def packed(tiny: LoadedModel, groups: list[list[Encoded]]) -> dict[str, Tensor]:
    """Several answers behind one prefix per row: [prefix][rest of the first][rest of the second]..."""
    rows: list[dict[str, list[int]]] = []
    for group in groups:
        prefix = 1 + sum(group[0].token_type_ids)
        row = {"input_ids": group[0].input_ids[:prefix], "token_type_ids": group[0].token_type_ids[:prefix]}
        row |= {"labels": [-100] * prefix, "branch_ids": [0] * prefix}
        for number, one in enumerate(group, start=1):
            row["input_ids"] += one.input_ids[prefix:]
            row["token_type_ids"] += one.token_type_ids[prefix:]
            row["labels"] += (one.labels or [])[prefix:]
            row["branch_ids"] += [number] * (len(one) - prefix)
        rows.append(row)
    width = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": 0, "token_type_ids": 0, "labels": -100, "branch_ids": -1}
    return {
        name: torch.tensor([row[name] + [value] * (width - len(row[name])) for row in rows])
        for name, value in fill.items()
    }


def gradients(model: nn.Module, *losses: Tensor) -> dict[str, Tensor]:
    """Gradients by name of the sum of losses, each propagated by itself; an absent one counts as zero."""
    model.zero_grad(set_to_none=True)
    for loss in losses:
        loss.backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """For each tensor ||difference|| <= 1e-5 ||expected||, or 1e-7 where that is zero."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        norm, difference = float(value.norm()), float((found[name] - value).norm())
        assert difference <= (1e-5 * norm if norm else 1e-7), (name, difference, norm)


QUERIES = [["Where is the dog?", "cat?", "2"], ["汽车"], ["what", "no image here"]]
IMAGES = [True, True, False]


def groups_of(tiny: LoadedModel, queries: list[list[str]]) -> list[list[Encoded]]:
    """Rows of branches of unequal lengths; the last row has no image."""
    return [
        [tiny.processor.encode(query, has_image=image, answer=f"[[{len(query):03}]]") for query in group]
        for group, image in zip(queries, IMAGES, strict=True)
    ]


def separate_losses(model: nn.Module, tiny: LoadedModel, groups: list[list[Encoded]], pixels: Tensor) -> list[Tensor]:
    """Each sequence as a row of its own, with logits everywhere."""
    losses = []
    for image, group in zip([pixels[:1], pixels[1:2], None], groups, strict=True):
        losses += [model(**tiny.processor.pad([one]), pixel_values=image, num_items_in_batch=1).loss for one in group]
    return losses


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("queries", [QUERIES, [["Where is the dog?", "", "2", ""], ["汽车"], ["what", ""]]])
@pytest.mark.parametrize("kind", ["full", "checkpointing", "lora"])
def test_packed_is_separate(
    architecture: dict[str, Any],
    tiny: LoadedModel,
    pixels: Tensor,
    attention: str,
    queries: list[list[str]],
    kind: str,
) -> None:
    """Several branches a row, one row without an image, padding; whole and accumulated over two calls; an empty prompt,
    whose answer the prefix itself predicts."""
    model: Any = build_model(architecture, tiny.processor, seed=3, attention=attention, device="cpu").model.train()
    if kind == "checkpointing":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if kind == "lora":
        targets = r".*layers.*(expert_query_key_value|expert_dense|gate_proj|up_proj|down_proj)|.*attention\.dense"
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=4, target_modules=targets, init_lora_weights=False))
    groups = groups_of(tiny, queries)
    apart = separate_losses(model, tiny, groups, pixels)
    expected = gradients(model, *apart)
    whole, first, rest = packed(tiny, groups), packed(tiny, groups[:1]), packed(tiny, groups[1:])
    for saving in (True, False):
        options = {"num_items_in_batch": 1, "label_logits_only": saving}
        together = model(**whole, pixel_values=pixels[:2], **options).loss
        torch.testing.assert_close(together, torch.stack(apart).sum(), rtol=1e-6, atol=0)
        assert_same_gradients(gradients(model, together), expected)
        parts = [
            model(**first, pixel_values=pixels[:1], **options).loss,
            model(**rest, pixel_values=pixels[1:2], **options).loss,
        ]
        assert_same_gradients(gradients(model, *parts), expected)


def test_label_logits_of_branches_are_those_of_single_rows(tiny: LoadedModel, pixels: Tensor) -> None:
    groups = groups_of(tiny, QUERIES)
    found = tiny.model(**packed(tiny, groups), pixel_values=pixels[:2], label_logits_only=True).logits
    expected = []
    for image, group in zip([pixels[:1], pixels[1:2], None], groups, strict=True):
        for one in group:
            row = {**tiny.processor.pad([one]), "pixel_values": image}
            expected.append(tiny.model(**row, label_logits_only=True).logits)
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-5, rtol=1e-4)


def dense_visibility(branch_ids: Tensor) -> Tensor:
    """The rule as a mask: query i sees key j when j <= i and j's branch is 0 or i's own; bool[B, T, T]."""
    query, key = branch_ids[:, :, None], branch_ids[:, None, :]
    causal = torch.ones(branch_ids.shape[1], branch_ids.shape[1], dtype=torch.bool).tril()
    return causal & ((key == 0) | (key == query)) & (query >= 0)


BRANCHES = [
    [[0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -1], [0, 1, 1, 2, 2, 3, 3, 3, -1, -1, -1]],
    [[0, 1, 2, 1, 2, 2]],  # interleaved
    [[1, 1, 2]],  # nothing shared
    [[0, 0, 0]],  # nothing but a prefix
    [[0, 0, -1, -1], [1, -1, -1, 3]],
]


@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize("joined", [False, True])
def test_blocks_see_what_the_rule_says(branches: list[list[int]], joined: bool) -> None:
    """Attention over blocks is attention over everything with the rule as its mask, forward and backward."""
    branch_ids = torch.tensor(branches)
    rows, columns = branch_ids.shape
    layout = token_layout(rows, columns, None, branch_ids >= 0)
    heads = torch.randn(int((branch_ids >= 0).sum()), 3, 2, 4, generator=torch.Generator().manual_seed(0))
    heads.requires_grad_()

    def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        scores = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).masked_fill(~mask, -1e9)
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)

    def gradient_of(attended: Tensor) -> Tensor:
        weights = torch.linspace(-1, 1, attended.numel()).reshape(attended.shape)
        return torch.autograd.grad((attended * weights).sum(), heads)[0]

    sight = branch_sight(branch_ids, layout, lambda _: None, joined=joined)
    query, key, value = layout.to_rows(heads).permute(2, 0, 3, 1, 4).unbind(0)
    expected = layout.to_tokens(kernel(query, key, value, dense_visibility(branch_ids)[:, None]))
    attended = sight.attend(heads, kernel, None, 0)
    torch.testing.assert_close(attended, expected)
    torch.testing.assert_close(gradient_of(attended), gradient_of(expected))
    in_branch = layout.to_tokens(branch_ids) > 0
    unread = sight.read_by(in_branch.nonzero().squeeze(1)).attend(heads, kernel, None, 0)
    torch.testing.assert_close(unread[in_branch], expected[in_branch])
    assert not unread[~in_branch].any()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-14), (torch.bfloat16, 0.02)]
)
def test_joined_attention_is_one_softmax(dtype: torch.dtype, tolerance: float) -> None:
    """Over prefix and branch together, with scores so far apart that one part may hold nearly all of the weight."""
    draw = torch.Generator().manual_seed(1)
    shapes = {"prefix_key": (2, 7, 8), "prefix_value": (2, 7, 8)}
    shapes |= dict.fromkeys(("query", "key", "value"), (3, 2, 5, 8))
    tensors = {name: 3 * torch.randn(*shape, generator=draw) for name, shape in shapes.items()}
    exact = {name: tensor.to(dtype).double().requires_grad_() for name, tensor in tensors.items()}
    rounded = {name: tensor.to(dtype).requires_grad_() for name, tensor in tensors.items()}
    scores = exact["query"] @ torch.cat([exact["prefix_key"].expand(3, -1, -1, -1), exact["key"]], 2).mT * 8**-0.5
    scores = scores.masked_fill(torch.ones(5, 12, dtype=torch.bool).triu(8), float("-inf"))
    expected = scores.softmax(-1) @ torch.cat([exact["prefix_value"].expand(3, -1, -1, -1), exact["value"]], 2)
    found = attend_behind(**rounded)
    weights = torch.randn(found.shape, generator=draw, dtype=torch.float64)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    assert found.dtype == dtype
    for name in shapes:
        wanted, got = exact[name].grad, rounded[name].grad
        assert wanted is not None and got is not None
        assert float((got.double() - wanted).norm()) <= tolerance * float(wanted.norm()), name
    assert float((found.double() - expected).detach().norm()) <= tolerance * float(expected.detach().norm())


def test_a_prefix_behind_a_branch_is_refused() -> None:
    branch_ids = torch.tensor([[0, 1, 0, 1]])
    with pytest.raises(ValueError, match="before all branches"):
        branch_sight(branch_ids, token_layout(1, 4, None, branch_ids >= 0), lambda _: None)
    with pytest.raises(ValueError, match="numbered 1 to K"):
        branch_sight(branch_ids * 9, token_layout(1, 4, None, branch_ids >= 0), lambda _: None)


def test_the_last_layer_works_for_the_readers_alone(tiny: LoadedModel, pixels: Tensor) -> None:
    """Its language MLP sees the predictors of labels, its vision MLP nothing; the layers before what these can see."""
    group = groups_of(tiny, QUERIES)[0]
    seen: list[tuple[str, int]] = []
    for number, layer in enumerate(tiny.model.model.layers):
        for name in ("vision_mlp", "language_mlp"):
            getattr(layer.mlp, name).register_forward_hook(
                lambda _, inputs, __, name=f"{number}.{name}": seen.append((name, len(inputs[0])))
            )
    batch = packed(tiny, [group])
    labels = int((batch["labels"] != -100).sum())
    columns, patches = batch["input_ids"].shape[1], tiny.processor.image_token_count - 1
    tiny.model(**batch, pixel_values=pixels[:1], label_logits_only=True).loss.backward()
    assert dict(seen) == {
        "0.vision_mlp": patches,
        "0.language_mlp": columns - patches - len(group),  # the end of an answer predicts nothing
        "1.vision_mlp": 0,
        "1.language_mlp": labels,
    }
    for name, parameter in tiny.model.model.layers[1].mlp.vision_mlp.named_parameters():
        assert parameter.grad is not None and not parameter.grad.any(), name


def test_a_label_that_nothing_predicts_is_refused(tiny: LoadedModel) -> None:
    ids = torch.tensor([[0, 1, 5, 6]])
    row = {"input_ids": ids, "attention_mask": torch.tensor([[0, 1, 1, 1]]), "labels": torch.tensor([[-100, 1, 5, 6]])}
    with pytest.raises(ValueError, match="behind padding"):
        tiny.model(**row, label_logits_only=True)


def test_branch_positions() -> None:
    types = torch.tensor([[0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 11])
    branches = torch.tensor([[0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -1], [0, 1, 1, 2, 2, 3, 3, 3, -1, -1, -1]])
    assert branch_position_ids(types, branches).tolist() == [
        [0, 1, 2, 2, 2, 3, 4, 5, 4, 0, 0],
        [0, 1, 2, 1, 2, 1, 2, 3, 0, 0, 0],
    ]
