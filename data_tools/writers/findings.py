"""What was not plainly right, place by place, as JSON Lines beside the manifest: for whoever mends the annotations.

The manifest has every count and the first few places of a reason; here are all that a tally remembers. Knows no sample.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from data_tools.reasons import REASONS
from data_tools.records import Tally
from grounding.samples import atomic_path

FINDINGS = "findings.jsonl"


def write_findings(path: Path, tally: Tally) -> None:
    """Writes one finding a line, by reason in the order of the table, under a temporary name first; also none at all.

    Raises RunError where the file cannot be written.
    """
    encoder = msgspec.json.Encoder()
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        for reason, rule in REASONS.items():
            for finding in tally.examples.get(reason, ()):
                about = {"reason": reason, "outcome": rule.outcome, "unit": rule.unit}
                file.write(encoder.encode({**about, "place": finding.place, "found": finding.found}) + b"\n")
