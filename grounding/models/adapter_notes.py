"""What an adapter folder says of its training in a file beside PEFT's: the base, its quantisation, the image size.

An adapter fits any base of the same shape without an error, however that is stored, and any image size; only these
notes tell that it was trained on others. Knows nothing of what an adapter holds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from grounding.errors import InputError
from grounding.models.checkpoint import weight_files
from grounding.models.json_files import read_json
from grounding.models.quantization import QUANTIZATIONS

NOTES_FILE = "grounding_adapter.json"
NOT_QUANTIZED = "none"
_NUMBERS = 256  # of each tensor's first row: any training of a matrix changes some of them


@dataclass(frozen=True)
class AdapterNotes:
    """How the base was, and what pictures it was shown, when an adapter was trained on it.

    Attributes:
        image_size: side in pixels of the pictures.
        base: its folder, as it was called then; empty where it had none.
        fingerprint: of its weights (see `weights_fingerprint`); None where there was no folder.
        quantization: "nf4", "int8" or "none"; None where nothing says it (earlier versions).
        quantize_tower: whether the tower was quantised too.
    """

    image_size: int
    base: str = ""
    fingerprint: str | None = None
    quantization: str | None = None
    quantize_tower: bool = False

    def differences(
        self, folder: Path, image_size: int, quantization: str | None = None, quantize_tower: bool = False
    ) -> list[str]:
        """What is not as in training, in sentences, when the adapter is put on these weights.

        Args:
            folder: of the weights. The others: see `other_use`.
        """
        return self.other_use(image_size, quantization, quantize_tower) + self.other_weights(folder)

    def other_use(self, image_size: int, quantization: str | None = None, quantize_tower: bool = False) -> list[str]:
        """Sentences where weights of the same numbers are used in another way than in training.

        Args:
            image_size: side in pixels of the pictures that are asked about.
            quantization: "nf4" or "int8"; None: the weights are as they are stored.
            quantize_tower: the tower is quantised too.
        """
        found = []
        if image_size != self.image_size:
            found.append(
                f"The adapter was trained on images of {self.image_size} pixels and is used on images of {image_size}; "
                "what it finds may suffer."
            )
        here = (quantization or NOT_QUANTIZED, quantize_tower)
        if self.quantization is not None and here != (self.quantization, self.quantize_tower):
            found.append(
                f"The adapter was trained on a base {_how(self.quantization, self.quantize_tower)} and is used on one "
                f"{_how(*here)}; what it finds may suffer."
            )
        return found

    def other_weights(self, folder: Path) -> list[str]:
        """A sentence where the weights of a folder are not those of the training."""
        if self.fingerprint is None or self.fingerprint == weights_fingerprint(folder):
            return []
        return [
            f"The adapter was trained on other weights (those of {self.base}) than those of {folder}; they have "
            "the same shape, but what it answers means little."
        ]


def _how(quantization: str, quantize_tower: bool) -> str:
    if quantization == NOT_QUANTIZED:
        return "without quantisation"
    return f"quantised to {quantization}{' (the tower too)' if quantize_tower else ''}"


def weights_fingerprint(folder: Path) -> str:
    """A hash of a checkpoint's weights: of up to 256 numbers of every tensor, rounded to bfloat16.

    The same for any cut into shards and for copies in a wider dtype; it takes one small read for each tensor.

    Raises:
        InputError: there are no weights.
    """
    digests = []
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - the reader is no mapping
                if not name.endswith(".inv_freq"):  # may be left out of a checkpoint
                    numbers = tensors.get_slice(name)[:1].flatten()[:_NUMBERS]
                    held = numbers.to(torch.bfloat16).view(torch.int16).numpy().tobytes()
                    digests.append(name.encode() + hashlib.sha256(held).digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def notes_of(
    image_size: int, base: str, quantization: str | None = None, *, quantize_tower: bool = False
) -> AdapterNotes:
    """The notes for an adapter on the weights of a folder; without a fingerprint where there is no such folder."""
    is_folder = bool(base) and Path(base).is_dir()
    fingerprint = weights_fingerprint(Path(base)) if is_folder else None
    return AdapterNotes(image_size, base, fingerprint, quantization, quantize_tower)


def write_notes(folder: Path, notes: AdapterNotes) -> None:
    """Write the notes into an adapter folder."""
    (folder / NOTES_FILE).write_text(json.dumps(asdict(notes), indent=2) + "\n", encoding="utf-8")


def read_notes(folder: Path) -> AdapterNotes | None:
    """The notes of an adapter folder; None where another program wrote it.

    Raises:
        InputError: the file is broken.
    """
    file = folder / NOTES_FILE
    if not file.is_file():
        return None
    document = read_json(file)
    size, base, fingerprint = (document.get(name) for name in ("image_size", "base", "fingerprint"))
    quantization, tower = document.get("quantization"), document.get("quantize_tower", False)
    fix = "Remove the file to use the adapter without them."
    if not isinstance(size, int) or not isinstance(base, str) or not isinstance(fingerprint, str | None):
        raise InputError("these notes hold no image_size, base and fingerprint.", where=str(file), fix=fix)
    if quantization not in (None, NOT_QUANTIZED, *QUANTIZATIONS) or not isinstance(tower, bool):
        allowed = f"{NOT_QUANTIZED}, {', '.join(QUANTIZATIONS)} and true or false"
        found = f"quantization {quantization!r} and quantize_tower {tower!r}"
        raise InputError(f"these notes hold {found}; allowed are {allowed}.", where=str(file), fix=fix)
    return AdapterNotes(size, base, fingerprint, quantization, tower)
