"""Lets a model say only what an automaton accepts: which tokens may follow, for any tokenizer, by the text they make.

Knows the bytes of every token and an automaton for each prompt; no brackets, since `]].` may be cut as `]` and `].`,
and no characters, since one may take several tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from grounding.counted import counted
from grounding.errors import InputError
from grounding.inference.scores import UNFINISHED
from grounding.text.automaton import Automaton, State

NAMED = 10  # characters that an error names before it only counts
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")

Trie = dict[int, Any]
"""Byte -> the trie behind it; under `_HERE` the ids of the tokens that end here."""
_HERE = -1


class TokenTexts:
    """The bytes that each token adds to an answer.

    Tokens that are special, or that hold a part of a character without saying which bytes, add nothing that could be
    told and are never used.

    Args:
        tokenizer: any whose decoder puts the texts of tokens one behind the other; at the beginning of a text it may
            leave a space out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self.eos = int(tokenizer.eos_token_id)
        special = set(tokenizer.all_special_ids)
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        parts = _parts_of_characters(tokenizer)
        anchor = tokenizer.convert_tokens_to_ids("0")
        before = len(self._decode([anchor]))
        self.inner: list[bytes | None] = []
        self.first: list[bytes | None] = []
        for index, piece in enumerate(pieces):
            if index in special or piece is None:
                inner = first = None
            else:
                inner = _bytes(self._decode([anchor, index])[before:]) or parts(piece)
                first = _bytes(self._decode([index]))
                first = inner if first is None else first
            self.inner.append(inner)
            self.first.append(first)
        # Only the first token may be without a text: as the space that is left out.
        self._first, self._inner = _trie(self.first), _trie([text or None for text in self.inner])
        self._known = {text for text in self.inner if text}
        # Then a text is cut into tokens alike whatever digits follow it.
        self._digits_alone = all(len(text) == 1 for text in self._known if any(0x30 <= byte <= 0x39 for byte in text))

    def allowed(self, automaton: Automaton, state: State, *, beginning: bool, tokens_left: int) -> list[int]:
        """The tokens that may follow, the end among them.

        Args:
            state: what was written.
            beginning: nothing was.
            tokens_left: how many tokens there may be yet, the end included: one is allowed only if the answer can be
                brought to its end behind it, be it byte by byte.
        """
        found = [self.eos] if automaton.may_end(state) else []
        self._walk(self._first if beginning else self._inner, automaton, state, tokens_left - 2, found)
        return found

    def forced(self, automaton: Automaton, state: State, ids: list[int]) -> list[int]:
        """The tokens that must follow, as the whole text would be cut into tokens; the end too, where nothing else may.

        None where there is a choice, or where the tokens so far are not those that the tokenizer would make.

        Args:
            state: what was written, by `ids`.
        """
        must = automaton.forced(state)
        after = automaton.step(state, must)
        nexts = automaton.next_bytes(after)
        end = [self.eos] if not nexts and automaton.may_end(after) else []
        if not must:
            return end
        whole = self._decode(ids) + must.decode(errors="ignore")
        cut = self._tokenizer.encode(whole, add_special_tokens=False)
        if cut[: len(ids)] != ids:
            return []
        # The last token may grow by what follows, unless that is known to stand alone.
        if not end and not (self._digits_alone and all(0x30 <= byte <= 0x39 for byte in nexts)):
            cut.pop()
        return cut[len(ids) :] + end

    def step(self, automaton: Automaton, state: State, token: int, *, beginning: bool) -> State:
        """The state behind one more token; empty where it is not allowed."""
        text = (self.first if beginning else self.inner)[token]
        return frozenset() if text is None else automaton.step(state, text)

    def _walk(self, trie: Trie, automaton: Automaton, state: State, most: int, found: list[int]) -> None:
        """Take in the tokens below a place of the trie behind which at most so many bytes are missing."""
        if _HERE in trie and automaton.shortest(state) <= most:
            found.extend(trie[_HERE])
        if len(trie) > (_HERE in trie):
            for byte in automaton.next_bytes(state):
                if byte in trie:
                    self._walk(trie[byte], automaton, automaton.step(state, bytes([byte])), most, found)

    def check(self, automaton: Automaton, tokens: int) -> None:
        """Make sure that an answer can be written at all.

        Raises:
            InputError: tokens for some characters are missing, or so few tokens hold no answer.
        """
        unwritable = sorted(mark for mark in automaton.characters() if not self._can_write(mark))
        if unwritable:
            names = ", ".join(map(repr, unwritable[:NAMED]))
            more = f" and {len(unwritable) - NAMED} more" if len(unwritable) > NAMED else ""
            raise InputError(
                f"the tokenizer has no tokens for {names}{more}: answers cannot be constrained.",
                fix="Answer without --constrain.",
            )
        needed = automaton.shortest(automaton.start) + 1
        if tokens < needed:
            raise InputError(
                f"{counted(tokens, 'new token is', 'new tokens are')} too few for a constrained answer; the shortest "
                f"may take {needed}.",
                fix="Raise --max-new-tokens.",
            )

    def _can_write(self, character: str) -> bool:
        data = character.encode()
        return data in self._known or all(bytes([byte]) in self._known for byte in data)

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _bytes(text: str) -> bytes | None:
    """None where the decoder says that a character is not whole."""
    return None if UNFINISHED in text else text.encode()


