"""The best checkpoint: grec_50 first, ties by loss, ties of both by time; and when patience ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grounding.training.choice import SCORE, best_step, checkpoint_score, evaluations_since_best

N = 5000
RIGHT = st.integers(0, N)
LOSS = st.floats(0, 20).map(lambda loss: round(loss, 6))


@given(first=st.tuples(RIGHT, LOSS), second=st.tuples(RIGHT, LOSS))
def test_the_score_orders_by_grec_then_by_loss(first: tuple[int, float], second: tuple[int, float]) -> None:
    scores = [checkpoint_score(right / N, loss) for right, loss in (first, second)]
    expected = (first[0], -first[1]) > (second[0], -second[1])
    assert (scores[0] > scores[1]) == expected
    assert (scores[0] == scores[1]) == (first == second)


def history(*scores: float) -> list[dict[str, float]]:
    """A log with other entries between the evaluations."""
    entries: list[dict[str, float]] = []
    for number, score in enumerate(scores, start=1):
        entries += [{"loss": 1.0, "step": 10 * number}, {SCORE: score, "step": 10 * number}]
    return entries


def test_the_first_of_equals_is_the_best() -> None:
    assert best_step(history(0.1, 0.4, 0.4, 0.2)) == 20
    assert evaluations_since_best(history(0.1, 0.4, 0.4, 0.2)) == 2
    assert evaluations_since_best(history(0.1, 0.2)) == 0


def test_nothing_evaluated_has_no_best() -> None:
    assert best_step([{"loss": 1.0, "step": 3}]) is None
    assert evaluations_since_best([]) == 0
