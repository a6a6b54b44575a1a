"""What was not plainly right, place by place, as JSON beside the manifest: for whoever mends the annotations.

The manifest has every count and the first few places of a reason; here are all that a tally remembers. Knows no sample.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from data_tools.reasons import REASONS, unit_of
from data_tools.records import Tally
from grounding.samples import atomic_path

FINDINGS = "findings.json"


def write_findings(path: Path, tally: Tally, *, in_tiles: bool = False) -> None:
    """Writes a list, one finding a line, by reason in the order of the table, under a temporary name first.

    `in_tiles`: the set is of tiles, and what is met in several of them is counted in each. Raises RunError where the
    file cannot be written.
    """
    lines = [
        msgspec.json.encode(
            {
                "reason": reason,
                "outcome": rule.outcome,
                "unit": unit_of(reason, in_tiles=in_tiles),
                "place": one.place,
                "found": one.found,
            }
        )
        for reason, rule in REASONS.items()
        for one in tally.examples.get(reason, ())
    ]
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(b"[" + b",\n".join(lines) + b"]\n")
