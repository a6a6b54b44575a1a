"""This CogVLM against measured numbers of the original, within the tolerances that the fixtures state."""

from __future__ import annotations

import pytest

from tests.models.parity import ATTENTIONS, CASES, Case, preprocessing_distances

ALWAYS = {"position ids", "expert mask", "hidden states", "logits", "loss", "gradients", "gradient norms"}
ALWAYS |= {"greedy tokens", "greedy step logits", "greedy until another eos", "left: greedy tokens of a batch"}
WITH_IMAGE = {"pixels", "patch embedding", "tower", "features"}
WITH_PADDING = {"left: position ids", "left: logits", "left: loss"}


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", CASES)
def test_case_is_within_tolerance(name: str, attention: str) -> None:
    distances = list(Case(name, attention).distances())
    expected = ALWAYS | ({"absent gradients"} if name == "text-only" else WITH_IMAGE)
    expected |= WITH_PADDING if name.startswith("batch") else set()
    assert {one.quantity for one in distances} == expected
    assert [one for one in distances if not one.share <= 1] == []


def test_preprocessing_is_within_tolerance() -> None:
    distances = list(preprocessing_distances())
    assert len(distances) == 5 * 4
    assert [one for one in distances if not one.share <= 1] == []
