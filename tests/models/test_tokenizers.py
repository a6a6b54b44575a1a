"""Tokenizers: what is encoded comes back, digits stand alone, a bare tokenizer.model reads as SentencePiece does."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import PreTrainedTokenizerFast

from grounding.errors import InputError
from grounding.models.tokenizers import BOX_MARKS, BYTES, DIGITS, SPACE, SPECIAL, load_tokenizer, train_tokenizer
from tests.models.conftest import TEXTS

SMALL = train_tokenizer(TEXTS * 3, 420)
# `▁` itself stands for a space, as in Llama; half surrogates are no text.
any_text = st.text(st.characters(exclude_characters="▁", exclude_categories=("Cs",)))


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


@given(any_text)
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    assert SMALL.decode(encode(SMALL, text), skip_special_tokens=True) == text


@pytest.mark.parametrize("text", ["[[086,540", "一只狗，🎉", "  a  b ", "a\n\tb", "</s><unk>", ""])
def test_chosen_texts_come_back(text: str) -> None:
    assert SMALL.decode(encode(SMALL, text), skip_special_tokens=True) == text


def test_trained_pieces() -> None:
    assert SMALL.tokenize(" [[086,540]]")[1:] == ["▁[[", "0", "8", "6", ",", "5", "4", "0", "]]"]
    assert (SMALL.pad_token_id, SMALL.unk_token_id, SMALL.bos_token_id, SMALL.eos_token_id) == (0, 0, 1, 2)
    assert len(SMALL) == SMALL.vocab_size <= 420
    with_digits = [piece for piece in SMALL.get_vocab() if any(map(str.isdigit, piece)) and not piece.startswith("<0x")]
    assert sorted(with_digits) == list("0123456789")
    assert train_tokenizer(TEXTS * 3, 420).get_vocab() == SMALL.get_vocab()


def test_of_equally_rare_characters_the_first_find_room() -> None:
    rare, frequent = [chr(code) for code in range(0x4E00, 0x4E00 + 300)], "汽车"
    texts = ["".join(rare[::-1]), frequent * 3]
    size = len(SPECIAL) + len(BYTES) + len(DIGITS + BOX_MARKS + SPACE) + 102
    kept = {piece for piece in train_tokenizer(texts, size).get_vocab() if piece in {*rare, *frequent}}
    assert kept == {*rare[:100], *frequent}
    assert train_tokenizer(iter(texts), size).get_vocab() == train_tokenizer(texts, size).get_vocab()


def test_too_small_a_vocabulary() -> None:
    with pytest.raises(InputError, match="smallest possible is 274"):
        train_tokenizer(TEXTS, 273)
    assert len(train_tokenizer(TEXTS, 274)) == 274


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    SMALL.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.get_vocab() == SMALL.get_vocab() and again.pad_token_id == 0
    for text in [*TEXTS, "</s>", " 🎉"]:
        assert encode(again, text) == encode(SMALL, text)


def test_padding_is_0_whatever_the_files_say(tmp_path: Path) -> None:
    SMALL.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    content = json.loads(file.read_text()) | {"pad_token": "[PAD]", "bos_token": {"content": "<s>"}}
    file.write_text(json.dumps(content))
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.pad_token_id == 0 and len(again) == len(SMALL)


@given(text=st.text(st.sampled_from(" \t\n[],;.0123456789abcdefthen汽车狗🎉é?▁")))
@settings(max_examples=300, deadline=None)
def test_bare_model_reads_as_sentencepiece(llama: PreTrainedTokenizerFast, shared_dir: Path, text: str) -> None:
    assert encode(llama, text) == sentencepiece(str(shared_dir / "tokenizer" / "tokenizer.model")).encode(text)


@cache
def sentencepiece(file: str) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_file=file)


def test_bare_model(llama: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    assert (len(llama), llama.pad_token_id, llama.bos_token_id, llama.eos_token_id) == (32000, 0, 1, 2)
    assert (
        len(encode(llama, "[[086,540,400,760]]")) == 17
        and len(encode(llama, "[[001,002,003,004;001,002,003,004]]")) == 33
    )
    assert llama.decode(encode(llama, "[[086,540,400,760]].")) == "[[086,540,400,760]]."
    llama.save_pretrained(tmp_path)
    assert encode(load_tokenizer(tmp_path), "a  b 汽车") == encode(llama, "a  b 汽车")


def test_broken_tokenizers(tmp_path: Path) -> None:
    def refuse(message: str, path: Path) -> None:
        with pytest.raises(InputError, match=message):
            load_tokenizer(path)

    refuse("vicuna-7b", tmp_path)
    refuse("does not exist", tmp_path / "tokenizer.model")
    model, document = tmp_path / "tokenizer.model", tmp_path / "tokenizer.json"
    model.write_bytes(b"not a model")
    refuse("no SentencePiece model", model)
    for content, message in [("{", "valid JSON"), ("[]", "no object"), ("{}", "has no `model`")]:
        document.write_text(content)
        refuse(message, tmp_path)
    vocabulary = {"<unk>": 0, "a": 1}
    document.write_text(json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}))
    refuse("has no <s>, </s>", tmp_path)


def test_another_kind_of_sentencepiece(tmp_path: Path) -> None:
    texts = iter(TEXTS * 20)
    target = tmp_path / "tokenizer"
    SentencePieceTrainer.train(
        sentence_iterator=texts, model_prefix=str(target), vocab_size=50, model_type="unigram", minloglevel=2
    )
    with pytest.raises(InputError, match="not of Llama's kind"):
        load_tokenizer(target.with_suffix(".model"))
