"""Rows that prompts share: each prompt once, within the budget, and a run that learns the same as with rows apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.errors import InputError, ManyErrors
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.loading import build_model
from grounding.models.tokenizers import train_tokenizer
from grounding.samples import TASKS, Sample, read_samples
from grounding.settings import DataSource, FinetuneSettings, read_settings
from grounding.training.collate import collator
from grounding.training.dataset import Example, SampleDataset, picture_numbers, read_sources
from grounding.training.packing import pack, row_length, rows_of
from grounding.training.run import run
from tests.training.conftest import ARCHITECTURE, MakeSettings


@pytest.fixture(scope="module")
def processor() -> CogVLMProcessor:
    return CogVLMProcessor(train_tokenizer(["Where is red circle?"], 320), 28, 14, template_version="chat")


@pytest.fixture(scope="module")
def examples(scenes: Path, processor: CogVLMProcessor) -> list[Example]:
    """Two prompts about each of three images, one of them with an earlier turn, and two texts."""
    samples = read_samples(scenes / "train.jsonl")
    fields = {name: getattr(samples[0], name) for name in samples[0].__struct_fields__}
    samples[0] = Sample(**(fields | {"history": [("Is there a circle?", "yes")]}))
    dataset = SampleDataset(samples, scenes, processor)
    return [dataset[index] for index in range(len(dataset))]


@given(order=st.permutations(range(8)), budget=st.integers(1, 400))
def test_rows_hold_every_example_once_within_the_budget(examples: list[Example], order: list[int], budget: int) -> None:
    rows = rows_of([examples[index] for index in order], budget)
    assert sorted(id(example) for row in rows for example in row) == sorted(map(id, examples))
    for row in rows:
        assert len({example.picture for example in row}) == 1
        assert row_length(row) <= budget or len(row) == 1
    if budget == 400:
        assert len(rows) == 4  # three images, and the texts


def test_a_packed_row_has_the_tokens_of_its_examples(examples: list[Example], processor: CogVLMProcessor) -> None:
    rows = rows_of(examples, 2048)
    batch = pack(rows, processor)
    assert max(map(row_length, rows)) == batch["input_ids"].shape[1]
    for number, row in enumerate(rows):
        assert int((batch["branch_ids"][number] >= 0).sum()) == row_length(row)
        for branch, example in enumerate(row, start=1):
            mine = (batch["branch_ids"][number] == 0) | (batch["branch_ids"][number] == branch)
            encoded = example.encoded
            for name in ("input_ids", "token_type_ids", "labels"):
                assert batch[name][number][mine].tolist() == getattr(encoded, name)
            tasks = batch["tasks"][number][batch["branch_ids"][number] == branch]
            assert set(tasks.tolist()) == {TASKS.index(example.task)}


def test_an_image_is_opened_once_a_row(
    examples: list[Example], processor: CogVLMProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = CogVLMProcessor.preprocess_image
    monkeypatch.setattr(
        CogVLMProcessor, "preprocess_image", lambda self, image: opened.append(1) or original(self, image)
    )
    batches = collator(processor, rows_at_once=3, pack_tokens=2048)(examples)
    assert [len(batch["input_ids"]) for batch in batches] == [3, 1]
    assert len(opened) == 3 and len(batches[0]["pixel_values"]) == 3 and not len(batches[1]["pixel_values"])


def test_where_nothing_is_shared_there_is_no_mask(examples: list[Example], processor: CogVLMProcessor) -> None:
    (batch,) = collator(processor, pack_tokens=2048)([examples[0], examples[2], examples[6]])
    assert "branch_ids" not in batch and "attention_mask" in batch


def test_packed_batches_have_the_gradients_of_single_ones(examples: list[Example], processor: CogVLMProcessor) -> None:
    """As a trainer accumulates them: packed, two rows at once, against a call for each example."""
    found = []
    for options in ({"rows_at_once": 2, "pack_tokens": 2048}, {"rows_at_once": 1}):
        model = build_model(ARCHITECTURE, processor, device="cpu").model.train()
        for batch in collator(processor, **options)(examples):
            batch.pop("tasks")
            model(**batch, num_items_in_batch=100, label_logits_only=True).loss.backward()
        found.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    packed, single = found
    assert packed.keys() == single.keys()
    for name, value in single.items():
        norm = float(value.norm())
        assert float((packed[name] - value).norm()) <= (1e-5 * norm if norm else 1e-7), name


def losses(settings: FinetuneSettings, key: str) -> list[float]:
    lines = (Path(settings.output) / "train_log.jsonl").read_text().splitlines()
    return [entry[key] for entry in map(json.loads, lines) if key in entry and "train_runtime" not in entry]


def test_a_run_learns_the_same_with_shared_rows_and_with_rows_apart(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """The budget changes which prompts share a row, never which share a step."""
    runs = []
    for budget, micro_batch in ((2048, 4), (110, 1)):
        settings = make_settings(
            output=str(tmp_path / str(budget)),
            training={"pack_tokens": budget, "micro_batch": micro_batch, "epochs": 3, "learning_rate": 1e-3},
        )
        run(settings, say=lambda _: None)
        runs.append(settings)
    for key in ("loss", "eval_loss", "loss_task_text", "grad_norm"):
        assert losses(runs[0], key) == pytest.approx(losses(runs[1], key), rel=1e-3), key


def test_packing_off_is_a_plain_shuffle(make_settings: MakeSettings) -> None:
    said: list[str] = []
    settings = make_settings(training={"pack": False, "max_steps": 2})
    run(settings, say=said.append)
    assert any("effective batch 4 = 2 at once x 2 accumulated x 1 process" in line for line in said)
    assert "Packing: none, a row for each prompt." in said


def test_a_budget_that_no_sample_fits_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(InputError, match=r"pack_tokens.*no sample fits into 12 tokens: the shortest takes \d+"):
        run(make_settings(training={"pack_tokens": 12}), say=lambda _: None)


def test_longer_samples_are_counted_and_trained(make_settings: MakeSettings) -> None:
    said: list[str] = []
    settings = make_settings(training={"pack_tokens": 40, "max_steps": 2})
    run(settings, say=said.append)
    assert any("longer samples have rows of their own" in line for line in said)
    assert len(losses(settings, "loss")) == 2


def test_a_kernel_without_masks_cannot_pack(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("output: x\nmodel: {path: m, attention: flash_attention_2}\ndata: {train: a.jsonl}\n")
    with pytest.raises(ManyErrors, match=r"training\.pack false"):
        read_settings(path)
    assert read_settings(path, ["training.pack=false"]).model.attention == "flash_attention_2"


def test_pictures_are_numbered_over_all_datasets(scenes: Path) -> None:
    sources = [DataSource(path=str(scenes / name)) for name in ("train.jsonl", "val.jsonl")]
    numbers = picture_numbers(read_sources(sources, flatten=False))
    assert numbers == [0, 0, 1, 1, 2, 2, -1, -1, 3, 3, 4, 4]
