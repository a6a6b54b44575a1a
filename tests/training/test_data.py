"""Examples and batches: labels where they belong, images in row order, text-only rows, losses taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from grounding.errors import InputError
from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.loading import build_model
from grounding.models.tokenizers import train_tokenizer
from grounding.samples import TASKS, Sample, read_samples
from grounding.settings import DataSource
from grounding.training.collate import collator, without_labels
from grounding.training.dataset import SampleDataset, flatten_history, read_sources
from grounding.training.losses import LossByKind
from grounding.tuning.adapters import attach_lora
from grounding.tuning.freeze import train_all_but
from grounding.tuning.targets import SETS, target_modules
from tests.training.conftest import ARCHITECTURE, text_samples


@pytest.fixture(scope="module")
def processor() -> CogVLMProcessor:
    tokenizer = train_tokenizer(["Where is red circle? [[000,111,222,333]] No matching object was found."], 320)
    return CogVLMProcessor(tokenizer, image_size=28, patch_size=14)


@pytest.fixture
def dataset(scenes: Path, processor: CogVLMProcessor) -> SampleDataset:
    return SampleDataset(read_samples(scenes / "train.jsonl"), scenes, processor)


def test_only_the_answer_and_its_end_are_labels(dataset: SampleDataset, processor: CogVLMProcessor) -> None:
    for index, sample in enumerate(dataset.samples):
        example = dataset[index]
        labels = example.encoded.labels
        assert labels is not None
        answer = processor.answer_tokens(sample.label)
        assert labels[-len(answer) :] == answer == example.encoded.input_ids[-len(answer) :]
        assert set(labels[: -len(answer)]) == {-100}
        assert (example.pixels is None) == (sample.image is None)


def test_any_iterable_of_samples_will_do(scenes: Path, processor: CogVLMProcessor) -> None:
    dataset = SampleDataset((sample for sample in text_samples(3)), scenes, processor)
    assert [dataset[index].task for index in range(len(dataset))] == ["text"] * 3


def test_a_mixed_batch_has_its_images_in_row_order(dataset: SampleDataset, processor: CogVLMProcessor) -> None:
    order = [6, 0, 7, 2]  # text, image, text, image
    examples = [dataset[index] for index in order]
    (batch,) = collator(processor)(examples)
    assert batch["token_type_ids"].any(dim=1).tolist() == [False, True, False, True]
    pixels = [example.pixels for example in examples if example.pixels is not None]
    assert torch.equal(batch["pixel_values"], torch.stack(pixels))
    assert batch["tasks"][:, 0].tolist() == [TASKS.index(name) for name in ("text", "phrase_to_boxes") * 2]
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    assert lengths == [len(example.encoded) for example in examples]
    assert all(batch["attention_mask"][row, :length].all() for row, length in enumerate(lengths))


def test_a_batch_without_images_has_the_pixels_of_none(dataset: SampleDataset, processor: CogVLMProcessor) -> None:
    (batch,) = collator(processor)([dataset[6], dataset[7]])
    assert batch["pixel_values"].shape == (0, 3, 28, 28)


@pytest.mark.parametrize("freeze", [[], ["head", "embeddings"]])
@pytest.mark.parametrize("targets", [*SETS, None])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_batch_gives_every_weight_that_is_trained_a_gradient(
    dataset: SampleDataset, processor: CogVLMProcessor, targets: str | None, checkpointing: bool, freeze: list[str]
) -> None:
    """Text only, an image, nothing to learn: processes that train together wait for each gradient."""
    if targets is not None and freeze:
        return
    model = build_model(ARCHITECTURE, processor).model
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if targets is None:
        train_all_but(model, freeze)
    else:
        model = attach_lora(model, target_modules(model, targets), rank=2, alpha=2)
    model.train()
    for indices in ([6, 7], [0, 1, 2]):
        for pack_tokens in (None, 999):
            (batch,) = collator(processor, pack_tokens=pack_tokens)([dataset[index] for index in indices])
            for labelled in (batch, without_labels(batch)):
                model.zero_grad(set_to_none=True)
                tensors = {name: tensor for name, tensor in labelled.items() if name != "tasks"}
                loss = model(**tensors, label_logits_only=True, use_cache=False, num_items_in_batch=7).loss
                loss.backward()
                gradients = [one.grad for one in model.parameters() if one.requires_grad]
                assert all(one is not None for one in gradients)
                if labelled is not batch:
                    assert loss == 0 and not any(one.any() for one in gradients)


def test_losses_by_kind_and_task_are_those_of_their_rows_alone(
    dataset: SampleDataset, processor: CogVLMProcessor
) -> None:
    model = build_model(ARCHITECTURE, processor).model
    losses, device = LossByKind(torch.device("cpu")), torch.device("cpu")

    def mean(indices: list[int]) -> float:
        (batch,) = collator(processor)([dataset[index] for index in indices])
        tasks = batch.pop("tasks")
        with torch.no_grad():
            output = model(**batch, label_logits_only=True)
        losses.add(output.logits, batch["labels"], batch["token_type_ids"], tasks)
        return float(output.loss)

    mean([0, 6, 1, 7])
    mean([2, 3])
    mixed = losses.take(lambda values: values)
    assert losses.take(lambda values: values) == {}
    assert mixed["loss_image"] == pytest.approx(mean([0, 1, 2, 3]), rel=1e-5)
    losses = LossByKind(device)
    assert mixed["loss_text_only"] == pytest.approx(mean([6, 7]), rel=1e-5)
    losses = LossByKind(device)
    assert mixed["loss"] == pytest.approx(mean([0, 1, 2, 3, 6, 7]), rel=1e-5)
    assert mixed["loss_task_text"] == mixed["loss_text_only"]
    assert mixed["loss_task_phrase_to_boxes"] == mixed["loss_image"]


def test_one_task_alone_is_not_repeated() -> None:
    losses = LossByKind(torch.device("cpu"))
    logits, labels = torch.zeros(2, 4), torch.tensor([[-100, 1, 2]])
    losses.add(logits, labels, torch.tensor([[0, 1, 0]]), torch.zeros_like(labels))
    found = losses.take(lambda values: values)
    assert set(found) == {"loss", "loss_image"}
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, torch.tensor([1, 2]))))


def test_earlier_turns_are_flattened_on_request(scenes: Path, tmp_path: Path) -> None:
    (sample,) = text_samples(1)
    talked = Sample(
        **{field: getattr(sample, field) for field in ("id", "image", "width", "height", "prompt", "label", "boxes")},
        history=[("first?", "yes"), ("second?", "no")],
    )
    flat = flatten_history(talked)
    assert flat.prompt == "first?\nyes\nsecond?\nno\nSay 0."
    assert flat.history == [] and flat.label == talked.label
    assert flatten_history(sample) is sample


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(InputError, match="no samples"):
        read_sources([DataSource(path=str(tmp_path / "none.jsonl"))], flatten=False)
