"""All styles: one that reserves marks refuses samples that hold them, and convert counts those."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_tools.convert import Options, convert
from data_tools.records import Finding
from data_tools.writers import STYLES, style_named, writable
from data_tools.writers.llama_factory import to_line
from grounding.errors import InputError
from tests.data_tools.annotated import coco_box, coco_file, coco_image
from tests.samples.making import TEXT, make


@pytest.mark.parametrize("style", ["swift", "llama-factory"])
@pytest.mark.parametrize(
    "said", [{"prompt": "a <image>"}, {"label": "<video>"}, {"history": [("a", "b"), ("<audio>", "d")]}]
)
def test_a_sample_whose_words_would_be_read_anew_is_refused_and_counted(style: str, said: dict[str, str]) -> None:
    spoilt, plain = make(id="spoilt", **said), make(id="plain")
    findings: list[Finding] = []
    assert list(writable([spoilt, plain], STYLES[style], findings)) == [plain]
    assert [(finding.reason, finding.place) for finding in findings] == [("mark_in_words", "spoilt")]


@pytest.mark.parametrize("style", ["pairs", "conversations", "parquet"])
def test_other_styles_say_everything(style: str) -> None:
    sample = make(prompt="<image> <bbox>")
    findings: list[Finding] = []
    assert list(writable([sample], STYLES[style], findings)) == [sample]
    assert not findings


def test_an_unknown_style_is_told() -> None:
    with pytest.raises(InputError, match="there is no style 'yaml'; there are pairs, conversations, swift"):
        style_named("yaml")


def test_a_line_as_llama_factory_documents_it() -> None:
    line = to_line(make(history=[("Is there a dog?", "Yes.")]))
    assert [message["from"] for message in line["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert line["conversations"][0]["value"] == "<image>\nIs there a dog?"
    assert line["conversations"][-1]["value"] == make().label
    assert line["images"] == ["dogs/1.jpg"]
    assert to_line(make(**TEXT)) == {
        "conversations": [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello."}],
        "images": [],
    }


@pytest.mark.parametrize("style", ["swift", "llama-factory"])
def test_convert_writes_the_style_and_counts_what_it_cannot_say(tmp_path: Path, style: str) -> None:
    boxes = [coco_box(n, c, [4, 5, 20, 10]) for n in (1, 2) for c in (1, 2)]
    source = coco_file(tmp_path / "set", [coco_image(1), coco_image(2)], boxes, ("cat", "<image>"), draw=True)
    made = convert([("train", source)], tmp_path / "out", Options(style=style, negatives=0))
    assert [sample.category for sample in made.samples["train"]] == ["cat", "cat"]
    assert made.manifest.refusals == {"mark_in_words": 2}
    assert made.manifest.counts["samples"] == 2
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [["1.png"], ["2.png"]]
    text = json.dumps([line.get("messages") or line["conversations"] for line in lines])
    assert text.count("<image>") == 2
