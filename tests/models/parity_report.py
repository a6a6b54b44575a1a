"""Print the largest distance from the original CogVLM per quantity: python -m tests.models.parity_report"""

from __future__ import annotations

from itertools import chain

from tests.models.parity import ATTENTIONS, CASES, Case, preprocessing_distances


def main() -> None:
    """One line per quantity: largest absolute error, largest share of the tolerance, number of comparisons."""
    cases = (Case(name, attention).distances() for name in CASES for attention in ATTENTIONS)
    found: dict[str, list[tuple[float, float]]] = {}
    for one in chain(*cases, preprocessing_distances()):
        found.setdefault(one.quantity, []).append((one.error, one.share))
    print(f"{'quantity':<32}{'largest error':>16}{'of tolerance':>16}{'comparisons':>14}")
    for quantity, pairs in found.items():
        errors, shares = zip(*pairs, strict=True)
        print(f"{quantity:<32}{max(errors):>16.3g}{max(shares):>16.1%}{len(pairs):>14}")


if __name__ == "__main__":
    main()
