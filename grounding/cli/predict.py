"""`grounding predict`: one image and one phrase to boxes in pixels, on the terminal, as JSON or drawn into a picture.

grounding predict photo.jpg "red blood cell" --model checkpoints/cogvlm --adapter runs/mine/adapter --draw found.png
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from grounding.errors import InputError
from grounding.evaluation.parse import Judged, judge
from grounding.inference.budget import BOXES, tokens_for
from grounding.samples import Sample, open_image
from grounding.text import NOT_FOUND, REASONS, Wording, answer_automaton, fill_prompt, load_wordings, to_pixels

if TYPE_CHECKING:
    from PIL import Image

PATH = click.Path(path_type=Path)


@click.command(name="predict")
@click.argument("image", type=PATH)
@click.argument("phrase", required=False)
@click.option("--model", type=PATH, required=True, metavar="DIR", help="Checkpoint that answers.")
@click.option("--adapter", type=PATH, metavar="DIR", help="PEFT adapter on it.")
@click.option("--prompt", metavar="TEXT", help="The whole prompt as it is to be asked, in place of PHRASE.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Of the prompt.")
@click.option(
    "--not-found", metavar="TEXT", help="The not-found sentence the model was trained on, if a different one."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--draw", type=PATH, metavar="FILE", help="Write the picture with the boxes drawn in.")
@click.option("--max-boxes", type=click.IntRange(1), default=BOXES, show_default=True, help="Room in the answer.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Longest answer. Default: what so many boxes take.")
@click.option("--constrain", is_flag=True, help="Allow only an answer that can be read.")
@click.option("--templates", type=PATH, metavar="FILE", help="Your own wordings, in place of the packaged ones.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), help="Default: as stored.")
@click.option("--quantization", type=click.Choice(["nf4", "int8"]), help="Load the decoder in 4 or 8 bits.")
@click.option("--quantize-tower", is_flag=True, help="The vision tower too.")
@click.option("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... Default: the first GPU, else the CPU.")
@click.option("--attention", type=click.Choice(["eager", "sdpa", "flash_attention_2"]), help="Default: sdpa.")
@click.option("--tokenizer", type=PATH, metavar="PATH", help="Where the checkpoint ships no tokenizer.")
@click.option("--rope-dtype", type=click.Choice(["float32", "bfloat16"]), help="Default: as the checkpoint says.")
@click.option("--image-size", type=click.IntRange(1), metavar="N", help="In pixels. Default: the adapter's or model's.")
def command(
    image: Path,
    phrase: str | None,
    prompt: str | None,
    lang: str,
    not_found: str | None,
    as_json: bool,
    draw: Path | None,
    templates: Path | None,
    **options: Any,
) -> None:
    """Find PHRASE in IMAGE.

    Boxes are in pixels of the picture as it is seen (turned as its EXIF data say). That nothing was found, or that the
    answer cannot be read, is an answer too: the exit status is 0.
    """
    wordings = load_wordings("phrase_to_boxes", lang, templates)
    query = _query(phrase, prompt, wordings)
    picture = _open(image)
    if draw is not None:
        _check_drawable(draw)
    found = _ask(picture, query, phrase, lang, wordings, not_found, options)
    answer = {
        "image": str(image),
        "size": list(picture.size),
        "phrase": phrase,
        "prompt": query,
        **found,
    }
    if draw is not None:
        from grounding.evaluation.drawing import draw_boxes, save_picture

        save_picture(draw_boxes(picture, found["boxes_px"]), draw)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        _tell(Console(), answer, draw)


def _query(phrase: str | None, prompt: str | None, wordings: Sequence[Wording]) -> str:
    """The prompt: as given, or the first wording with the phrase in it."""
    if (phrase is None) == (prompt is None):
        raise InputError("give either a PHRASE or --prompt.", where="grounding predict")
    if prompt is not None:
        return prompt
    if not phrase:
        raise InputError("the phrase is empty; say what to look for.", where="PHRASE")
    return fill_prompt(wordings[0], phrase)


def _open(path: Path) -> Image.Image:
    """The picture as it is seen, RGB."""
    if not path.is_file():
        raise InputError("there is no such image file.", where=str(path))
    seen = Sample(id=str(path), image=path.name, width=None, height=None, prompt="", label="", boxes=None, upright=True)
    return open_image(path.parent, seen, follow_links=True)


def _check_drawable(path: Path) -> None:
    from grounding.evaluation.drawing import check_drawable

    check_drawable(path)


def _ask(
    picture: Image.Image,
    query: str,
    phrase: str | None,
    lang: str,
    wordings: Sequence[Wording],
    not_found: str | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    """The model's answer and what it says, as it stands in the JSON."""
    from grounding.inference.engine import Request, answer
    from grounding.models.loading import load_model
    from grounding.models.quantization import say_quantized

    max_boxes, constrain = options.pop("max_boxes"), options.pop("constrain")
    max_new_tokens = tokens_for(options.pop("max_new_tokens"), max_boxes)
    sentences = NOT_FOUND if not_found is None else {**NOT_FOUND, "given": not_found}
    sentence = NOT_FOUND[lang] if not_found is None else not_found
    automaton = None
    if constrain:
        automaton = answer_automaton(wordings, phrase, [sentence], max_boxes, sentences)
    loaded = load_model(options.pop("model"), **options)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if options["quantization"]:
        click.echo(say_quantized(loaded.model), err=True)
    request = Request(picture, query, not_found=sentence, automaton=automaton)
    made = next(answer(loaded.model, loaded.processor, [request], batch_size=1, max_new_tokens=max_new_tokens))
    judged = judge(made.text, made.finish, sentences)
    return {
        "text": made.text,
        "finish": made.finish,
        "status": judged.status,
        "reason": judged.reason,
        "boxes_px": _rounded(judged, picture.size),
        "boxes_grid": judged.xyxy_grid.tolist(),
        "scores": made.scores if judged.status == "boxes" else [],
        "not_found_logprob": made.not_found_logprob,
        "constrained": made.constrained,
        "refusals": [refusal._asdict() for refusal in judged.refusals],
    }


