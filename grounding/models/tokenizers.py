"""Llama-like tokenizers: read from tokenizer.json or a bare tokenizer.model, or trained for a tiny model.

All of them put `▁` before a text and for each space, fall back to bytes, and have unknown = padding = 0, begin 1 and
end 2. Knows nothing of prompts or images.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError
from grounding.models.json_files import read_json
from grounding.models.presence import NO_TOKENIZER

SPACE = "▁"
SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
DIGITS = "0123456789"
BOX_MARKS = "[],;"
_PROBES = ("a  b", "[[086,540,400,760]].", "\n\t 汽车 🎉", " x", "")


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder (tokenizer.json, else tokenizer.model), or of a tokenizer.model or tokenizer.json file.

    The padding id is 0 (the unknown token) whatever the files say, so that no id lies outside the embedding table.

    Raises:
        InputError: no such file, or it is no Llama-like tokenizer.
    """
    path = Path(path)
    if path.is_dir():
        file = next((path / name for name in ("tokenizer.json", "tokenizer.model") if (path / name).is_file()), None)
        if file is None:
            raise InputError("there is no tokenizer.json and no tokenizer.model.", where=str(path), fix=NO_TOKENIZER)
    elif path.is_file():
        file = path
    else:
        raise InputError("this tokenizer does not exist.", where=str(path), fix=NO_TOKENIZER)
    return _from_json(file) if file.suffix == ".json" else _from_sentencepiece(file)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer for a tiny model, learned from texts.

    Any text comes back from its ids (but `▁` itself, which reads as a space, and the leading space of Llama's
    convention). Every digit is a piece of its own. The same texts give the same tokenizer.

    Args:
        texts: what to learn pieces from.
        vocab_size: at most so many ids; fewer where the texts give no more pieces.

    Raises:
        InputError: vocab_size leaves no room for the special tokens, the bytes and the marks of a box.
    """
    floor = len(SPECIAL) + len(BYTES) + len(DIGITS + BOX_MARKS + SPACE)
    if vocab_size < floor:
        raise InputError(f"vocab_size is {vocab_size}; the smallest possible is {floor}", where="train_tokenizer")
    room = vocab_size - len(SPECIAL) - len(BYTES)
    learner = Tokenizer(BPE())
    learner.normalizer = _space_marks()
    learner.pre_tokenizer = _words()
    texts = list(texts)
    # Left to the trainer, which of equally rare characters find no room would be chance.
    alphabet = _alphabet(texts)[:room]
    trainer = trainers.BpeTrainer(
        vocab_size=room, initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    model = json.loads(learner.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL, *BYTES, *pieces])}
    return _wrap(vocabulary, [(left, right) for left, right in model["merges"]], _words())


def _alphabet(texts: Iterable[str]) -> list[str]:
    """What boxes are written with, then the characters of the texts, the most frequent first, ties in code order."""
    fixed = list(DIGITS + BOX_MARKS + SPACE)
    counts = Counter(chain.from_iterable(texts))
    others = sorted(counts.keys() - {*fixed, " "}, key=lambda character: (-counts[character], character))
    return fixed + others


def _from_json(file: Path) -> PreTrainedTokenizerFast:
    document, settings = read_json(file), {}
    if "model" not in document:
        raise InputError("this is no tokenizer: it has no `model`.", where=str(file), fix=NO_TOKENIZER)
    settings_file = file.with_name("tokenizer_config.json")
    if settings_file.is_file():
        settings = read_json(settings_file)
    backend = Tokenizer.from_str(json.dumps(document))
    named = zip(("unk_token", "bos_token", "eos_token"), SPECIAL, strict=True)
    special = {name: _token_text(settings.get(name)) or usual for name, usual in named}
    absent = [token for token in special.values() if backend.token_to_id(token) is None]
    if absent:
        problem = f"this tokenizer has no {', '.join(absent)}; a Llama-like one is needed."
        raise InputError(problem, where=str(file), fix=NO_TOKENIZER)
    return _dress(backend, **special)


def _token_text(token: Any) -> str | None:
    """A special token in tokenizer_config.json is a string or an object with `content`."""
    return token.get("content") if isinstance(token, dict) else token


def _from_sentencepiece(file: Path) -> PreTrainedTokenizerFast:
    from sentencepiece import SentencePieceProcessor

    try:
        source = SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        problem = f"this is no SentencePiece model ({error})."
        raise InputError(problem, where=str(file), fix=NO_TOKENIZER) from error
    pieces = [source.id_to_piece(index) for index in range(source.get_piece_size())]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = _wrap(vocabulary, _merges(pieces, [source.get_score(index) for index in range(len(pieces))]), None)
    wrong = [text for text in _PROBES if tokenizer.encode(text, add_special_tokens=False) != source.encode(text)]
    if wrong:
        problem = f"this SentencePiece model is not of Llama's kind; {wrong[0]!r} differs."
        raise InputError(problem, where=str(file), fix=NO_TOKENIZER)
    return tokenizer


def _merges(pieces: list[str], scores: list[float]) -> list[tuple[str, str]]:
    """All pairs that make a piece, best score first: SentencePiece merges by score and not by id (in Llama, runs of
    spaces have low ids and the lowest score)."""
    known = set(pieces) - set(BYTES)
    found = [
        (-score, index, piece[:cut], piece[cut:])
        for index, (piece, score) in enumerate(zip(pieces, scores, strict=True))
        if piece in known
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]
    return [(left, right) for _, _, left, right in sorted(found)]


def _space_marks() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])


def _words() -> pre_tokenizers.PreTokenizer:
    """Pieces never cross the start of a word, and a digit stands alone."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPACE), behavior="merged_with_next"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )


def _wrap(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], words: pre_tokenizers.PreTokenizer | None
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(BPE(vocab=vocabulary, merges=merges, unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=True))
    backend.normalizer = _space_marks()
    if words is not None:
        backend.pre_tokenizer = words
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
    )
    return _dress(backend, unk_token=SPECIAL[0], bos_token=SPECIAL[1], eos_token=SPECIAL[2])


def _dress(backend: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=backend.id_to_token(0),
        clean_up_tokenization_spaces=False,
        # Words of a user that look like a special token stay words.
        split_special_tokens=True,
        **special,
    )
