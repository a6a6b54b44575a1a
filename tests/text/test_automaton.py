"""The automaton: what it accepts reads without refusals, and what the writer emits it accepts."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grounding.text import (
    NOT_FOUND,
    Wording,
    answer_automaton,
    automaton,
    fill_answer,
    load_wordings,
    read_boxes,
    write_boxes,
)
from grounding.text.automaton import Automaton, Frame, State

WORDINGS = {lang: load_wordings("phrase_to_boxes", lang) for lang in ("en", "zh")}
PHRASES = [
    "dog",
    "红细胞",
    "a {boxes} [x]",
    "cell; 1,2",
    "",
    "未找到指定目标",
    "[[1,2",
    "]]",
    "No matching object was found",
]
EDGES = st.sampled_from([0, 1, 2, 997, 998, 999]) | st.integers(0, 999)


def accepts(machine: Automaton, text: str) -> bool:
    return machine.may_end(machine.step(machine.start, text.encode()))


def test_the_words_of_a_label_are_allowed_or_not_whatever_its_boxes() -> None:
    machine = answer_automaton([Wording("{phrase}", "{phrase} is at {boxes}.")], "dog", [NOT_FOUND["en"]], 1)
    three = "[[001,002,003,004;001,002,003,005;001,002,003,006]]"
    for label in (three, f"dog is at {three}.", NOT_FOUND["en"], "somewhere"):
        assert machine.has_words_of(label), label
    for label in (f"dog is at {three}", f"cat is at {three}.", f"Here: {three}"):
        assert not machine.has_words_of(label), label


def walk(machine: Automaton, rng: random.Random, most: int = 2000) -> str:
    """A random answer: any byte that may come next, the end with some chance where it may."""
    state, written = machine.start, bytearray()
    while not (machine.may_end(state) and rng.random() < 0.5):
        nexts = machine.next_bytes(state)
        if not nexts:
            break
        # Ends of ranges are where mistakes hide.
        byte = rng.choice([nexts[0], nexts[-1], rng.choice(nexts)])
        before = machine.shortest(state)
        state = machine.step(state, bytes([byte]))
        written.append(byte)
        assert state and machine.shortest(state) >= before - 1, "one byte, at most one less is missing"
        assert len(written) < most
    assert machine.may_end(state) and machine.shortest(state) == 0
    return written.decode()


@given(st.integers(), st.sampled_from(PHRASES), st.sampled_from(["en", "zh"]), st.integers(1, 4))
def test_what_is_accepted_reads_without_refusals(seed: int, phrase: str, lang: str, most: int) -> None:
    machine = answer_automaton(WORDINGS[lang], phrase, [NOT_FOUND[lang]], most)
    text = walk(machine, random.Random(seed))
    reading = read_boxes(text)
    assert not reading.refusals
    if reading.not_found:
        assert text == NOT_FOUND[lang]
        return
    cells = reading.xyxy_grid
    assert 1 <= len(cells) <= most
    assert (cells[:, :2] < cells[:, 2:]).all() and cells.min() >= 0 and cells.max() <= automaton.LAST_CELL
    keys = [(y0, x0, y1, x1) for x0, y0, x1, y1 in cells.tolist()]
    assert keys == sorted(keys)
    canonical = ";".join(",".join(f"{cell:03d}" for cell in box) for box in cells.tolist())
    assert f"[[{canonical}]]" in text


@given(
    st.lists(st.tuples(EDGES, EDGES, EDGES, EDGES), min_size=1, max_size=5),
    st.sampled_from([(lang, wording) for lang, wordings in WORDINGS.items() for wording in wordings]),
    st.sampled_from(["dog", "红细胞", "a {boxes} {phrase}", "cell; 1,2", "[x]"]),
)
def test_what_the_writer_emits_is_accepted(
    boxes: list[tuple[int, ...]], asked: tuple[str, Wording], phrase: str
) -> None:
    lang, wording = asked
    ordered = [(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)) for x0, y0, x1, y1 in boxes]
    text = fill_answer(wording, phrase, write_boxes(ordered, (1000, 1000)).text)
    machine = answer_automaton(WORDINGS[lang], phrase, [NOT_FOUND[lang]], len(boxes))
    assert accepts(machine, text)
    assert accepts(machine, NOT_FOUND[lang])
    if len(boxes) > 1:
        assert not accepts(answer_automaton(WORDINGS[lang], phrase, [NOT_FOUND[lang]], len(boxes) - 1), text)


def test_all_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a grid of four cells with one digit: exactly the ordered groups of whole boxes, and no dead end."""
    for name, value in {"LAST_CELL": 3, "LAST_START": 2, "DIGITS": 1, "BOX_BYTES": 7}.items():
        monkeypatch.setattr(automaton, name, value)
    machine = Automaton([Frame("", "")], [], 2)
    found: list[str] = []

    def explore(state: State, text: bytes) -> None:
        if machine.may_end(state):
            found.append(text.decode())
        nexts = machine.next_bytes(state)
        assert nexts or machine.may_end(state), text
        for byte in nexts:
            explore(machine.step(state, bytes([byte])), text + bytes([byte]))

    explore(machine.start, b"")
    cells = range(4)
    boxes = [box for box in itertools.product(cells, repeat=4) if box[0] < box[2] and box[1] < box[3]]
    groups = [(box,) for box in boxes]
    groups += [(a, b) for a in boxes for b in boxes if (a[1], a[0], a[3], a[2]) <= (b[1], b[0], b[3], b[2])]
    expected = ["[[" + ";".join(",".join(map(str, box)) for box in group) + "]]" for group in groups]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        "[[001,002,003]]",
        "[[001,002,003,1000]]",
        "[[1,2,3,4]]",
        "[[001,002,001,004]]",
        "[[005,006,003,008]]",
        "[[001,002,003,004;]]",
        "[[001,002,003,004;001,001,003,004]]",
        "[[001,002,003,004]] ",
        " [[001,002,003,004]]",
        "[001,002,003,004]",
        "[[001,002,003,004]][[001,002,003,004]]",
        "no matching object was found",
        "No matching object was found.[[001,002,003,004]]",
        "cat: [[001,002,003,004]]",
        "",
    ],
)
def test_what_is_not_accepted(text: str) -> None:
    assert not accepts(answer_automaton(WORDINGS["en"], "dog", [NOT_FOUND["en"]], 4), text)


