"""How long does report.html take to open, and to filter, when it lists many samples? In a real browser, to the frame.

The page is made as `grounding benchmark` makes it, of random boxes on random pictures. Opening is from the navigation
to the first frame with the gallery drawn; each step from the event to the first frame behind it. The best of some
rounds: other programs can only make it slower.

    python -m benchmarks.report_page [SAMPLES]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.browser import browser
from benchmarks.scoring import drawn
from benchmarks.timing import report
from grounding.evaluation.evaluate import evaluate
from grounding.evaluation.predictions import Prediction
from grounding.evaluation.report.write import write_report
from grounding.samples import Sample

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

SAMPLES, PICTURED, ROUNDS = 10_000, 1_000, 5
COARSE = 28  # pixels of a picture that one drawn colour covers
ABOUT = {
    "data": {"file": "drawn.jsonl", "name": "drawn.jsonl", "samples_in_file": SAMPLES, "limit": None},
    "answers": {"name": "drawn answers"},
    "settings": {},
    "versions": {},
}
# Milliseconds from what is done to the first frame behind it.
TO_THE_FRAME = """
const told = arguments[arguments.length - 1], started = performance.now();
{do}
requestAnimationFrame(() => setTimeout(() => told(performance.now() - started)));
"""
# Run in the page before its own script.
NOTE_THE_FRAME = """
addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(() => performance.mark("drawn"))));
"""
DRAWN = "return performance.getEntriesByName('drawn').length"
TIMES = """
const at = (name) => performance.getEntriesByName(name)[0].startTime;
return { "open": at("drawn"), "of that, the gallery's script": at("gallery") - at("listing") };
"""
FIELD = """
const field = document.getElementById("filters").elements["{name}"];
field.value = "{value}";
field.dispatchEvent(new Event("input", {{ bubbles: true }}));
"""
STEPS = {
    "an outcome": 'document.querySelector(".chips button[value=partly]").click();',
    "all outcomes": 'document.querySelector(".chips button").click();',
    "a class": FIELD.format(name="class", value="class 7"),
    "all classes": FIELD.format(name="class", value=""),
    "a text, first time": FIELD.format(name="q", value="class 33"),
    "another text": FIELD.format(name="q", value="train2017/000000001"),
    "no text": FIELD.format(name="q", value=""),
    "IoU from 0.4": FIELD.format(name="from", value="0.4"),
    "by class": FIELD.format(name="sort", value="class"),
    "by IoU": FIELD.format(name="sort", value="iou"),
    "the larger view": 'document.querySelector(".card .open").click();',
    "the next one": 'document.querySelectorAll("#view button")[1].click();',
}


def write_pictures(folder: Path, samples: list[Sample], seed: int = 0) -> None:
    """A picture for each image of the samples: coarse noise made smooth, with thumbnails as large as photographs'."""
    rng = np.random.default_rng(seed)
    for sample in {sample.image: sample for sample in samples}.values():
        path = folder / str(sample.image)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert sample.width is not None and sample.height is not None
        coarse = rng.integers(0, 256, (sample.height // COARSE, sample.width // COARSE, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((sample.width, sample.height), Image.Resampling.BICUBIC).save(path, quality=80)


def write_page(folder: Path, count: int) -> Path:
    """The report of so many drawn samples; the path of its page."""
    samples, texts = zip(*drawn(count), strict=True)
    write_pictures(folder / "images", list(samples))
    predictions = [Prediction(id=sample.id, text=text) for sample, text in zip(samples, texts, strict=True)]
    evaluation = evaluate(samples, predictions)
    write_report(folder / "report", evaluation, image_root=folder / "images", about=ABOUT, cards=PICTURED)
    return folder / "report" / "report.html"


def opened_and_filtered(opened: Chrome, page: Path) -> dict[str, float]:
    """Milliseconds of each thing done, once."""
    from selenium.webdriver.support.ui import WebDriverWait

    opened.get("about:blank")
    opened.get(page.as_uri())
    WebDriverWait(opened, 30).until(lambda page: page.execute_script(DRAWN))
    taken: dict[str, float] = opened.execute_script(TIMES)
    for name, action in STEPS.items():
        taken[name] = float(opened.execute_async_script(TO_THE_FRAME.replace("{do}", action)))
    return taken


def main(count: int = SAMPLES) -> None:
    with tempfile.TemporaryDirectory() as name, browser() as opened:
        page = write_page(Path(name), count)
        opened.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE_THE_FRAME})
        rounds = [opened_and_filtered(opened, page) for _ in range(ROUNDS)]
        version = str(opened.capabilities["browserVersion"])
        size = page.stat().st_size / 1e6
    taken = {step: [one[step] for one in rounds] for step in rounds[0]}
    results = {step: {"best_ms": min(times), "worst_ms": max(times)} for step, times in taken.items()}
    settings = {"samples": count, "pictured": PICTURED, "page_mb": size, "chromium": version}
    report("report_page", "A report page in a browser", settings, results, ("numpy", "jinja2", "selenium"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
