"""Does a label say what its sample's boxes say? Knows samples and the box text; it does not know a model.

Both `finetune`, before its first step, and `validate` ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grounding.counted import counted
from grounding.samples import Sample
from grounding.text import read_boxes, to_grid


def label_problems(sample: Sample, not_found: Mapping[str, str]) -> Iterator[str]:
    """Where a sample asks for boxes: the label, read back, must be its boxes, or the not-found sentence for none.

    Args:
        not_found: the not-found sentence by language, as a dataset's manifest has it.
    """
    if sample.boxes is None:
        return
    reading = read_boxes(sample.label, not_found)
    if not sample.boxes:
        if not reading.not_found:
            yield f"`boxes` is empty, but its label {sample.label!r} is none of the not-found sentences {not_found}"
        return
    if reading.not_found:
        yield f"it has {counted(len(sample.boxes), 'box', 'boxes')}, but its label says that nothing was found"
    elif reading.refusals:
        reasons = ", ".join(dict.fromkeys(refusal.reason for refusal in reading.refusals))
        yield f"its label {sample.label!r} cannot be read ({reasons})"
    elif sample.width and sample.height:
        cells, _ = to_grid(sample.boxes, (sample.width, sample.height))
        if sorted(map(tuple, cells)) != sorted(map(tuple, reading.xyxy_grid)):
            yield f"its label {sample.label!r} does not say its `boxes`, which are {cells.tolist()} on the grid"
