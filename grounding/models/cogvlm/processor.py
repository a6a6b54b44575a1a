"""Pictures and words into CogVLM's tensors, and ids back into words.

The picture is squashed to a square (relative box coordinates do not change by that); the words get the checkpoint's
template. Knows nothing of boxes, files of samples, or the model's weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.models.cogvlm.config import TEMPLATES
from grounding.models.cogvlm.positions import LANGUAGE, VISION
from grounding.models.json_files import read_json
from grounding.models.tokenizers import load_tokenizer

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of red, green and blue in [0, 1], those of OpenAI's CLIP."""

_ANSWER_MARK = {"chat": "Answer:", "vqa": "Short answer:"}
_SETTINGS_FILE = "preprocessor_config.json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sequence: ids, their types (1 = image) and, where an answer was given, its labels (-100 elsewhere)."""

    input_ids: list[int]
    token_type_ids: list[int]
    labels: list[int] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def prefix_length(self) -> int:
        """Tokens of begin and image: the same for every prompt about one image."""
        return 1 + self.token_type_ids.count(VISION)


class CogVLMProcessor:
    """What stands between a user's words and pictures and the model.

    Args:
        tokenizer: Llama-like (see `grounding.models.tokenizers`).
        image_size, patch_size: S and p of the checkpoint, in pixels.
        template_version: "base", "chat" or "vqa".
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, image_size: int, patch_size: int, template_version: str = "base"
    ) -> None:
        if template_version not in TEMPLATES:
            raise InputError(
                f"{template_version!r} is no prompt template; allowed: {', '.join(TEMPLATES)}", where="template_version"
            )
        self.tokenizer = tokenizer
        self.image_size, self.patch_size = image_size, patch_size
        self.template_version = template_version

    @classmethod
    def from_pretrained(cls, folder: str | Path, tokenizer: str | Path | None = None) -> CogVLMProcessor:
        """The processor of a checkpoint folder; `tokenizer` names another folder or file for the tokenizer.

        Raises:
            InputError: a file is missing or broken.
        """
        folder = Path(folder)
        settings, file = _read_settings(folder)
        try:
            sizes = int(settings["image_size"]), int(settings["patch_size"])
            template = settings.get("template_version", "base")
        except (KeyError, TypeError, ValueError) as error:
            problem = f"image_size and patch_size must be whole numbers ({error!r})."
            raise InputError(problem, where=str(file)) from error
        return cls(load_tokenizer(folder if tokenizer is None else tokenizer), *sizes, template_version=template)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer and the settings into a folder, so that `from_pretrained` reads them back.

        The files are not atomic one by one: give a folder under a temporary name and rename it when all is there.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        settings = {
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "template_version": self.template_version,
            "image_mean": list(PIXEL_MEAN),
            "image_std": list(PIXEL_STD),
        }
        (folder / _SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")

    @property
    def image_token_count(self) -> int:
        """P + 2, the positions an image takes."""
        return (self.image_size // self.patch_size) ** 2 + 2

    @property
    def supports_history(self) -> bool:
        """Whether the template has a place for earlier turns."""
        return self.template_version in _ANSWER_MARK

    def preprocess_image(self, image: Image.Image) -> Tensor:
        """Squash to S x S by Pillow's bicubic filter (antialiased, rounded to 8 bits), then normalise.

        Args:
            image: an RGB picture of any size.

        Returns:
            float32[3, S, S].

        Raises:
            ValueError: the picture is not RGB.
        """
        if image.mode != "RGB":
            raise ValueError(f"the picture has mode {image.mode}; convert it to RGB first")
        square = image.resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        scaled = np.asarray(square, dtype=np.float32) / np.float32(255)
        normal = (scaled - np.asarray(PIXEL_MEAN, np.float32)) / np.asarray(PIXEL_STD, np.float32)
        return torch.from_numpy(normal).permute(2, 0, 1).contiguous()

    def fill_template(self, query: str, history: Sequence[tuple[str, str]] = ()) -> str:
        """The text of a prompt: the bare query (base), or questions and earlier answers (chat, vqa).

        Raises:
            InputError: earlier turns were given and the template has no place for them.
        """
        mark = _ANSWER_MARK.get(self.template_version)
        if mark is None:
            if history:
                raise InputError(
                    f"template {self.template_version!r} has no place for earlier turns, and this prompt has "
                    f"{len(history)} of them.",
                    fix="Leave the history out, or use a checkpoint with template 'chat'.",
                )
            return query
        turns = [f"Question: {question} {mark} {answer}\n" for question, answer in history]
        return "".join(turns) + f"Question: {query} {mark}"

    def encode(
        self, query: str, *, has_image: bool, history: Sequence[tuple[str, str]] = (), answer: str | None = None
    ) -> Encoded:
        """Begin, image positions, prompt and, if given, answer and end.

        The answer is encoded apart from the prompt, as CogVLM was trained, so it opens with a `▁` of its own; only it
        and the end are labels.
        """
        image = self.image_token_count if has_image else 0
        prompt = self._text_ids(self.fill_template(query, history))
        ids = [self._id("bos"), *[self._id("pad")] * image, *prompt]
        types = [LANGUAGE, *[VISION] * image, *[LANGUAGE] * len(prompt)]
        if answer is None:
            return Encoded(ids, types)
        target = self.answer_tokens(answer)
        labels = [NO_LABEL] * len(ids) + target
        return Encoded(ids + target, types + [LANGUAGE] * len(target), labels)

    def answer_tokens(self, answer: str) -> list[int]:
        """The ids of an answer with the end id."""
        return [*self._text_ids(answer), self._id("eos")]

    def pad(self, sequences: Sequence[Encoded], side: str = "right") -> dict[str, Tensor]:
        """A batch of equal length.

        Args:
            sequences: B of them; those without an answer have no label.
            side: "right" to train, "left" to generate.

        Returns:
            int64[B, T] each: input_ids, token_type_ids, attention_mask (0 at padding) and, if any sequence has labels,
            labels (-100 at padding).
        """
        if side not in ("left", "right"):
            raise ValueError(f"side is {side!r}; allowed: left, right")
        width = max(map(len, sequences))

        def fill(rows: list[list[int]], value: int) -> Tensor:
            padding = [[value] * (width - len(row)) for row in rows]
            both = zip(rows, padding, strict=True)
            return torch.tensor([row + more if side == "right" else more + row for row, more in both])

        batch = {
            "input_ids": fill([one.input_ids for one in sequences], self._id("pad")),
            "token_type_ids": fill([one.token_type_ids for one in sequences], LANGUAGE),
            "attention_mask": fill([[1] * len(one) for one in sequences], 0),
        }
        if any(one.labels is not None for one in sequences):
            batch["labels"] = fill([one.labels or [NO_LABEL] * len(one) for one in sequences], NO_LABEL)
        return batch

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        """The text of ids, special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _text_ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def _id(self, name: str) -> int:
        return int(getattr(self.tokenizer, f"{name}_token_id"))


def _read_settings(folder: Path) -> tuple[dict[str, Any], Path]:
    """The processor's own settings file if there is one, else what config.json says of the tower."""
    own, checkpoint = folder / _SETTINGS_FILE, folder / "config.json"
    file = own if own.is_file() else checkpoint
    if not file.is_file():
        problem = f"there is no {_SETTINGS_FILE} and no config.json in this folder."
        raise InputError(problem, where=str(folder), fix="Name the folder of a checkpoint.")
    settings = read_json(file)
    if file == checkpoint:
        tower = settings.get("vision_config") or {}
        settings = {**tower, "template_version": settings.get("template_version", "base")}
    return settings, file