def test_what_must_follow() -> None:
    wordings = [Wording("", "dog: {boxes}."), Wording("", "dig {boxes}")]
    machine = answer_automaton(wordings, None, ["Nothing."], 2, {"en": "nothing"})

    def forced(text: str) -> str:
        return machine.forced(machine.step(machine.start, text.encode())).decode()

    assert (forced(""), forced("d"), forced("do"), forced("N")) == ("", "", "g: [[", "othing.")
    assert (forced("[[998"), forced("[[998,998"), forced("[[998,998,")) == (",", ",999,999", "999,999")
    assert forced("[[001,002,003,004") == "", "another box, or the end"
    assert forced("dog: [[998,998,999,999;") == "998,998,999,999]].", "no box comes later, and no third one is allowed"
    assert forced("dog: [[998,998,999,999;998,998,999,999]") == "]."


def test_words_that_would_not_read_back_are_left_out() -> None:
    for phrase in ("[[1,2", "未找到指定目标"):
        machine = answer_automaton(WORDINGS["zh"], phrase, [NOT_FOUND["zh"]], 1)
        assert not machine.step(machine.start, f"{phrase}：".encode())
        assert accepts(machine, "[[000,000,001,001]]")
    without = answer_automaton(WORDINGS["en"], None, [], 1)
    assert bytes(without.next_bytes(without.start)) == b"["
    with pytest.raises(ValueError, match="no not-found sentence"):
        answer_automaton([], None, ["Hello"], 1)
    assert answer_automaton([], None, ["Hello!"], 1, {"en": "hello"}).characters() >= set("Hello!")
