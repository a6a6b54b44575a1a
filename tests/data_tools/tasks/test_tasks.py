"""Each task by the rules: what is asked, that labels read back, and that a prompt never tells the answer."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

from data_tools.absence import Absent
from data_tools.records import Phrase, Record
from data_tools.selection import Question, select
from data_tools.tasks import TASKS, parse_shares, plan
from data_tools.tasks.next_box import steps
from data_tools.tasks.phrase_to_box import numerous
from data_tools.tasks.view import MOST_ALIKE, View
from data_tools.wording import Voice, load_languages
from grounding.samples import Sample, Task, problems
from grounding.text import GEOMETRIES, NO_MORE, NONE_YET, NOT_FOUND, read_boxes, to_grid, write_boxes
from tests.data_tools.annotated import box, record

SIZE = (400, 300)
NAMES = {"rbc": {"en": ("red cell", "erythrocyte"), "zh": ("红细胞",)}}
SPOTS = {"left": (10, 100, 50, 140), "middle": (150, 110, 190, 150), "right": (320, 90, 360, 130)}


LANGUAGES = {task: load_languages(("en", "zh"), NOT_FOUND, {}, task) for task in TASKS}


def voice(task: Task, seed: int = 0) -> Voice:
    return Voice(LANGUAGES[task], NOT_FOUND, seed, NAMES)


def view(*records: Record, ratio: float = 0.5, **more: int) -> View:
    absent = Absent(records)
    selected, _ = select(records, absent, ratio, "0|train")
    most_alike = more.get("most_alike", MOST_ALIKE)
    return View(records, absent, selected.questions, ratio, "0|train", None, most_alike, numerous(records, most_alike))


def image(name: str, *annotations: Any, **more: Any) -> Record:
    looked_for = frozenset({"rbc", "wbc", "platelet"})
    return record(name, *annotations, **{"size_wh": SIZE, "looked_for": looked_for, **more})


def three(name: str = "a.png", **more: Any) -> Record:
    return image(name, *(box("rbc", *spot) for spot in SPOTS.values()), **more)


def scattered(count: int = 60) -> list[Record]:
    rng = random.Random(5)
    records = []
    for number in range(count):
        boxes = []
        for category in ("rbc", "wbc", "platelet"):
            for _ in range(rng.randint(0, 3)):
                x, y = rng.randint(0, 340), rng.randint(0, 240)
                boxes.append(box(category, x, y, x + rng.randint(20, 60), y + rng.randint(20, 60)))
        records.append(image(f"{number:03d}.png", *boxes))
    return records


def say(question: Question, seed: int = 0) -> Sample:
    sample, found = TASKS[question.task].sample(question, voice(question.task, seed))
    assert sample is not None, found
    return sample


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_sound_and_read_back(task: Task) -> None:
    shown = view(*scattered())
    questions = TASKS[task].questions(shown)
    samples = [say(question) for question in questions]
    assert len(samples) > 40
    assert len({sample.id for sample in samples}) == len(samples)
    assert {sample.lang for sample in samples} == {"en", "zh"}
    for sample in samples:
        assert not list(problems(sample))
        assert sample.task == task
        assert not re.search(r"\{\w+\}", sample.prompt + sample.label)
        if sample.boxes is None:
            continue
        reading = read_boxes(sample.label, NOT_FOUND)
        assert reading.not_found == (not sample.boxes)
        assert not reading.refusals
        cells = to_grid(sample.boxes, SIZE)[0]
        assert sorted(map(tuple, cells)) == sorted(map(tuple, reading.xyxy_grid))
        if not sample.boxes and sample.category:
            there = {a.category for r in shown.records if r.name == sample.image for a in r.annotations}
            assert sample.category not in there


@pytest.mark.parametrize("task", ["phrase_to_boxes", "phrase_to_box", "next_box", "presence"])
def test_the_prompt_is_the_same_whether_the_class_is_there_or_not(task: Task) -> None:
    detail = {"phrase_to_box": "leftmost", "next_box": 0}.get(task, "")
    for seed in range(30):
        there = say(Question(three(), "rbc", True, task, detail), seed)
        absent = say(Question(image("a.png"), "rbc", False, task, detail), seed)
        assert (there.prompt, there.phrase, there.lang) == (absent.prompt, absent.phrase, absent.lang)
        assert there.label != absent.label


WITHOUT = [
    three(refused=frozenset({"rbc"})),
    three(not_exhaustive=frozenset({"rbc"})),
    three(doubtful=True),
    three(absence="none"),
    image("a.png", *(box("rbc", *spot, ignore="crowd") for spot in SPOTS.values())),
    image("a.png", *(box("rbc", *spot) for spot in SPOTS.values()), box("rbc", 200, 10, 240, 50, ignore="crowd")),
]


@pytest.mark.parametrize("task", ["phrase_to_box", "next_box", "all_to_boxes"])
@pytest.mark.parametrize("barred", WITHOUT)
def test_what_is_not_wholly_boxed_is_not_asked_for(task: Task, barred: Record) -> None:
    assert any(question.present for question in TASKS[task].questions(view(three())))
    assert not any(question.present for question in TASKS[task].questions(view(barred)))


def test_everything_is_asked_only_where_everything_was_looked_for() -> None:
    listed = three(absence="listed")
    assert not TASKS["all_to_boxes"].questions(view(listed))
    assert TASKS["phrase_to_box"].questions(view(listed, ratio=0.0))
    empty = say(TASKS["all_to_boxes"].questions(view(image("b.png")))[0])
    assert (empty.boxes, empty.categories, empty.label) == ([], [], NOT_FOUND[empty.lang])


def test_a_phrase_singles_out_the_box_that_it_says() -> None:
    expected = {"leftmost": "left", "rightmost": "right", "left_2": "middle", "right_2": "middle"}
    questions = TASKS["phrase_to_box"].questions(view(three()))
    assert {q.detail: say(q).boxes for q in questions} == {
        geometry: [[float(v) for v in SPOTS[spot]]] for geometry, spot in expected.items()
    }
    phrases = {say(question, seed).phrase for question in questions for seed in range(20)}
    assert {"the leftmost red cell", "the second erythrocyte from the left", "最右边的红细胞"} <= phrases


def test_classes_that_stand_in_numbers_are_passed_over() -> None:
    seven = image("b.png", *(box("rbc", 50 * n, 100, 50 * n + 30, 130) for n in range(7)))
    asked = TASKS["phrase_to_box"].questions
    assert not asked(view(seven))
    assert asked(view(seven, most_alike=7))
    assert {q.record.name for q in asked(view(three(), three("c.png"), seven))} == {"a.png", "c.png"}
    # Where most images hold many, one with few is taken for an image whose annotator left some out.
    assert not asked(view(three(), seven, image("d.png", *seven.annotations)))


def test_a_class_that_another_name_could_mean_is_not_singled_out() -> None:
    confused = image("a.png", *(box("cell", *spot) for spot in SPOTS.values()), box("white_cell", 200, 10, 240, 50))
    made, found = TASKS["phrase_to_box"].sample(
        Question(confused, "cell", True, "phrase_to_box", "leftmost"), voice("phrase_to_box")
    )
    assert made is None
    assert [finding.reason for finding in found] == ["phrase_not_unique"]


def test_absent_classes_are_asked_for_by_the_same_geometries() -> None:
    questions = TASKS["phrase_to_box"].questions(view(*scattered(400), ratio=1.0))
    share = {side: Counter(str(q.detail) for q in questions if q.present == side) for side in (True, False)}
    totals = {side: sum(counts.values()) for side, counts in share.items()}
    assert set(share[True]) <= set(GEOMETRIES)
    assert totals[False] > 200
    for geometry in ("leftmost", "rightmost", "largest", "left_2"):
        shares = [share[side][geometry] / totals[side] for side in (True, False)]
        assert abs(shares[0] - shares[1]) < 0.05


def test_the_steps_give_every_box_once_and_end() -> None:
    image_of_three = three()
    boxes = [list(map(float, spot)) for spot in SPOTS.values()]
    given: list[list[float]] = []
    for question in steps(image_of_three, "rbc"):
        sample = say(question)
        told = write_boxes(given, SIZE).text if given else NONE_YET[sample.lang]
        assert told in sample.prompt
        if sample.boxes is None:
            assert sample.label == NO_MORE[sample.lang]
        else:
            given += sample.boxes
    assert sorted(given) == sorted(boxes)
    assert write_boxes(given, SIZE).text == "[[" + ";".join(write_boxes([b], SIZE).text[2:-2] for b in given) + "]]"
    assert len(steps(image_of_three, "rbc")) == 4


def test_everything_is_told_class_by_class() -> None:
    mixed = image("a.png", box("wbc", 10, 10, 60, 60), box("rbc", 100, 100, 140, 140), box("wbc", 200, 10, 260, 60))
    (question,) = TASKS["all_to_boxes"].questions(view(mixed))
    for seed in range(20):
        sample = say(question, seed)
        reading = read_boxes(sample.label)
        assert reading.groups.tolist() == [0, 1, 1]
        assert sample.categories == ["rbc", "wbc", "wbc"]
        assert ("red cell" if sample.lang == "en" else "红细胞") in sample.label  # the first name
        assert sample.category is None and sample.phrase is None


def test_a_box_that_two_classes_claim_is_not_asked_about() -> None:
    twice = image("a.png", box("rbc", 10, 10, 60, 60), box("wbc", 12, 10, 60, 60), box("platelet", 200, 10, 240, 60))
    questions = TASKS["box_to_phrase"].questions(view(twice))
    assert [q.category for q in questions] == ["platelet"]
    sample = say(questions[0])
    assert (sample.label, sample.boxes, sample.phrase) == ("platelet", None, "platelet")
    assert write_boxes([[200, 10, 240, 60]], SIZE).text in sample.prompt
    assert not TASKS["box_to_phrase"].questions(view(image("a.png", box("rbc"), doubtful=True)))


def test_yes_and_no_are_as_frequent_for_every_class() -> None:
    questions = TASKS["presence"].questions(view(*scattered(), three("z.png")))
    counts = Counter((q.category, q.present) for q in questions)
    assert {category for category, _ in counts} == {"rbc", "wbc", "platelet"}
    assert all(counts[category, True] == counts[category, False] for category, _ in counts)
    # Also of the first so many: pairs follow each other.
    assert [q.present for q in questions] == [True, False] * (len(questions) // 2)
    # A class that is everywhere would tell its answer.
    assert not TASKS["presence"].questions(view(three("a.png"), three("b.png")))


def test_shares_are_of_the_first_task_that_has_any() -> None:
    shown = view(*scattered())
    planned = plan(parse_shares(["phrase_to_boxes=4", "next_box", "presence=2", "box_to_phrase=100"]), shown)
    counts = Counter(question.task for question in planned.questions)
    every = len(shown.selected)
    assert counts["phrase_to_boxes"] == every
    assert counts["next_box"] == round(every / 4) == planned.wanted["next_box"]
    assert counts["presence"] == round(every / 2)
    assert counts["box_to_phrase"] == planned.possible["box_to_phrase"] < planned.wanted["box_to_phrase"]
    assert [q for q in planned.questions if q.task == "phrase_to_boxes"] == list(shown.selected)
    alone = plan(parse_shares(["presence", "next_box"]), view(three("a.png")))
    assert {question.task for question in alone.questions} == {"next_box"}
    assert not plan(parse_shares(["presence"]), view()).questions


def test_a_small_share_takes_one_of_each_class_in_each_image_first() -> None:
    questions = TASKS["next_box"].questions(view(*scattered()))
    pairs = [(q.record.name, q.category) for q in questions]
    different = len(set(pairs))
    assert len(set(pairs[:different])) == different < len(pairs)


def test_other_images_do_not_change_which_questions_come_first() -> None:
    records = scattered()
    few = TASKS["box_to_phrase"].questions(view(*records[:30]))
    many = [q for q in TASKS["box_to_phrase"].questions(view(*records)) if q.record.name < "030"]
    assert few == many


def test_names_are_drawn_for_prompts_and_fixed_in_answers() -> None:
    asked = {say(Question(three(), "rbc", True, "presence"), seed).phrase for seed in range(30)}
    assert asked == {"red cell", "erythrocyte", "红细胞"}
    assert say(Question(three(), "rbc", True, "presence"), 3) == say(Question(three(), "rbc", True, "presence"), 3)
    told = {say(Question(three(), "rbc", True, "box_to_phrase", 0), seed).label for seed in range(30)}
    assert told == {"red cell", "红细胞"}


def test_phrases_of_the_annotations_are_asked_for_as_they_are_and_by_one_task_alone() -> None:
    spots = tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in SPOTS.values())
    phrases = (
        Phrase(text="a  dark cell", boxes_px=spots[:1], place="p", category="rbc"),
        Phrase(text="两个细胞", boxes_px=spots[1:], place="p"),
    )
    shown = view(three(phrases=phrases), ratio=0.0)
    planned = plan(parse_shares(TASKS), shown)
    told = [question for question in planned.questions if question.phrase]
    assert [question.phrase for question in told] == list(phrases)
    assert {question.task for question in told} == {"phrase_to_boxes"}
    assert [q.phrase for q in planned.questions if q.task == "phrase_to_boxes"] == [None, *phrases]
    samples = [say(question) for question in told]
    assert [(s.phrase, s.lang, s.category, len(s.boxes or [])) for s in samples] == [
        ("a dark cell", "en", "rbc", 1),
        ("两个细胞", "zh", None, 2),
    ]


def phrase(text: str, category: str | None = None) -> Phrase:
    return Phrase(text=text, boxes_px=((1.0, 1.0, 9.0, 9.0),), place=f"at {text}", category=category)


def test_a_small_share_of_phrase_to_boxes_is_spread_over_images_by_the_seed() -> None:
    texts = tuple(phrase(f"thing {number}") for number in range(4))
    shown = view(*(image(f"{n:02d}.png", box("rbc"), looked_for=frozenset(), phrases=texts) for n in range(40)))
    shares = parse_shares(["box_to_phrase", "phrase_to_boxes=0.5"])
    drawn = {seed: plan(shares, shown._replace(seed=seed)).questions for seed in "01"}
    for seed, questions in drawn.items():
        names = [q.record.name for q in questions if q.task == "phrase_to_boxes"]
        assert len(names) == 20
        assert len(set(names)) > 12  # 15.9 of 40 on average, and 4 were the first taken by name
        assert max(names) > "19.png"
        assert questions == plan(shares, shown._replace(seed=seed)).questions
    assert drawn["0"] != drawn["1"]
    whole = plan(parse_shares(["phrase_to_boxes"]), shown)
    assert whole.questions == list(shown.selected)


def test_a_phrase_that_looks_like_boxes_is_refused_by_its_own_place() -> None:
    like_boxes = phrase("[[000,000,001,001]]")
    (question,) = TASKS["phrase_to_boxes"].questions(view(image("a.png", phrases=(like_boxes,))))
    told = [TASKS["phrase_to_boxes"].sample(question, voice("phrase_to_boxes", seed)) for seed in range(30)]
    refused = [found for sample, found in told if sample is None]
    assert 0 < len(refused) < len(told)
    assert {(f.reason, f.place) for found in refused for f in found} == {("phrase_unwritable", like_boxes.place)}


@pytest.mark.parametrize(("category", "known"), [("rbc", 1), ("wbc", 0), (None, 0)])
def test_not_all_is_told_where_a_phrase_points_to_something_of_no_annotated_class(
    category: str | None, known: int
) -> None:
    spoken = image("a.png", box("rbc"), phrases=(phrase("it", category),))
    assert len(TASKS["all_to_boxes"].questions(view(spoken))) == known
