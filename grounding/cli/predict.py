"""`grounding predict`: images and phrases to boxes in pixels, on the terminal, as JSON and drawn into pictures.

Joins pictures, the engine and the reading of answers; knows nothing of how each works.

grounding predict photo.jpg "red blood cell" --model checkpoints/cogvlm --adapter runs/mine/adapter
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Console
from rich.markup import escape

from grounding.cli.choice import Choice
from grounding.cli.model_options import PATH, answer_tokens, check_model, load, model_options
from grounding.cli.there import check_there
from grounding.counted import counted
from grounding.errors import InputError
from grounding.evaluation.parse import Judged, judge
from grounding.progress import Bars, waiting
from grounding.samples import Lang, Sample, open_image
from grounding.text import NOT_FOUND, REASONS, Automaton, answer_automaton, fill_prompt, load_wordings, to_pixels

if TYPE_CHECKING:
    from PIL import Image

    from grounding.inference.engine import Answer

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
DRAWN = ".boxes"  # photo.jpg is drawn on as photo.boxes.png
DEFAULT_MODEL = "pocket"
PLACES = 3  # refused parts that are told by their place, of each reason; unreadable pictures that are named again
BECAME = {"boxes": "boxes", "not_found": "not found", "unparsable": "cannot be read", "cut_off": "cut off"}
FEW = 9  # questions below which no bar is shown: they are answered before one could be read


class Asked(NamedTuple):
    """One question about every picture."""

    phrase: str | None
    prompt: str
    lang: Lang


@click.command(name="predict")
@click.argument("image", type=PATH)
@click.argument("phrases", nargs=-1, metavar="[PHRASE]...")
@model_options
@click.option("--phrases", "phrase_file", type=PATH, metavar="FILE", help="More phrases, one a line.")
@click.option("--prompt", metavar="TEXT", help="The whole prompt as it is to be asked, in place of phrases.")
@click.option("--lang", type=Choice(["en", "zh"]), help="Of the prompts. Default: zh for a phrase with Han characters.")
@click.option(
    "--not-found", metavar="TEXT", help="The not-found sentence the model was trained on, if a different one."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line; draw only where --out says.")
@click.option("--out", type=PATH, metavar="PATH", help="Picture with the boxes, or a folder for such.")
@click.option("--no-draw", is_flag=True, help="Write no picture.")
@click.option("--templates", type=PATH, metavar="FILE", help="Your own wordings, in place of the packaged ones.")
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Prompts at once.")
def command(
    image: Path,
    phrases: tuple[str, ...],
    phrase_file: Path | None,
    prompt: str | None,
    lang: Lang | None,
    as_json: bool,
    out: Path | None,
    no_draw: bool,
    **options: Any,
) -> None:
    """Find each PHRASE in IMAGE, or in every picture of a folder.

    Boxes are in pixels of the picture as it is seen (turned as its EXIF data say), and drawn into a copy of it: beside
    it as NAME.boxes.png, or where --out says. That nothing was found, or that the answer cannot be read, is an answer
    too: the exit status is 0. It is 1 where pictures of a folder could not be read; the others are answered.
    """
    asked = _questions([*phrases, *_lines(phrase_file)], prompt, lang, options["templates"])
    if no_draw and out is not None:
        raise InputError("give either --out or --no-draw.", where="grounding predict")
    check_model(options)
    names = _pictures(image)
    draw = not no_draw and (out is not None or not as_json)
    places = {name: _drawn_name(image, name, out) for name in names} if draw else {}
    _check_drawable(places.values())
    if draw:
        _say_unwritable(one.phrase for one in asked if one.phrase)
    readable, unreadable = _sorted_out(names, only=not image.is_dir())
    if options["model"] is None:
        options["model"] = Path(DEFAULT_MODEL)
        click.echo("No --model is given: pocket answers, the small model that comes with this package.", err=True)
    tell = _tell_json if as_json else partial(_tell, Console())
    tell([{"image": str(path), "status": "unreadable", "reason": why} for path, why in unreadable.items()])
    not_drawn: list[Path] = []
    became: Counter[str] = Counter()
    for path, picture, rows in _answered(readable, asked, options):
        drawn = _draw(picture, rows, places[path]) if draw else None
        if draw and drawn is None:
            not_drawn.append(places[path])
        became.update(row["status"] for row in rows)
        tell([row | {"drawn": drawn} for row in rows])
    if image.is_dir():
        _sum_up(became, len(readable), unreadable)
    if not_drawn and out is not None:
        more = "" if len(not_drawn) == 1 else f" and {len(not_drawn) - 1:,} more"
        click.echo(f"Not drawn, without a box to draw: {not_drawn[0]}{more}.", err=True)
    if unreadable:
        click.get_current_context().exit(1)


def _sum_up(became: Counter[str], pictures: int, unreadable: Mapping[Path, str]) -> None:
    """What became of all questions about a folder: where there are hundreds, the first lines are long gone."""
    said = ", ".join(f"{word} {became[status]:,}" for status, word in BECAME.items() if became[status])
    click.echo(f"{counted(pictures, 'picture')}, {counted(became.total(), 'question')}: {said or 'none'}.", err=True)
    for why in islice(unreadable.values(), PLACES):
        click.echo(f"Unreadable: {why}", err=True)
    if len(unreadable) > PLACES:
        click.echo(f"Unreadable: {len(unreadable) - PLACES:,} more.", err=True)


def _lines(path: Path | None) -> list[str]:
    """The phrases of a file; empty lines are none."""
    if path is None:
        return []
    check_there(path, "file of phrases")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the phrases cannot be read ({error}); it must be a UTF-8 text.", where=str(path)) from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError("there is no phrase in this file; write one a line.", where=str(path))
    return found


def _questions(phrases: Sequence[str], prompt: str | None, lang: Lang | None, templates: Path | None) -> list[Asked]:
    """What is asked of every picture: the prompt as given, or each phrase in the first wording of its language."""
    if bool(phrases) == (prompt is not None):
        raise InputError("give either a PHRASE or --prompt (many phrases: --phrases FILE).", where="grounding predict")
    if prompt is not None:
        return [Asked(None, prompt, lang or _language(prompt))]
    if not all(phrase.strip() for phrase in phrases):
        raise InputError("a phrase is empty; say what to look for.", where="PHRASE")
    return [_question(phrase, lang or _language(phrase), templates) for phrase in dict.fromkeys(phrases)]


def _question(phrase: str, lang: Lang, templates: Path | None) -> Asked:
    return Asked(phrase, fill_prompt(load_wordings("phrase_to_boxes", lang, templates)[0], phrase), lang)


def _language(text: str) -> Lang:
    return "zh" if any(unicodedata.name(character, "").startswith("CJK UNIFIED") for character in text) else "en"


def _pictures(image: Path) -> list[Path]:
    """The file itself, or the pictures in a folder by name; drawings of an earlier call are none."""
    if image.is_file():
        return [image]
    check_there(image, "image file or folder")
    files = sorted(path for path in image.iterdir() if path.is_file())
    found = [path for path in files if path.suffix.lower() in PICTURES and not path.stem.endswith(DRAWN)]
    if not found:
        raise InputError(f"no picture is in this folder; looked for {', '.join(PICTURES)}.", where=str(image))
    others = len(files) - len(found)
    if others:
        are = "is no picture, by its name" if others == 1 else "are no pictures, by their names"
        click.echo(f"{image}: {others} of {counted(len(files), 'file')} {are}.", err=True)
    return found


def _drawn_name(image: Path, path: Path, out: Path | None) -> Path:
    """Where the drawing of a picture goes; an `out` without a suffix is a folder, for one picture too."""
    if image.is_file() and (out is None or out.suffix):
        return out or path.with_name(f"{path.stem}{DRAWN}.png")
    # The whole name: a.jpg and a.png may lie in one folder.
    return (out or image.with_name(f"{image.resolve().name}{DRAWN}")) / f"{path.name}.png"


def _check_drawable(paths: Iterable[Path]) -> None:
    from grounding.evaluation.drawing import check_drawable

    for path in paths:
        check_drawable(path)


def _sorted_out(names: Sequence[Path], *, only: bool) -> tuple[list[Path], dict[Path, str]]:
    """The pictures that decode, and why others do not.

    Raises:
        InputError: the `only` one does not.
    """
    readable: list[Path] = []
    unreadable: dict[Path, str] = {}
    for path in names:
        try:
            _open(path).close()
            readable.append(path)
        except InputError as error:
            if only:
                raise
            unreadable[path] = str(error)
    return readable, unreadable


def _open(path: Path) -> Image.Image:
    """The picture as it is seen, RGB.

    Raises:
        InputError: it does not decode.
    """
    seen = Sample(id=str(path), image=path.name, width=None, height=None, prompt="", label="", boxes=None, upright=True)
    try:
        return open_image(path.parent, seen, follow_links=True)
    except InputError as error:  # told of a dataset's sample, and there is none here
        raise InputError(error.problem, fix=error.fix) from error


def _answered(
    pictures: Sequence[Path], asked: Sequence[Asked], options: Mapping[str, Any]
) -> Iterator[tuple[Path, Image.Image, list[dict[str, Any]]]]:
    """Each picture with a row for each question, as they are answered; an image is encoded once for all of them."""
    from grounding.inference.engine import Request, answer

    if not pictures:
        return
    sentences = NOT_FOUND if options["not_found"] is None else {**NOT_FOUND, "given": options["not_found"]}
    with waiting("loading the model"):
        loaded = load(options)
    requests = [
        Request(
            partial(_open, path),
            one.prompt,
            image_key=str(path),
            not_found=options["not_found"] or NOT_FOUND[one.lang],
            automaton=_automaton(one, sentences, options),
        )
        for path in pictures
        for one in asked
    ]
    with Bars(quiet=len(requests) < FEW) as bars, bars.step("answering", len(requests)) as progress:
        made = answer(
            loaded.model,
            loaded.processor,
            requests,
            batch_size=options["batch_size"],
            max_new_tokens=answer_tokens(options),
            progress=progress,
        )
        for path in pictures:
            with _open(path) as picture:
                answers = zip(asked, islice(made, len(asked)), strict=True)
                yield path, picture, [_row(path, picture, one, said, sentences) for one, said in answers]


def _automaton(one: Asked, sentences: Mapping[str, str], options: Mapping[str, Any]) -> Automaton | None:
    if not options["constrain"]:
        return None
    sentence = options["not_found"] or NOT_FOUND[one.lang]
    wordings = load_wordings("phrase_to_boxes", one.lang, options["templates"])
    return answer_automaton(wordings, one.phrase, [sentence], options["max_boxes"], sentences)


def _row(path: Path, picture: Image.Image, one: Asked, said: Answer, sentences: Mapping[str, str]) -> dict[str, Any]:
    """An answer and what it says, as it stands in the JSON."""
    judged = judge(said.text, said.finish, sentences)
    return {
        "image": str(path),
        "size": list(picture.size),
        "phrase": one.phrase,
        "prompt": one.prompt,
        "text": said.text,
        "finish": said.finish,
        "status": judged.status,
        "reason": judged.reason,
        "boxes_px": _rounded(judged, picture.size),
        "boxes_grid": judged.xyxy_grid.tolist(),
        "scores": said.scores if judged.status == "boxes" else [],
        "not_found_logprob": said.not_found_logprob,
        "constrained": said.constrained,
        "refusals": [refusal._asdict() for refusal in judged.refusals],
    }


def _rounded(judged: Judged, size_wh: tuple[int, int]) -> list[list[float]]:
    return [[round(value, 2) for value in box] for box in to_pixels(judged.xyxy_grid, size_wh).tolist()]


def _draw(picture: Image.Image, rows: Sequence[Mapping[str, Any]], place: Path) -> str | None:
    """Draws all boxes, those of one phrase in one colour, and returns where; None where there are none."""
    from grounding.evaluation.drawing import draw_boxes, enlarged, save_picture

    boxes = [box for row in rows for box in row["boxes_px"]]
    if not boxes:
        return None
    row_of = [number for number, row in enumerate(rows) for _ in row["boxes_px"]]
    large, times = enlarged(picture)
    drawn = draw_boxes(
        large,
        [[times * edge for edge in box] for box in boxes],
        row_of if len(rows) > 1 else None,
        [rows[number]["phrase"] or "" for number in row_of],
    )
    save_picture(drawn, place)
    return str(place)


def _say_unwritable(phrases: Iterable[str]) -> None:
    """That names will be missing in drawings, where this machine has no font for them."""
    from grounding.evaluation.fonts import font_for

    lacking = [phrase for phrase in phrases if font_for(phrase, 12) is None]
    if lacking:
        names = ", ".join(lacking)
        click.echo(f"No font of this machine can write {names}: in drawings these have their number alone.", err=True)


def _tell_json(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def _tell(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The answers about a picture for people; boxes are numbered as in the drawing."""
    number = 0
    for row in rows:
        for line in _lines_of(row, number):
            console.print(escape(line), highlight=False, soft_wrap=True)
        number += len(row.get("boxes_px", []))
    if rows and rows[0].get("drawn"):
        console.print(f"Drawn: {escape(rows[0]['drawn'])}", highlight=False, soft_wrap=True)