def _rounded(judged: Judged, size_wh: tuple[int, int]) -> list[list[float]]:
    return [[round(value, 2) for value in box] for box in to_pixels(judged.xyxy_grid, size_wh).tolist()]


def _tell(console: Console, answer: dict[str, Any], draw: Path | None) -> None:
    """The answer for people."""
    asked = f"\u201c{answer['phrase']}\u201d" if answer["phrase"] else "this prompt"
    width, height = answer["size"]
    said = {
        "not_found": f"{asked} was not found.",
        "unparsable": f"The answer cannot be read: {REASONS.get(answer['reason'] or '', '')} ({answer['reason']}).",
        "cut_off": "The answer was cut off before one complete box; raise --max-boxes.",
        "boxes": f"{len(answer['boxes_px'])} {'box' if len(answer['boxes_px']) == 1 else 'boxes'} for {asked}",
    }[answer["status"]]
    console.print(f"{escape(answer['image'])} ({width} x {height}): {escape(said)}", highlight=False, soft_wrap=True)
    for number, box in enumerate(answer["boxes_px"], start=1):
        console.print(_line(number, box, answer["scores"]), highlight=False, soft_wrap=True)
    if answer["status"] == "boxes" and answer["refusals"]:
        reasons = ", ".join(refusal["reason"] for refusal in answer["refusals"])
        console.print(f"Parts of the answer that could not be read: {reasons}", highlight=False, soft_wrap=True)
    console.print(f"Answer: {escape(answer['text'])}", highlight=False, soft_wrap=True)
    if draw is not None:
        console.print(f"Drawn: {escape(str(draw))}", highlight=False, soft_wrap=True)


def _line(number: int, box: Sequence[float], scores: Sequence[float] | None) -> str:
    x0, y0, x1, y1 = box
    score = f"   log-probability {scores[number - 1]:.3f}" if scores else ""
    return f"  {number:3d}  x {x0:.1f} to {x1:.1f}, y {y0:.1f} to {y1:.1f} px{score}"
