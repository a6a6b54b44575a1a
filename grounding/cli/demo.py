"""`grounding demo`: a new domain, converted, measured, learned and measured again with the package's own tiny model.

It walks the commands that a user types; it knows their words and files, not how any of them works.

grounding demo --out runs/demo
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from grounding import __version__
from grounding.cli.stages import Stage, Step, clock, run_command, run_process, run_stages
from grounding.errors import InputError
from grounding.pocket import checkpoint_folder
from grounding.samples import open_dataset, write_json_atomic, write_text_atomic

MARK, TIMES, MANIFEST = "demo.json", "times.json", "manifest.json"  # MARK: what a demo was told
RECIPE = Path(str(resources.files("grounding.pocket") / "lora.yaml"))
DATA = {"parts": "parts on a workbench", "general": "general scenes"}
RUNS = ("after", "alone")  # of LoRA: with general scenes replayed, and without
HEADINGS = {"before": "before", "after": "after", "alone": "after, without replay"}
MODEL = "pocket"
PAIRS, STRIP = 24, 6  # questions shown with both answers: on the page, and in the picture


class Size(NamedTuple):
    """How much of everything.

    Attributes:
        train, test: pictures of the new domain.
        replay, general: scenes of the old one, to be replayed and to be measured on.
        seconds: planned for each stage, in their order, on two cores.
        settings: of both fine-tuning runs, on top of the recipe.
    """

    train: int
    test: int
    replay: int
    general: int
    seconds: tuple[int, ...]
    settings: tuple[str, ...] = ()


FULL = Size(train=1000, test=240, replay=750, general=150, seconds=(14, 4, 20, 320, 30, 4))
QUICK = Size(24, 10, 12, 6, seconds=(1, 1, 8, 16, 8, 1), settings=("training.max_steps=4",))
REPLAY_SHARE = 0.5  # general prompts for each prompt of the new domain
LEAD = (
    "A tiny CogVLM that grounds coloured shapes, before and after LoRA on drawn pictures of things it never saw. All "
    "of it was drawn, converted, learned and measured on this machine, by the same commands that work on your own "
    f"images. Replay: for every {1 / REPLAY_SHARE:g} questions about the new parts, one about general scenes, such as "
    "pocket was made with, is trained too, so that it does not forget these; without replay stands beside it for "
    "comparison."
)
OLD = {"replay": 7_000_001, "general": 7_000_002}  # seeds of general scenes, far from those pocket was made with
NEGATIVES = ("--negatives", "1")  # as many absent things as present ones: the parts must be told from one another
ANSWERS = ("--max-boxes", "6", "--batch-size", "32", "--gallery", "200")
OWN_DATA = r"""
grounding convert annotations/instances.json --format coco --images images --out data/mine
grounding finetune configs/lora_cogvlm_grounding.yaml output=runs/mine \
  data.train=data/mine/train.jsonl data.val=data/mine/val.jsonl
grounding benchmark --data data/mine/test.jsonl --adapter runs/mine/adapter --out runs/mine/report \
  --model models/cogvlm-grounding-generalist-hf --tokenizer models/vicuna-7b-v1.5
