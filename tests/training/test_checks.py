"""Everything that cannot be trained is refused before the first step, all of it at once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from grounding.errors import InputError, ManyErrors
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.tokenizers import train_tokenizer
from grounding.samples import Dataset, Sample, read_dataset
from grounding.training.checks import TokenStatistics, check_data


@pytest.fixture(scope="module")
def processor() -> CogVLMProcessor:
    return CogVLMProcessor(train_tokenizer(["Where is it?"], 320), image_size=28, patch_size=14)


def check(dataset: Dataset, processor: CogVLMProcessor, **changes: object) -> TokenStatistics:
    options = {"max_label_tokens": 100, "max_positions": 2048, "decode_images": True} | changes
    return check_data([dataset], processor, **options)  # type: ignore[arg-type]


def changed(dataset: Dataset, index: int = 0, **fields: object) -> Dataset:
    """The dataset with one sample changed."""
    samples = list(dataset.samples)
    samples[index] = msgspec.structs.replace(samples[index], **fields)
    return Dataset(samples, dataset.image_root, dataset.not_found, dataset.path)


@pytest.fixture
def good(scenes: Path) -> Dataset:
    return read_dataset(scenes / "train.jsonl")


def test_good_data_is_measured(good: Dataset, processor: CogVLMProcessor) -> None:
    done: list[int] = []
    found = check(good, processor, progress=done.append)
    labels = [len(processor.answer_tokens(sample.label)) for sample in good.samples]
    assert found.samples == sum(done) == len(good.samples)
    assert found.text_only == 2
    assert found.label_max == max(labels)
    assert found.label_mean == pytest.approx(sum(labels) / len(labels))
    assert found.longest > max(labels) + processor.image_token_count


@pytest.mark.parametrize(
    ("index", "fields", "says"),
    [
        (0, {"label": "[[001,002,003,004]]"}, "does not say its `boxes`"),
        (0, {"label": "[[001,002,003]]"}, r"cannot be read \(count\)"),
        (0, {"label": "somewhere"}, r"cannot be read \(no_box\)"),
        (0, {"label": "No matching object was found."}, "says that nothing was found"),
        (1, {"label": "[[001,002,003,004]]"}, "none of the not-found sentences"),
        (0, {"image": "images/none.png"}, r"no image file.*'data.train=\[{path: .*train.jsonl, images: DIR}\]'"),
        (0, {"image": "../outside.png"}, "outside the image root"),
        (0, {"width": 41}, "the sample says 41 x 30"),
        (6, {"label": "word " * 99}, "tokens, data.max_label_tokens allows 100"),
        (6, {"prompt": "word " * 2048}, "positions, the model has 2048"),
        (6, {"history": [("a", "b")]}, "1 samples have earlier turns.*flatten_history"),
    ],
)
def test_each_fault_is_told(
    good: Dataset, processor: CogVLMProcessor, index: int, fields: dict[str, object], says: str
) -> None:
    with pytest.raises(ManyErrors, match=says) as caught:
        check(changed(good, index, **fields), processor)
    assert all(str(good.path) in problem for problem in caught.value.problems)


def test_a_label_of_exactly_the_budget_is_trained_and_one_token_more_refused(
    good: Dataset, processor: CogVLMProcessor
) -> None:
    longest = check(good, processor).label_max
    check(good, processor, max_label_tokens=longest)
    with pytest.raises(ManyErrors, match=f"allows {longest - 1}"):
        check(good, processor, max_label_tokens=longest - 1)


def test_an_image_takes_three_positions(good: Dataset, processor: CogVLMProcessor) -> None:
    longest = check(good, processor).longest - processor.image_token_count + 3
    check(good, processor, max_positions=longest)
    with pytest.raises(ManyErrors, match="positions"):
        check(good, processor, max_positions=longest - 1)


def test_all_faults_at_once_and_a_broken_image_once(good: Dataset, processor: CogVLMProcessor, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes((good.image_root / "images/s0.png").read_bytes()[:100])
    broken = Dataset(
        [
            msgspec.structs.replace(sample, image="broken.png") if sample.image else sample
            for sample in changed(good, 0, label="x").samples
        ],
        tmp_path,
        good.not_found,
        good.path,
    )
    with pytest.raises(ManyErrors) as caught:
        check(broken, processor)
    assert len(caught.value.problems) == 2
    assert "cannot be read" in caught.value.problems[1]
    with pytest.raises(ManyErrors) as caught:
        check(broken, processor, decode_images=False)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        (
            {"max_label_tokens": 3},
            r"data\.max_label_tokens: no label fits into 3 tokens: .* Set it to {longest} or more",
        ),
        ({"max_positions": 7}, r"no sample fits into the model's 7 positions: the shortest takes \d+"),
        (
            {"pack_tokens": 9},
            r"training\.pack_tokens: no sample fits into 9 tokens: the shortest takes \d+.*leave it out",
        ),
    ],
)
def test_a_budget_that_no_sample_fits_is_the_budgets_fault(
    good: Dataset, processor: CogVLMProcessor, budgets: dict[str, int], message: str
) -> None:
    longest = check(good, processor).label_max
    with pytest.raises(InputError, match=message.format(longest=longest)) as caught:
        check(good, processor, **budgets)
    assert not isinstance(caught.value, ManyErrors)


def test_files_are_looked_for_without_decoding(good: Dataset, processor: CogVLMProcessor, tmp_path: Path) -> None:
    elsewhere = Dataset(good.samples, tmp_path, good.not_found, good.path)
    with pytest.raises(ManyErrors, match="no image file"):
        check(elsewhere, processor, decode_images=False)


def test_what_is_said_of_images_names_settings_and_no_options(
    good: Dataset, processor: CogVLMProcessor, tmp_path: Path
) -> None:
    (tmp_path / "images").symlink_to(good.image_root / "images")
    for root, said in ((tmp_path, "A run follows no links"), (tmp_path / "nowhere", "'data.val={path: ")):
        with pytest.raises(ManyErrors) as caught:
            check(Dataset(good.samples, root, good.not_found, good.path), processor)
        assert all(said in problem and "--" not in problem for problem in caught.value.problems)


def test_samples_that_ask_for_no_box_are_not_read_as_boxes(good: Dataset, processor: CogVLMProcessor) -> None:
    free = Sample(id="x", image=None, width=None, height=None, prompt="p", label="[[1,2", boxes=None, task="text")
    check(Dataset([free], good.image_root, good.not_found, good.path), processor)


def test_the_not_found_sentence_is_that_of_the_manifest(good: Dataset, processor: CogVLMProcessor) -> None:
    other = Dataset(good.samples[1:2], good.image_root, {"en": "Nope."}, good.path)
    with pytest.raises(ManyErrors, match="Nope"):
        check(other, processor)
    check(changed(other, 0, label="nope"), processor)
