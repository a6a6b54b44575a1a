"""`grounding predict`: images and phrases to boxes; every kind of answer is said plainly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from grounding.cli.main import group
from grounding.inference.engine import Answer, Request
from grounding.text import NOT_FOUND
from tests.inference.scripted import tiny_model


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (200, 100), "teal").save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces the model by one that says `asked["answer"]`, and keeps what it was asked."""
    box: dict[str, Any] = {"answer": Answer("[[100,100,500,600;000,000,050,050]]", "eos", [-0.25, -1.5])}

    def load(path: Path, **options: Any) -> Any:
        box.update(path=path, options=options)
        return tiny

    def answer(model: Any, processor: Any, requests: list[Request], **more: Any) -> Iterator[Answer]:
        box.update(request=requests[0], requests=requests, more=more)
        yield from [box["answer"]] * len(requests)

    tiny = tiny_model()
    monkeypatch.setattr("grounding.models.loading.load_model", load)
    monkeypatch.setattr("grounding.cli.predict.check_model", lambda options: None)
    monkeypatch.setattr("grounding.inference.engine.answer", answer)
    return box


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(group, ["predict", *map(str, words)])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


def test_boxes_in_pixels(image: Path, asked: dict[str, Any]) -> None:
    said = run(image, "red [cell]", "--model", "m").output
    assert "2 boxes for “red [cell]”" in said and "(200 x 100)" in said
    assert "x 20.0 to 100.0, y 10.0 to 60.0 px" in said and "-0.250" in said
    assert "[[100,100,500,600;000,000,050,050]]" in said
    assert asked["request"].prompt == "Where is red [cell]? answer in [[x0,y0,x1,y1]] format."