def _parts_of_characters(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], bytes | None]:
    """How this tokenizer writes bytes that are no whole character: as `<0xE7>`, or all of them by a character each."""
    if "ByteLevel" not in repr(tokenizer.backend_tokenizer.decoder):
        return lambda piece: bytes([int(byte[1], 16)]) if (byte := _BYTE.fullmatch(piece)) else None
    # The alphabet of byte-level BPE: Latin-1's visible characters stand for themselves, the rest from U+0100 on.
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in visible]
    alphabet = {chr(byte): byte for byte in visible} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}
    return lambda piece: bytes(alphabet[one] for one in piece) if set(piece) <= alphabet.keys() else None


def _trie(texts: Sequence[bytes | None]) -> Trie:
    root: Trie = {}
    for index, text in enumerate(texts):
        if text is None:
            continue
        node = root
        for byte in text:
            node = node.setdefault(byte, {})
        node.setdefault(_HERE, []).append(index)
    return root


class Constraint(LogitsProcessor):
    """Leaves only tokens that keep each row's answer readable, and the end where it is whole.

    Made for one call of `generate`: what its first call gets are the prompts.

    Args:
        texts: of the tokenizer.
        automata: one for each prompt; None: that prompt is answered freely.
        budgets: for each prompt the tokens that its answer may have, the end included.

    Raises:
        InputError: see `TokenTexts.check`.
    """

    def __init__(self, texts: TokenTexts, automata: Sequence[Automaton | None], budgets: Sequence[int]) -> None:
        for automaton, budget in zip(automata, budgets, strict=True):
            if automaton is not None:
                texts.check(automaton, budget)
        self.texts, self.automata, self.budgets = texts, automata, budgets
        self._columns: int | None = None
        # By prompt and the tokens so far, since beams change rows. None: free, ended, or never allowed.
        self._states: dict[tuple[int, tuple[int, ...]], State | None] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` float[B, V] with -inf at what `input_ids` int64[B, T] must not go on with."""
        self._columns = input_ids.shape[1] if self._columns is None else self._columns
        rows_per_prompt = len(input_ids) // len(self.automata)
        constrained = torch.full_like(scores, float("-inf"))
        states: dict[tuple[int, tuple[int, ...]], State | None] = {}
        for row, ids in enumerate(input_ids[:, self._columns :].tolist()):
            prompt = row // rows_per_prompt
            automaton = self.automata[prompt]
            state = states[prompt, tuple(ids)] = None if automaton is None else self._state(automaton, prompt, ids)
            if automaton is None or state is None:
                constrained[row] = scores[row]
            else:
                left = self.budgets[prompt] - len(ids)
                allowed = self.texts.allowed(automaton, state, beginning=not ids, tokens_left=left)
                constrained[row, allowed] = scores[row, allowed]
        self._states = states
        return constrained

    def _state(self, automaton: Automaton, prompt: int, ids: list[int]) -> State | None:
        if not ids:
            return automaton.start
        before = self._states[prompt, tuple(ids[:-1])]
        return None if before is None else self.texts.step(automaton, before, ids[-1], beginning=len(ids) == 1) or None