def _refused(refusals: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each reason how many parts were refused, and where in the answer the first of them stand."""
    places: dict[str, list[str]] = {}
    for part in refusals:
        places.setdefault(part["reason"], []).append(f"{part['start']}-{part['end']}")
    for reason, where in places.items():
        more = ", ..." if len(where) > PLACES else ""
        yield f"{reason} {len(where):,} (characters {', '.join(where[:PLACES])}{more})"


def _lines_of(row: Mapping[str, Any], before: int) -> Iterator[str]:
    """What is said of one answer; `before`: how many boxes the answers before it have."""
    if row["status"] == "unreadable":
        yield f"Unreadable: {row['reason']}"
        return
    asked = f"\u201c{row['phrase']}\u201d" if row["phrase"] else "this prompt"
    width, height = row["size"]
    said = {
        "not_found": f"{asked} was not found.",
        "unparsable": f"{asked}: the answer cannot be read: {REASONS.get(row['reason'], '')} ({row['reason']}).",
        "cut_off": f"{asked}: the answer was cut off before one complete box, by --max-boxes, --max-new-tokens or the "
        "positions of the model.",
        "boxes": f"{counted(len(row['boxes_px']), 'box', 'boxes')} for {asked}",
    }[row["status"]]
    yield f"{row['image']} ({width} x {height}): {said}"
    for index, (x0, y0, x1, y1) in enumerate(row["boxes_px"]):
        score = f"   log-probability {row['scores'][index]:.3f}" if row["scores"] else ""
        yield f"  {before + index + 1:3d}  x {x0:.1f} to {x1:.1f}, y {y0:.1f} to {y1:.1f} px{score}"
    if row["status"] == "boxes" and row["refusals"]:
        yield f"Parts of the answer that could not be read: {'; '.join(_refused(row['refusals']))}"
    yield f"Answer: {row['text']}"
