"""Answering a dataset: resumed = uninterrupted, another run keeps nothing of it, and what cannot work is said first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from grounding.errors import InputError, RunError
from grounding.evaluation import predict as module
from grounding.evaluation.predict import check_history, fingerprint_of, predict, unfinished_path
from grounding.evaluation.predictions import read_predictions
from grounding.models.loading import LoadedModel
from grounding.samples import Dataset
from grounding.text import NOT_FOUND, read_boxes
from tests.evaluation.making import sample
from tests.inference.scripted import tiny_model


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return tiny_model()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Nine samples, one of them text only."""
    for number in range(8):
        Image.new("RGB", (200, 100), (30 * number, 99, 200)).save(tmp_path / f"{number}.png")
    samples = [sample(number, [], prompt=f"Where is {'x' * number}?") for number in range(8)]
    samples.append(sample(8, None, image=None, width=None, height=None, prompt="2 + 2?"))
    return Dataset(samples, tmp_path, dict(NOT_FOUND), tmp_path / "data.jsonl")


def run(tiny: LoadedModel, dataset: Dataset, out: Path, **more: Any) -> list[Any]:
    options = {"fingerprint": "f" * 64, "batch_size": 1, "max_new_tokens": 5, **more}
    return predict(tiny.model, tiny.processor, dataset, out, **options)


@pytest.fixture
def worded(dataset: Dataset) -> Dataset:
    """Labels from a template that is none of the packaged ones."""
    label = "Look, it: [[000,000,500,500]]!"
    samples = [sample(number, [[0.0, 0.0, 100.0, 50.0]], label=label) for number in range(2)]
    return replace(dataset, samples=[*samples, *dataset.samples[:1]])


def test_constrained_answers_have_the_words_of_the_manifests_templates(
    tiny: LoadedModel, worded: Dataset, tmp_path: Path
) -> None:
    own = replace(worded, answers={"en": ["Look, {phrase}: {boxes}!"]})
    made = run(tiny, own, tmp_path / "out.jsonl", constrain=2, max_new_tokens=96)
    allowed = ("[[", "Look, it: [[", NOT_FOUND["en"])
    assert all(one.text.startswith(allowed) and not read_boxes(one.text).refusals for one in made)


def test_the_words_of_another_task_are_named_with_the_task(tiny: LoadedModel, worded: Dataset, tmp_path: Path) -> None:
    single = replace(worded, samples=[msgspec.structs.replace(one, task="phrase_to_box") for one in worded.samples])
    words = ["Look, {phrase}: {boxes}!"]
    own = replace(single, answers={"phrase_to_box:en": words})
    made = run(tiny, own, tmp_path / "out.jsonl", constrain=2, max_new_tokens=96)
    assert all(one.text.startswith(("[[", "Look, it: [[", NOT_FOUND["en"])) for one in made)
    with pytest.raises(InputError, match="of 2 labels"):
        run(tiny, replace(single, answers={"en": words}), tmp_path / "other.jsonl", constrain=2, max_new_tokens=96)


def test_labels_in_words_that_no_template_has_are_refused_with_constrain(
    tiny: LoadedModel, worded: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"2 of 2 labels .* could have; the first is 'Look, it.* of sample 's0'"):
        run(tiny, worded, tmp_path / "out.jsonl", constrain=2, max_new_tokens=96)
    assert not list(tmp_path.glob("*.jsonl"))
    run(tiny, worded, tmp_path / "out.jsonl")


def killed_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The engine stops as Ctrl-C would stop it, after some answers."""
    real = module.answer

    def stopping(*args: Any, **more: Any) -> Iterator[Any]:
        for number, one in enumerate(real(*args, **more)):
            if number == count:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(module, "answer", stopping)


def test_a_killed_run_goes_on_where_it_stopped(
    tiny: LoadedModel, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "resumed.jsonl"
    run(tiny, dataset, whole)
    with monkeypatch.context() as patch:
        killed_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, dataset, out)
    assert not out.exists()
    unfinished = unfinished_path(out, "f" * 64)
    with unfinished.open("ab") as file:
        file.write(b'{"id":"s5","te')  # torn by the kill
    told: list[int] = []
    made = run(tiny, dataset, out, progress=told.append)
    assert out.read_bytes() == whole.read_bytes()
    assert made == read_predictions(out)
    assert told == [5, 1, 1, 1, 1], "five were kept"
    assert not unfinished.exists()


def test_another_run_keeps_nothing_of_it(
    tiny: LoadedModel, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "p.jsonl"
    with monkeypatch.context() as patch:
        killed_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, dataset, out)
    told: list[int] = []
    run(tiny, dataset, out, fingerprint="e" * 64, progress=told.append)
    assert told == [1] * 9


@pytest.mark.parametrize("line", [b"{broken}\n", b'{"id":"s7","text":"of another order"}\n'])
def test_lines_that_do_not_fit_are_answered_again(
    tiny: LoadedModel, dataset: Dataset, tmp_path: Path, line: bytes
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "p.jsonl"
    run(tiny, dataset, whole)
    first = whole.read_bytes().splitlines(keepends=True)[0]
    unfinished_path(out, "f" * 64).write_bytes(first + line + first)
    run(tiny, dataset, out)
    assert out.read_bytes() == whole.read_bytes()


def test_a_full_disk_keeps_what_is_there(
    tiny: LoadedModel, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "p.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        with pytest.raises(RunError, match="9 answers are kept"):
            run(tiny, dataset, out)
    assert not out.exists()
    assert unfinished_path(out, "f" * 64).exists()


def test_missing_images_are_all_named_before_any_answer(tiny: LoadedModel, dataset: Dataset, tmp_path: Path) -> None:
    for number in (2, 6):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(InputError) as error:
        run(tiny, dataset, tmp_path / "p.jsonl")
    assert "2 problems" in str(error.value) and "'s2'" in str(error.value) and "'s6'" in str(error.value)
    assert not list(tmp_path.glob(".*"))


def test_history_needs_a_template_with_a_place_for_it(tiny: LoadedModel, dataset: Dataset) -> None:
    told = replace(dataset, samples=[sample(0, None, history=[("a", "b")]), sample(1, None)])
    with pytest.raises(InputError, match="1 sample has earlier turns"):
        check_history(tiny.processor, told)
    check_history(tiny_model(template="chat").processor, told)


def test_the_fingerprint_is_of_what_answers_depend_on(dataset: Dataset, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"123")

    def of(data: Dataset = dataset, tokens: int = 5, adapter: Path | None = None) -> str:
        files = {"model": model, "adapter": adapter}
        return fingerprint_of(data, files=files, settings={"max_new_tokens": tokens})

    same = of()
    assert same == of()
    relabelled = replace(dataset, samples=[sample(0, [[1, 1, 2, 2]], prompt="Where is ?"), *dataset.samples[1:]])
    assert same == of(relabelled), "the truth does not change an answer"
    others = {
        of(tokens=6),
        of(adapter=model / "weights"),
        of(replace(dataset, samples=dataset.samples[1:])),
        of(replace(dataset, image_root=tmp_path / "model")),
    }
    (model / "weights").write_bytes(b"1234")
    others.add(of())
    assert len(others) == 5
    assert same not in others
