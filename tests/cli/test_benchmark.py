"""`grounding benchmark`: predictions and models in, a report folder out; wrong calls are one message and status 2."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from grounding.cli.main import group
from grounding.evaluation.predictions import Prediction, write_predictions
from grounding.models.adapter_notes import notes_of
from grounding.models.loading import load_model
from grounding.samples import Manifest, write_manifest, write_samples
from grounding.text import DIALECTS, dialect_named
from grounding.tuning.adapters import attach_lora, save_adapter
from grounding.tuning.targets import Targets, target_modules
from tests.evaluation.making import NOT_FOUND_TEXT, boxes_text, sample
from tests.inference.scripted import tiny_model

TRUE = [20.0, 10.0, 60.0, 50.0]
SAMPLES = [sample(0, [TRUE]), sample(1, []), sample(2, [TRUE]), sample(3, None, task="presence", label="Yes.")]
TEXTS = [boxes_text(TRUE), "Nothing here", NOT_FOUND_TEXT, "yes"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """test.jsonl with a manifest (its own not-found sentence) and images."""
    (tmp_path / "images").mkdir()
    for one in SAMPLES:
        Image.new("RGB", (200, 100), "teal").save(tmp_path / "images" / str(one.image))
    write_samples(tmp_path / "test.jsonl", SAMPLES)
    sentences = {"en": "Nothing here.", "zh": "没有"}
    write_manifest(tmp_path / "manifest.json", Manifest(image_root="images", not_found=sentences))
    return tmp_path / "test.jsonl"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    write_predictions(path, [Prediction(id=f"s{number}", text=text) for number, text in enumerate(TEXTS)])
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny = tiny_model()
    tiny.model.save_pretrained(folder)
    tiny.processor.save_pretrained(folder)
    return folder


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(group, ["benchmark", *map(str, words)])
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_predictions_are_scored_and_the_headline_is_printed(data: Path, answers: Path, tmp_path: Path) -> None:
    said = run("--data", data, "--predictions", answers, "--out", tmp_path / "out").output
    assert gc.isenabled()
    made = report(tmp_path / "out")
    assert made["metrics"]["n"] == 3
    assert made["metrics"]["acc_50"]["value"] == 0.5
    assert made["metrics"]["not_found"]["recall"]["value"] == 1.0, "the manifest's sentence"
    assert made["metrics"]["unparsable"]["by_reason"] == {"no_box": 1}
    assert made["other_tasks"]["presence"]["exact_match"]["value"] == 1.0
    assert made["data"]["sha256"] and made["data"]["manifest_sha256"] and made["answers"]["sha256"]
    assert made["pictures"]["missing"] == {}
    for words in ("3 samples", "Accuracy at IoU 0.5", "50.0", "no_box 1", "presence", "report.html"):
        assert words in said


def test_answers_of_an_earlier_call_in_the_folder_are_kept_and_told(data: Path, answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions.jsonl").write_text("{}")
    told = " ".join(run("--data", data, "--predictions", answers, "--out", out).output.split())
    assert "is of an earlier call" in told
    assert (out / "predictions.jsonl").read_text() == "{}"
    (out / "predictions.jsonl").write_bytes(answers.read_bytes())
    again = run("--data", data, "--predictions", out / "predictions.jsonl", "--out", out)
    assert "earlier call" not in again.output


def test_whether_images_were_seen_in_training_is_said(data: Path, answers: Path, tmp_path: Path) -> None:
    out, train = tmp_path / "out", data.parent / "train.jsonl"
    run("--data", data, "--predictions", answers, "--out", out)
    assert report(out)["data"]["images_in_train"] is None, "there is no training set beside it"
    lines = data.read_text("utf-8").splitlines()
    train.write_text("\n".join([lines[0], "no sample"]), "utf-8")
    said = run("--data", data, "--predictions", answers, "--out", out).output
    assert report(out)["data"]["images_in_train"] == 1 and "has seen it" in " ".join(said.split())
    train.write_text(lines[0].replace('"image":"', '"image":"other/'), "utf-8")
    assert "has seen" not in run("--data", data, "--predictions", answers, "--out", out).output
    assert report(out)["data"]["images_in_train"] == 0


def test_the_page_is_in_the_language_asked_for_and_holds_the_call(data: Path, answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("--data", data, "--predictions", answers, "--out", out, "--lang", "zh", "--gallery", "3")
    assert '<html lang="zh-Hans">' in (out / "report.html").read_text("utf-8")
    words = report(out)["command"].split()
    assert words[:2] == ["grounding", "benchmark"] and words[words.index("--gallery") + 1] == "3"
    assert "--seed" not in words, "it was left to its default"


def test_scoring_needs_no_torch_and_no_images(data: Path, answers: Path, tmp_path: Path) -> None:
    call = ["benchmark", "--data", str(data), "--predictions", str(answers), "--out", str(tmp_path / "out")]
    program = (
        "import sys\nfrom grounding.cli.main import group\n"
        f"group({[*call, '--images', str(tmp_path / 'nowhere')]!r}, standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert len(report(tmp_path / "out")["pictures"]["missing"]) == 3
    assert "3 pictures of the gallery are not here" in finished.stdout


def test_ids_that_do_not_fit_are_refused_unless_missing_ones_are_allowed(
    data: Path, answers: Path, tmp_path: Path
) -> None:
    answers.write_text("".join(answers.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    call = ["--data", data, "--predictions", answers, "--out", tmp_path / "out"]
    assert "'s0'" in run(*call, status=2).output
    assert not (tmp_path / "out").exists()
    said = run(*call, "--allow-missing").output
    assert "1 sample has no prediction; it counts" in said
    assert report(tmp_path / "out")["metrics"]["unparsable"]["by_reason"]["missing"] == 1


def test_a_limit_is_said_loudly_and_ids_are_held_against_the_whole_file(
    data: Path, answers: Path, tmp_path: Path
) -> None:
    said = run("--data", data, "--predictions", answers, "--out", tmp_path / "out", "--limit", "2").output
    assert "first 2 of 4 samples" in said.replace("\n", " ")
    assert report(tmp_path / "out")["data"]["limit"] == 2


def test_another_protocol_and_base_predictions_stand_beside(data: Path, answers: Path, tmp_path: Path) -> None:
    call = ["--data", data, "--predictions", answers, "--base-predictions", answers, "--out", tmp_path / "out"]
    said = run(*call, "--protocol", "cogvlm-refcoco").output
    assert "cogvlm-refcoco" in said and "untuned" in said and "default" in said
    made = report(tmp_path / "out")
    assert made["protocol"]["name"] == "cogvlm-refcoco" and len(made["protocol"]["changes"]) == 3
    assert made["metrics"]["baselines"]["untuned_base"]["acc_50"] == made["metrics"]["acc_50"]


def test_a_model_answers_and_a_second_call_with_its_predictions_agrees(
    data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    run("--data", data, "--model", checkpoint, "--out", out, "--max-new-tokens", "6", "--batch-size", "3")
    made = report(out)
    assert made["answers"]["decoding"] == {"method": "greedy", "max_new_tokens": 6, "constrained": False}
    assert made["answers"]["dtype"] == "float32"
    assert "torch" in made["versions"]
    run("--data", data, "--predictions", out / "predictions.jsonl", "--out", again)
    assert report(again)["metrics"] == made["metrics"]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_constrained_answers_can_all_be_read_and_the_report_says_so(
    data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    call = ["--data", data, "--model", checkpoint, "--constrain", "--max-boxes", "2"]
    said = run(*call, "--out", tmp_path / "out").output
    made = report(tmp_path / "out")
    assert made["answers"]["decoding"] == {"method": "greedy", "max_new_tokens": 96, "constrained": True}
    assert made["constrained_predictions"] == 3, "the fourth sample asks for words"
    assert made["metrics"]["unparsable"]["n"] == made["metrics"]["cut_off"]["n"] == 0
    assert "3 answers were constrained" in said
    rows = [json.loads(line) for line in (tmp_path / "out/samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["constrained"] for row in rows] == [True, True, True, False]
    assert "<dd>constrained</dd>" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    answers = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text("utf-8").splitlines()]
    assert all(one["not_found_logprob"] < 0 for one in answers[:3]) and "not_found_logprob" not in answers[3]
    assert "too few" in run(*call, "--max-new-tokens", "5", "--out", tmp_path / "short", status=2).output
    free = ["--data", data, "--predictions", tmp_path / "out/predictions.jsonl", "--out", tmp_path / "again"]
    run(*free)
    assert report(tmp_path / "again")["constrained_predictions"] == 3, "a predictions file says it too"
    assert "--constrain need --model" in run(*free, "--constrain", status=2).output


def test_with_an_adapter_the_base_can_answer_too(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    base = load_model(checkpoint, device="cpu").model
    names = [name for name, _ in base.named_modules() if name.endswith("language_expert_dense")]
    adapted = attach_lora(base, Targets(lora=tuple(names), full=("lm_head",)), rank=2, alpha=4)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            parameter.data += 0.3
    save_adapter(adapted, tmp_path / "adapter")
    out, alone = tmp_path / "out", tmp_path / "alone"
    call = ["--data", data, "--model", checkpoint, "--max-new-tokens", "6", "--batch-size", "2"]
    run(*call, "--adapter", tmp_path / "adapter", "--with-base", "--out", out)
    run(*call, "--out", alone)
    assert (out / "base_predictions.jsonl").read_bytes() == (alone / "predictions.jsonl").read_bytes()
    assert (out / "predictions.jsonl").read_bytes() != (alone / "predictions.jsonl").read_bytes()
    assert "untuned_base" in report(out)["metrics"]["baselines"]
    assert report(out)["answers"]["adapter"] == str(tmp_path / "adapter")
    base_file = alone / "predictions.jsonl"
    run(*call, "--adapter", tmp_path / "adapter", "--base-predictions", base_file, "--out", tmp_path / "third")
    assert report(tmp_path / "third")["metrics"] == report(out)["metrics"]


def test_another_image_size_is_in_the_report_and_told_where_the_adapter_had_another(
    data: Path, checkpoint: Path, tmp_path: Path
) -> None:
    base = load_model(checkpoint, device="cpu").model
    adapted = attach_lora(base, target_modules(base, "language"), rank=2, alpha=4)
    save_adapter(adapted, tmp_path / "adapter", notes=notes_of(42, str(checkpoint)))
    call = ["--data", data, "--model", checkpoint, "--adapter", tmp_path / "adapter", "--max-new-tokens", "3"]
    assert "Warning" not in run(*call, "--out", tmp_path / "own").stderr
    own = report(tmp_path / "own")["answers"]
    assert (own["image_size"], own["warnings"]) == (42, [])
    said = run(*call, "--image-size", "56", "--out", tmp_path / "other")
    made = report(tmp_path / "other")
    assert made["answers"]["image_size"] == 56
    assert "trained on images of 42 pixels" in said.stderr and "trained on images of 42" in said.stdout
    assert "trained on images of 42" in (tmp_path / "other/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either --model or --predictions"),
        (["--model", "m", "--predictions", "p"], "either --model or --predictions"),
        (["--predictions", "p", "--adapter", "a", "--dtype", "float32"], "--adapter, --dtype need --model"),
        (["--model", "m", "--with-base"], "--with-base needs --adapter"),
        (
            ["--model", "m", "--adapter", "a", "--with-base", "--base-predictions", "p"],
            "--with-base or --base-predictions",
        ),
        (["--model", "m", "--allow-missing"], "--allow-missing is about predictions"),
        (["--predictions", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--model", "nowhere"], "nowhere"),
        (["--predictions", "p", "--protocol", "voc"], "cogvlm-refcoco"),
        (["--predictions", "p", "--dialect", "gpt"], "qwen3-vl"),
        (["--model", "m", "--dialect", "qwen3-vl"], "--dialect is about predictions"),
    ],
)
def test_wrong_calls(data: Path, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in run("--data", data, "--out", tmp_path / "out", *words, status=2).output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", DIALECTS)
def test_another_familys_answers_are_scored_as_declared(data: Path, tmp_path: Path, name: str) -> None:
    written = dialect_named(name).write([TRUE], (200, 100), "it").text
    path = tmp_path / "other.jsonl"
    texts = [written, "Nothing here", "I see 3 dogs, 2 cats, 1 bird and 4 cars", "yes"]
    write_predictions(path, [Prediction(id=f"s{number}", text=text) for number, text in enumerate(texts)])
    said = run("--data", data, "--predictions", path, "--out", tmp_path / "out", "--dialect", name).output
    made = report(tmp_path / "out")
    assert made["dialect"]["name"] == name and (name in said) == (name != "cogvlm")
    assert made["metrics"]["acc_50"]["value"] == 0.5
    assert made["metrics"]["unparsable"]["by_reason"] == {"no_box": 1}
    assert made["metrics"]["mean_iou"]["value"] == pytest.approx(made["metrics"]["grid_ceiling"]["value"] / 2)


def test_an_empty_file_and_a_folder_are_refused(tmp_path: Path, answers: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    call = ["--predictions", answers, "--out", tmp_path / "out"]
    assert "no samples" in run("--data", tmp_path / "empty.jsonl", *call, status=2).output
    said = run("--data", tmp_path, *call, status=2).output
    assert "this is a folder; it holds answers.jsonl, empty.jsonl. Name one of them." in said


def test_of_a_dataset_folder_the_test_set_is_measured_and_said(data: Path, answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ["--data", data.parent, "--predictions", answers, "--also", data.parent, "--also-predictions", answers]
    said = run(*call, "--out", out)
    assert "is a folder: test.jsonl in it is measured." in said.stderr
    assert report(out)["data"]["file"] == str(data) and list(report(out)["also"]) == [data.parent.name]
    data.rename(data.with_name("val.jsonl"))
    data.write_text("")
    assert "val.jsonl in it is measured" in run(*call, "--out", out).stderr
    assert report(out)["data"]["name"] == "val.jsonl"


def test_a_missing_image_is_said_before_the_model_is_loaded(data: Path, tmp_path: Path) -> None:
    (data.parent / "images/2.png").unlink()
    said = run("--data", data, "--model", "pocket", "--out", tmp_path / "out", status=2).output
    assert "2.png" in said


def test_cogvlms_own_folder(answers: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cogvlm"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(folder / "images/a.jpg")
    turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "a dog"}]
    (folder / "labels/a.json").write_text(json.dumps({"conversations": turns}))
    run("--data", folder, "--model", checkpoint, "--out", tmp_path / "out", "--max-new-tokens", "3")
    made = report(tmp_path / "out")
    assert made["metrics"]["n"] == 0
    assert made["data"]["sha256"] and made["data"]["manifest"] is None