""".lstrip()


@click.command(name="demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True, help="Folder.")
@click.option("--quick", is_flag=True, help="A minute's walk through every stage; its figures mean nothing.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the pictures and the training.")
def command(out: Path, quick: bool, seed: int) -> None:
    """Specialise the package's tiny model to parts on a workbench that it never saw, and show what that brings.

    Draws pictures with annotations, faulty ones among them; converts them; measures pocket as it is; fine-tunes it
    by LoRA, general scenes mixed in ("replay"); measures again, also what was forgotten. --out gets report.html and all
    between. Minutes on two CPU cores, without a download. Stopped, it goes on when the same command is given again.
    """
    demo = Demo(out, quick, seed)
    demo.open()
    spent = run_stages(demo.stages(), out / TIMES, click.echo)
    click.echo(f"\n{out / 'report.html'}   [{clock(sum(spent.values()))} in all]\n\nYour own images and boxes:\n")
    click.echo(OWN_DATA, nl=False)


@dataclass(frozen=True)
class Demo:
    """The folder of a demo and what goes where in it."""

    out: Path
    quick: bool
    seed: int

    @property
    def size(self) -> Size:
        return QUICK if self.quick else FULL

    def open(self) -> None:
        """Makes the folder, or sees that it is that of the same demo.

        Raises:
            InputError: it holds something else.
        """
        told = {"quick": self.quick, "seed": self.seed, "version": __version__, "weights": _weights_digest()}
        mark = self.out / MARK
        if mark.exists():
            before = json.loads(mark.read_text("utf-8"))
            if before != told:
                changed = [name for name in told if before.get(name) != told[name]]
                raise InputError(
                    f"holds a demo of another {' and '.join(changed)}.",
                    where=str(self.out),
                    fix="Name another --out, or remove this one.",
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise InputError("is there already and holds no demo.", where=str(self.out), fix="Name a new --out.")
        else:
            write_json_atomic(mark, told)

    def stages(self) -> list[Stage]:
        """Everything there is to do, in order."""
        stages: tuple[tuple[str, str, list[Step], Callable[[], str]], ...] = (
            ("draw", "Drawing pictures of a domain that pocket never saw", self._drawing(), self._drawn),
            ("convert", "Converting their annotations", self._converting(), self._converted),
            ("before", "Measuring pocket as it is", self._measuring("before"), partial(self._found, "before")),
            (
                "learn",
                "LoRA, general scenes mixed in; for comparison, at the same time, without them",
                [self._finetune(run) for run in RUNS],
                _nothing_yet,
            ),
            ("after", "Measuring both", [*self._measuring("after"), *self._measuring("alone")], self._found_both),
            ("report", "Writing the report", [Step(self.out / "report.html", self._report)], self._verdict),
        )
        return [
            Stage(*stage, seconds, together=stage[0] == "learn")
            for stage, seconds in zip(stages, self.size.seconds, strict=True)
        ]

    def _drawing(self) -> list[Step]:
        photos, data = self.out / "photos", self.out / "data"
        return [
            Step(photos / "names.yaml", self._write_names),
            Step(photos / "coco", partial(self._draw_photos, "coco", self.size.train, 2 * self.seed)),
            Step(photos / "voc", partial(self._draw_photos, "voc", self.size.test, 2 * self.seed + 1)),
            Step(data / "replay" / MANIFEST, partial(self._draw_general, "replay", self.size.replay)),
            Step(data / "general" / MANIFEST, partial(self._draw_general, "general", self.size.general)),
        ]

    def _write_names(self) -> None:
        from grounding.pocket.domain import NAMES

        text = yaml.safe_dump(NAMES, allow_unicode=True, default_flow_style=None)
        write_text_atomic(self.out / "photos" / "names.yaml", text)

    def _draw_photos(self, form: str, count: int, seed: int) -> None:
        from grounding.pocket.domain import write_photos

        write_photos(self.out / "photos" / form, form, count, seed=seed)

    def _draw_general(self, name: str, scenes: int) -> None:
        from grounding.pocket.folder import Drawing, write_drawing
        from grounding.pocket.questions import Asking

        drawing = Drawing(scenes, OLD[name] + 10 * self.seed)
        write_drawing(self.out / "data" / name, drawing, {name: Asking()})

    def _drawn(self) -> str:
        size = self.size
        return (
            f"{size.train} pictures annotated as COCO, {size.test} others as Pascal VOC; "
            f"{size.replay} general scenes to be replayed, {size.general} others to be measured on."
        )

    def _converting(self) -> list[Step]:
        photos, data = self.out / "photos", self.out / "data"
        coco: list[str | Path] = [
            photos / "coco" / "instances.json",
            "--format",
            "coco",
            "--images",
            photos / "coco" / "images",
        ]
        sources: dict[str, list[str | Path]] = {
            "coco": [*coco, "--split", "0.9,0.1,0"],
            "voc": [f"test={photos / 'voc'}", "--format", "voc"],
        }
        both: list[str | Path] = [
            "--names",
            photos / "names.yaml",
            "--lang",
            "en,zh",
            *NEGATIVES,
            "--seed",
            str(self.seed),
        ]
        return [
            self._command(
                f"convert-{form}",
                data / form / MANIFEST,
                ["convert", *source, *both, "--out", data / form],
            )
            for form, source in sources.items()
        ]

    def _converted(self) -> str:
        manifests = [json.loads((self.out / "data" / form / MANIFEST).read_text("utf-8")) for form in ("coco", "voc")]
        samples = " and ".join(f"{manifest['counts']['samples']:,}" for manifest in manifests)
        refused = {reason: number for manifest in manifests for reason, number in manifest["refusals"].items()}
        reasons = ", ".join(sorted(reason.replace("_", " ") for reason in refused))
        return f"{samples} questions. Refused, with their places in logs/: {reasons}."

    def _measuring(self, run: str) -> list[Step]:
        return [self._benchmark(run, "parts"), self._benchmark(run, "general")]

    def _benchmark(self, run: str, data: str) -> Step:
        file = self.out / "data" / ("voc/test.jsonl" if data == "parts" else "general/general.jsonl")
        out = self._report_folder(run, data)
        words: list[str | Path] = [
            "benchmark",
            "--data",
            file,
            "--model",
            MODEL,
            "--out",
            out,
            *ANSWERS,
        ]
        if run != "before":
            base = self._report_folder("before", data) / "predictions.jsonl"
            words += ["--adapter", self._adapter(run), "--base-predictions", base]
        return self._command(f"benchmark-{run}-{data}", out / "report.html", words)

    def _finetune(self, run: str) -> Step:
        own, old = ({"path": str(self.out / "data" / name)} for name in ("coco/train.jsonl", "replay/replay.jsonl"))
        sets = [{**own, "share": 1}, {**old, "share": REPLAY_SHARE}] if run == "after" else [own]
        words: list[str | Path] = [
            "finetune",
            RECIPE,
            f"model.path={MODEL}",
            f"data.train={json.dumps(sets)}",
            f"output={self._adapter(run).parent}",
            f"training.seed={self.seed}",
            *self.size.settings,
        ]
        threads = max(1, (os.cpu_count() or 1) // len(RUNS))
        log = self.out / "logs" / f"finetune-{run}.txt"
        return Step(self._adapter(run), partial(run_process, words, log, threads, bars=run == RUNS[0]))

    def _command(self, name: str, done: Path, words: Sequence[str | Path]) -> Step:
        return Step(done, partial(run_command, words, self.out / "logs" / f"{name}.txt"))

    def _adapter(self, run: str) -> Path:
        return self.out / "runs" / run / "adapter"

    def _report_folder(self, run: str, data: str) -> Path:
        return self.out / "reports" / f"{run}-{data}"

    def _rate(self, run: str, data: str, *keys: str) -> dict[str, Any]:
        rate = json.loads((self._report_folder(run, data) / "report.json").read_text("utf-8"))["metrics"]
        for key in keys:
            rate = rate[key]
        return rate

    def _found(self, run: str) -> str:
        return "; ".join(f"{DATA[data]}: acc_50 {_percent(self._rate(run, data, 'acc_50'))}" for data in DATA)

    def _found_both(self) -> str:
        return f"{self._found('after')} [without general scenes: {self._found('alone')}]"

    def _verdict(self) -> str:
        before, after = (_percent(self._rate(run, "parts", "acc_50")) for run in ("before", "after"))
        return f"acc_50 on parts {before} -> {after}"

    def _facts(self, summary: dict[str, Any]) -> dict[str, str]:
        facts = {"Machine": summary["machine"], "Seconds": _listed(summary["seconds"]), "Seed": str(self.seed)}
        if self.quick:
            facts["Note"] = "A quick walk: far too little data and training for figures to mean anything."
        return facts

    def _report(self) -> None:
        """Writes summary.json, the strip of pictures, and the page last."""
        from grounding.evaluation.comparison.compare import compare
        from grounding.evaluation.comparison.runs import read_runs
        from grounding.evaluation.drawing import save_picture
        from grounding.evaluation.report.compare_cards import drawn, make_compare_cards
        from grounding.evaluation.report.compare_page import render_comparison
        from grounding.evaluation.report.strip import picture_strip

        groups = [
            (words, compare(read_runs([(HEADINGS[run], self._report_folder(run, data)) for run in HEADINGS])))
            for data, words in DATA.items()
        ]
        parts = groups[0][1]
        images = open_dataset(self.out / "data" / "voc" / "test.jsonl").image_root
        cards, thumbnails = make_compare_cards(parts, drawn(parts, PAIRS, self.seed), images)
        summary = self._summary()
        write_json_atomic(self.out / "summary.json", summary)
        save_picture(picture_strip(parts, images, most=STRIP), self.out / "before_after.jpg")
        page = render_comparison(
            groups,
            cards,
            thumbnails,
            title="pocket learns the parts on a workbench",
            lead=LEAD,
            gallery=f"{len(cards)} questions out of a seeded draw, in the order of the data; nobody picked them.",
            notes=[("The three commands for your own data", OWN_DATA), *self._logs()],
            facts=self._facts(summary),
            links={
                f"{DATA[data]}, {HEADINGS[run]}": f"reports/{run}-{data}/report.html"
                for data in DATA
                for run in HEADINGS
            },
        )
        write_text_atomic(self.out / "report.html", page)

    def _summary(self) -> dict[str, Any]:
        """The figures of all runs, for programs."""
        figures = {
            data: {
                run: {
                    "acc_50": self._rate(run, data, "acc_50"),
                    "grec_50": self._rate(run, data, "grec_50"),
                    "not_found_f1": self._rate(run, data, "not_found", "f1"),
                    "unparsable": self._rate(run, data, "unparsable", "rate"),
                    "constant_box_acc_50": self._rate(run, data, "baselines", "constant_best_box", "acc_50"),
                }
                for run in HEADINGS
            }
            for data in DATA
        }
        was = figures["general"]["before"]["acc_50"]["value"]
        forgotten = {run: was - figures["general"][run]["acc_50"]["value"] for run in ("after", "alone")}
        return {
            **figures,
            "forgotten_acc_50": {"with_replay": forgotten["after"], "without_replay": forgotten["alone"]},
            "seconds": json.loads((self.out / TIMES).read_text("utf-8")),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"torch {version('torch')}",
            "seed": self.seed,
            "quick": self.quick,
        }

    def _logs(self) -> list[tuple[str, str]]:
        """What each command printed, in the order in which they ran."""
        files = sorted((self.out / "logs").glob("*.txt"), key=lambda file: file.stat().st_mtime_ns)
        return [(file.stem, file.read_text("utf-8")) for file in files]


def _weights_digest() -> str:
    """SHA-256 of the embedded weights.

    Raises:
        InputError: this installation lacks them.
    """
    file = checkpoint_folder() / "model.safetensors"
    if not file.is_file():
        problem = "pocket's weights are not here; this installation is not whole."
        raise InputError(problem, where=str(file), fix="Install the package again.")
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _nothing_yet() -> str:
    return "Learned; what it is worth is measured next."


def _percent(rate: dict[str, Any]) -> str:
    return "-" if rate["value"] is None else f"{100 * rate['value']:.0f}"


def _listed(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
