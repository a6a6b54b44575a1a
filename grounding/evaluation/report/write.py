"""Writes the report folder: all of it is made under a temporary name first and then put in its place, file by file.

Knows an evaluation and what is said about it; does not know models or the command line.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from grounding import __version__
from grounding.errors import RunError
from grounding.evaluation.evaluate import Evaluation
from grounding.evaluation.intervals import FEW, RESAMPLES
from grounding.evaluation.metrics import OUTCOMES
from grounding.evaluation.parse import STATUSES
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.report.gallery import Gallery, make_gallery
from grounding.evaluation.report.limits import MOST_PICTURED
from grounding.evaluation.report.listing import listing
from grounding.evaluation.report.long_form import write_metrics_csv
from grounding.evaluation.report.markdown import report_markdown
from grounding.evaluation.report.page import render_page
from grounding.evaluation.report.rows import sample_rows
from grounding.page.thumbnails import FILES

LIBRARIES = ("numpy", "scipy")


def write_report(
    out: Path,
    evaluation: Evaluation,
    *,
    image_root: Path,
    about: Mapping[str, Any],
    cards: int = MOST_PICTURED,
    lang: str = "en",
    follow_links: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Writes `report.json`, `samples.jsonl`, `report.html`, `report.md`, `metrics.csv` and, for pictures beyond 300,
    `report_files/` into a folder.

    Files of an earlier report there are replaced, other files are left alone. Images are only needed for the gallery:
    those that are missing are named in the report.

    Args:
        out: the folder; made if need be.
        about: `data` (file, sha256, samples_in_file, limit, ...), `answers` (model, adapter, predictions, decoding,
            ...), `settings` and `versions`, and, where there are some, `also` (sets that rode along) and `command`, as
            they are to stand in report.json.
        cards: samples that have their picture in the gallery, which lists up to 20,000.
        lang: of the words of report.html, one of `samples.LANGUAGES`.
        progress: called with 1 for each sample pictured.

    Returns:
        What report.json holds.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as name:
            staging = Path(name)
            gallery = make_gallery(
                evaluation, image_root, staging, most=cards, follow_links=follow_links, progress=progress
            )
            report = summarise(evaluation, about, gallery)
            write_rows(staging / "samples.jsonl", evaluation)
            text = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
            (staging / "report.json").write_text(text, encoding="utf-8", newline="\n")
            (staging / "report.md").write_text(
                report_markdown(report), encoding="utf-8", newline="\n", errors="replace"
            )
            write_metrics_csv(staging / "metrics.csv", report)
            page = render_page(report, listing(evaluation, gallery), gallery.thumbnails, lang=lang)
            (staging / "report.html").write_text(page, encoding="utf-8", newline="\n", errors="replace")
            _put_in_place(staging, out)
    except OSError as error:
        raise RunError(
            f"{error.filename or out}: the report could not be written: {error.strerror or error}."
        ) from error
    return report


def write_rows(path: Path, evaluation: Evaluation) -> None:
    """One line a sample, as they are made."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        file.writelines(encoder.encode(row) + b"\n" for row in sample_rows(evaluation))


def summarise(evaluation: Evaluation, about: Mapping[str, Any], gallery: Gallery | None = None) -> dict[str, Any]:
    """What report.json holds."""
    samples, predictions = evaluation.samples, Counter(map(_kind, evaluation.predictions))
    outcomes = Counter(evaluation.outcome)
    statuses = Counter(evaluation.scored.status.tolist())
    versions = {"python": platform.python_version(), "grounding": __version__}
    versions |= {name: version(name) for name in LIBRARIES}
    return {
        "metrics": evaluation.metrics,
        "constrained_predictions": predictions["constrained"],
        "missing_predictions": predictions["missing"],
        "protocol": {"name": evaluation.protocol.name, "changes": list(evaluation.protocol.changes)},
        "dialect": {"name": evaluation.dialect.name, "form": evaluation.dialect.form},
        "default_metrics": evaluation.default_metrics,
        "perfect_answers": evaluation.perfect,
        "statuses": {name: statuses[name] for name in STATUSES},
        "outcomes": {name: outcomes[name] for name in OUTCOMES},
        "breakdowns": evaluation.breakdowns,
        "place_map": evaluation.place_map,
        "mistakes": evaluation.mistakes,
        "confusion": evaluation.confusion,
        "average_precision": evaluation.average_precision,
        "calibration": evaluation.calibration,
        "other_tasks": evaluation.other_tasks,
        "curve": evaluation.curve,
        "histogram": evaluation.histogram,
        "data": {
            **about["data"],
            "samples": len(samples),
            "images": len({sample.image for sample in samples if sample.image is not None}),
            "present": int((evaluation.scored.truth.count > 0).sum()),
            "absent": int((evaluation.scored.truth.count == 0).sum()),
            "true_boxes": len(evaluation.scored.truth.boxes),
        },
        "answers": about["answers"],
        "command": about.get("command"),
        "settings": about["settings"],
        "also": about.get("also", {}),
        "intervals": {"level": 0.95, "resamples": RESAMPLES, "wilson_below": FEW},
        "versions": {**versions, **about["versions"]},
        "pictures": _pictures(gallery),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _pictures(gallery: Gallery | None) -> dict[str, Any]:
    """What of the samples is on the page, and which pictures are not."""
    if gallery is None:
        return {"samples_listed": 0, "samples_pictured": 0, "inside": 0, "beside": 0, "missing": {}}
    return {
        "samples_listed": len(gallery.places),
        "samples_pictured": sum(key is not None for key in gallery.pictures),
        "inside": len(gallery.thumbnails.inside),
        "beside": len(gallery.thumbnails.beside),
        "missing": gallery.thumbnails.missing,
    }


def _kind(prediction: Prediction | None) -> str:
    """Missing, constrained or free."""
    if prediction is None:
        return "missing"
    return "constrained" if prediction.constrained else "free"


def _put_in_place(staging: Path, out: Path) -> None:
    """Moves what was made to its final names; the page last, since it is what people open."""
    pictures = out / FILES
    if pictures.exists():
        pictures.rename(staging / "replaced")
    if (staging / FILES).exists():
        (staging / FILES).rename(pictures)
    for name in ("samples.jsonl", "report.json", "report.md", "metrics.csv", "report.html"):
        (staging / name).replace(out / name)
    shutil.rmtree(staging / "replaced", ignore_errors=True)
