"""What was not plainly right, place by place, as JSON beside the manifest: for whoever mends the annotations.

The manifest has every count and the first few places of a reason; here are all that a tally remembers. Knows no sample.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from data_tools.reasons import REASONS
from data_tools.records import Tally
from grounding.samples import atomic_path

FINDINGS = "findings.json"


def write_findings(path: Path, tally: Tally) -> None:
    """Writes a list, one finding a line, by reason in the order of the table, under a temporary name first.

    Raises RunError where the file cannot be written.
    """
    lines = [
        msgspec.json.encode(
            {"reason": reason, "outcome": rule.outcome, "unit": rule.unit, "place": one.place, "found": one.found}
        )
        for reason, rule in REASONS.items()
        for one in tally.examples.get(reason, ())
    ]
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(b"[" + b",\n".join(lines) + b"]\n")