def test_an_out_without_a_suffix_is_a_folder(image: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    run(image, "cell", "--model", "m", "--out", tmp_path / "seen")
    assert [path.name for path in (tmp_path / "seen").iterdir()] == [f"{image.name}.png"]


def test_json_and_the_picture(image: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    said = run(image, "cell", "--model", "m", "--json", "--out", tmp_path / "out.png", "--lang", "zh")
    found = json.loads(said.stdout)
    assert found["boxes_px"] == [[20.0, 10.0, 100.0, 60.0], [0.0, 0.0, 10.0, 5.0]]
    assert found["boxes_grid"][0] == [100, 100, 500, 600]
    assert found["status"] == "boxes" and found["scores"] == [-0.25, -1.5] and found["size"] == [200, 100]
    assert "cell" in found["prompt"] and not found["prompt"].isascii()
    assert found["drawn"] == str(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.size == (400, 200), "enlarged, so that the numbers can be read"
        assert drawn.getpixel((41, 60)) != drawn.getpixel((100, 60)), "a line at x = 20 of 200"


@pytest.mark.parametrize(
    ("text", "finish", "status", "words"),
    [
        (NOT_FOUND["en"], "eos", "not_found", "“cell” was not found."),
        ("None to be seen", "eos", "not_found", "was not found"),
        ("It is over there", "eos", "unparsable", "cannot be read: neither a group of boxes"),
        ("[[100,1", "length", "cut_off", "cut off before one complete box, by --max-boxes"),
        ("[[100,100,500,600;1,2]]", "eos", "boxes", "could not be read: count 1 (characters 18-21)"),
    ],
)
def test_every_kind_of_answer(
    image: Path, asked: dict[str, Any], text: str, finish: Any, status: str, words: str
) -> None:
    asked["answer"] = Answer(text, finish)
    call = [image, "cell", "--model", "m", "--not-found", "None to be seen."]
    assert words in run(*call).output
    assert json.loads(run(*call, "--json").stdout)["status"] == status


def test_refused_parts_are_counted_by_reason_with_the_first_places(image: Path, asked: dict[str, Any]) -> None:
    parts = ["100,100,500,600", *["1,2"] * 200, "500,100,100,600"]
    asked["answer"] = Answer(f"[[{';'.join(parts)}]]", "eos")
    (line,) = (line for line in run(image, "cell", "--model", "m").output.splitlines() if line.startswith("Parts"))
    assert "count 200 (characters 18-21, 22-25, 26-29, ...); inverted 1 (characters 818-833)" in line
    assert len(json.loads(run(image, "cell", "--model", "m", "--json").stdout)["refusals"]) == 201


def test_names_stand_at_their_boxes_or_their_lack_is_said(
    image: Path, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[Any] = []
    monkeypatch.setattr("grounding.evaluation.drawing.draw_boxes", lambda *given: named.append(given[3]) or given[0])
    run(image, "cell", "gear", "--model", "m")
    run(image, "--prompt", "Where?", "--model", "m")
    assert named == [["cell", "cell", "gear", "gear"], ["", ""]]
    monkeypatch.setattr("grounding.evaluation.fonts._file_with", lambda characters: None)
    said = run(image, "cell", "齿轮", "--model", "m").stderr
    assert "No font of this machine can write 齿轮: in drawings these have their number alone." in said


def test_several_phrases_are_asked_of_one_picture_in_their_languages(
    image: Path, asked: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "phrases.txt").write_text("\ufeff螺母\n\ncell\n", encoding="utf-8")
    said = run(image, "cell", "gear", "--phrases", tmp_path / "phrases.txt", "--model", "m").output
    prompts = [request.prompt for request in asked["requests"]]
    assert len(prompts) == 3, "the same phrase once"
    assert [prompt.isascii() for prompt in prompts] == [True, True, False]
    assert len({request.image_key for request in asked["requests"]}) == 1, "encoded once"
    assert "    1  x 20.0" in said and "    3  x 20.0" in said and "    6  x 0.0" in said, "numbers of the drawing"
    drawn = tmp_path / "photo.boxes.png"
    assert f"Drawn: {drawn}" in said and drawn.is_file()


def test_a_folder_is_answered_picture_by_picture(asked: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, side in (("b.png", 50), ("a.JPG", 100), ("old.boxes.png", 10)):
        Image.new("RGB", (side, side)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("x")
    result = run(folder, "cell", "gear", "--model", "m", "--json", status=1)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(Path(row["image"]).name, row.get("phrase")) for row in rows] == [
        ("broken.png", None),
        *((name, phrase) for name in ("a.JPG", "b.png") for phrase in ("cell", "gear")),
    ]
    assert rows[0]["status"] == "unreadable" and "broken.png" in rows[0]["reason"]
    assert rows[1]["boxes_px"][0] == [10.0, 10.0, 50.0, 60.0] and rows[1]["drawn"] is None
    assert "2 of 5 files are no pictures" in result.stderr
    last = result.stderr.splitlines()[-2:]
    assert last[0] == "2 pictures, 4 questions: boxes 4." and last[1] == f"Unreadable: {rows[0]['reason']}"
    assert len({request.image_key for request in asked["requests"]}) == 2
    said = run(folder, "cell", "--model", "m", status=1).output
    assert "Unreadable: " in said
    assert sorted(path.name for path in (tmp_path / "photos.boxes").iterdir()) == ["a.JPG.png", "b.png.png"]


def test_nothing_found_draws_nothing(image: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    asked["answer"] = Answer(NOT_FOUND["en"], "eos")
    assert "Drawn" not in run(image, "cell", "--model", "m").output
    asked["answer"] = Answer("[[100,100,500,600]]", "eos")
    run(image, "cell", "--model", "m", "--no-draw")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_without_a_model_pocket_answers_and_it_is_said(image: Path, asked: dict[str, Any]) -> None:
    result = run(image, "cell", "--json")
    assert asked["path"] == Path("pocket")
    assert "pocket answers" in result.stderr
    assert json.loads(result.stdout)["status"] == "boxes", "stdout is JSON alone"


def test_a_prompt_of_ones_own_is_asked_as_it_is(image: Path, asked: dict[str, Any]) -> None:
    said = run(image, "--prompt", "Where {phrase}?", "--model", "m", "--max-new-tokens", "9").output
    assert asked["request"].prompt == "Where {phrase}?"
    assert asked["more"]["max_new_tokens"] == 9
    assert "for this prompt" in said


def test_the_picture_is_seen_upright(asked: dict[str, Any], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "turned.jpg", exif=exif)
    assert json.loads(run(tmp_path / "turned.jpg", "x", "--model", "m", "--json").stdout)["size"] == [100, 200]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo.jpg"], "either a PHRASE or --prompt"),
        (["photo.jpg", "x", "--prompt", "y"], "either a PHRASE or --prompt"),
        (["photo.jpg", ""], "phrase is empty"),
        (["photo.jpg", "--phrases", "empty.txt"], "no phrase in this file"),
        (["photo.jpg", "--phrases", "nowhere.txt"], "there is no such file of phrases"),
        (["photo.jpg", "x", "--out", "a.png", "--no-draw"], "--out or --no-draw"),
        (["nothing", "x"], "no picture is in this folder"),
        (["nowhere.jpg", "x"], "no such image file or folder"),
        (["broken.jpg", "x"], "Error: the image broken.jpg cannot be read"),
        (["photo.jpg", "x", "--out", "out.txt"], ".png"),
    ],
)
def test_wrong_calls(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "nothing").mkdir()
    assert message in run(*words, "--model", "pocket", status=2).output


def test_a_picture_that_was_asked_for_and_has_no_box_is_told(
    image: Path, tmp_path: Path, asked: dict[str, Any]
) -> None:
    asked["answer"] = Answer(NOT_FOUND["en"], "eos")
    said = run(image, "cell", "--model", "m", "--out", tmp_path / "out.png")
    assert f"Not drawn, without a box to draw: {tmp_path / 'out.png'}." in said.stderr
    assert not (tmp_path / "out.png").exists()
    assert "Not drawn" not in run(image, "cell", "--model", "m").stderr, "nobody asked for it"


def test_what_is_allowed_and_how_long_it_may_be(image: Path, asked: dict[str, Any]) -> None:
    found = json.loads(run(image, "cell", "--model", "m", "--json", "--max-boxes", "3").stdout)
    assert (asked["request"].automaton, asked["more"]["max_new_tokens"]) == (None, 112)
    assert asked["request"].not_found == NOT_FOUND["en"] and found["not_found_logprob"] is None
    run(image, "cell", "--model", "m", "--constrain", "--max-boxes", "3", "--not-found", "Absent.", "--lang", "zh")
    automaton = asked["request"].automaton
    for text in ("Absent.", "[[000,000,001,001]]", "cell：[[000,000,001,001]]"):
        assert automaton.may_end(automaton.step(automaton.start, text.encode()))
    for text in (NOT_FOUND["en"], "cell: ", "[[000,000,001,001;" + "000,000,001,001;" * 2):
        assert not automaton.step(automaton.start, text.encode())


def test_wordings_of_ones_own(image: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Find {phrase}. => Look, {phrase}: {boxes}")
    run(image, "cell", "--model", "m", "--constrain", "--templates", tmp_path / "mine.txt")
    automaton = asked["request"].automaton
    assert asked["request"].prompt == "Find cell."
    assert automaton.may_end(automaton.step(automaton.start, b"Look, cell: [[000,000,001,001]]"))
    assert not automaton.step(automaton.start, b"cell: ")


def test_another_image_size_and_what_is_to_be_said_of_the_adapter(
    image: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = replace(tiny_model(), warnings=("Mind the base.",))
    monkeypatch.setattr("grounding.models.loading.load_model", lambda path, **options: asked.update(options) or warned)
    said = run(image, "cell", "--model", "m", "--adapter", "a", "--image-size", "56")
    assert asked["image_size"] == 56 and "Warning: Mind the base." in said.stderr


def test_a_real_tiny_model(image: Path, tmp_path: Path) -> None:
    tiny = tiny_model()
    tiny.model.save_pretrained(tmp_path / "model")
    tiny.processor.save_pretrained(tmp_path / "model")
    said = run(image, "dog", "--model", tmp_path / "model", "--json", "--max-new-tokens", "4", "--device", "cpu")
    assert json.loads(said.stdout)["status"] in ("cut_off", "unparsable", "boxes")
    assert said.stderr == "", "no bars and warnings of the libraries"
    call = [image, "dog", "--model", tmp_path / "model", "--json", "--max-new-tokens", "4", "--device", "cpu"]
    assert json.loads(run(*call, "--image-size", "56").stdout)["finish"]
    assert "Near it: 56 and 70" in run(*call, "--image-size", "57", status=2).stderr
    said = run(image, "dog", "--model", tmp_path / "model", "--json", "--constrain", "--device", "cpu")
    assert json.loads(said.stdout)["status"] in ("boxes", "not_found")
