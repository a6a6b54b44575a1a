"""Settings: every mistake at once with its place, overrides, and settings that survive being written."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grounding.errors import InputError, ManyErrors
from grounding.settings import (
    FinetuneSettings,
    differences,
    read_architecture,
    read_settings,
    settings_yaml,
    template_settings,
    without_effect,
)
from grounding.settings.places import say_pydantic_error

GOOD = """output: runs/x
model:
  path: some/folder
data:
  train: a.jsonl
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_those_that_cogvlm_users_know(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD))
    assert settings.training.learning_rate == 5e-5
    assert settings.training.effective_batch == 16
    assert settings.training.epochs == 3
    assert settings.evaluation.patience == 3
    assert settings.data.max_label_tokens == 1024
    assert (settings.tuning.method, settings.tuning.targets) == ("lora", "both")


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """output: runs/x
model:
  pth: foo
  dtype: float16
  quantization: nf4
tuning:
  method: full
  rank: 0
  learning_rate: 3
data:
  train:
    - {path: a.jsonl, share: 1}
    - {path: b.jsonl, shar: 1}
    - path: 5
training:
  micro_batch: 3
  epochs: abc
  betas: [0.9, 1.5]
  clip: 1
  clip: 2
evaluation:
  every: never
""",
    )
    words = ["training.epocs=3", "foo", "evaluation.batch=0", "data.train.7.path=x", "output.x=1", "model.dtype=["]
    with pytest.raises(ManyErrors) as caught:
        read_settings(path, words)
    told = caught.value.problems
    expected = {
        f"{path}:3: model.pth": "did you mean 'path'",
        f"{path}:4: model.dtype = 'float16'": "'float32' or 'bfloat16'",
        f"{path}:5: model.quantization": "quantised weights cannot be trained",
        f"{path}:8: tuning.rank = 0": "must be 1 or more",
        f"{path}:9: tuning.learning_rate": "did you mean 'training.learning_rate'",
        f"{path}:13: data.train.1.shar": "did you mean 'share'",
        f"{path}:14: data.train.2.path = 5": "must be text",
        f"{path}:16: training.micro_batch": "does not divide the effective batch of 16",
        f"{path}:17: training.epochs = 'abc'": "must be a number",
        f"{path}:18: training.betas.1 = 1.5": "less than 1",
        f"{path}:20: training.clip": "set twice",
        f"{path}:22: evaluation.every = 'never'": "must be 'epoch' or a whole number",
        "command line, training.epocs=3": "did you mean 'epochs'",
        "command line, foo": "key=value",
        "command line, evaluation.batch=0": "must be 1 or more",
        "command line, data.train.7.path=x": "no entry 7",
        "command line, output.x=1": "single value",
        "command line, model.dtype=[": "not YAML",
    }
    for start, text in expected.items():
        assert any(line.startswith(start) and text in line for line in told), (start, told)
    assert len(told) == len(expected)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("trainin.x=3", "trainin is no setting; did you mean 'training'?"),
        ("data.vale.path=3", "data.vale is no setting; did you mean 'val'?"),
        ("evaluation.batch=yes", "evaluation.batch = true must be a whole number"),
        ("training.epochs=.inf", "training.epochs = inf must be a finite number"),
        ("training=null", "training = null must be a block of settings, `key: value`"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_with_its_word(tmp_path: Path, word: str, told: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        read_settings(write(tmp_path, GOOD), [word])
    assert caught.value.problems == [f"command line, {word}: {told}"]


def test_every_kind_of_mistake_has_words_of_its_own() -> None:
    """Whatever stands in a place, the message has no words of the library that found it."""
    good = template_settings().model_dump()
    wrong: list[Any] = ["", "x", -1, 0, 1.5, float("inf"), True, None, [], [1], ["x"] * 3, {}, {"x": 1}]
    places = [(name,) for name in good] + [
        (block, key) for block in good if isinstance(good[block], dict) for key in good[block]
    ]
    for place in places:
        for value in wrong:
            document = copy.deepcopy(good)
            block = document if len(place) == 1 else document[place[0]]
            block[place[-1]] = value
            try:
                FinetuneSettings.model_validate(document)
            except ValidationError as error:
                for item in error.errors():
                    said = say_pydantic_error(item, FinetuneSettings)
                    assert not re.search("valid|input|instance|Settings|after", said.allowed), (place, value, said)


def test_a_source_alone_is_a_list_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, "output: x\nmodel: {path: x}\n")
    said = ("a.jsonl", "[a.jsonl]", "{path: a.jsonl}", "[{path: a.jsonl}]")
    found = [read_settings(path, [f"data.train={one}"]).data.train for one in said]
    assert found == [found[0]] * len(said) and found[0][0].path == "a.jsonl"
    assert read_settings(path, ["data.train={path: a.jsonl, images: b}"]).data.train[0].images == "b"
    with pytest.raises(ManyErrors, match=r"data\.train\.0\.image is no setting; did you mean 'images'"):
        read_settings(path, ["data.train={path: a.jsonl, image: b}"])


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManyErrors) as caught:
        read_settings(write(tmp_path, "training: {epochs: 2}\n"))
    assert [problem.split(": ")[1].split(" ")[0] for problem in caught.value.problems] == ["output", "data", "model"]
    for typed in ("output=...", "data.train=..."):
        assert f"missing; set it in the file, or type {typed}" in str(caught.value)
    with pytest.raises(ManyErrors, match=r"data.val.path is missing; set it in the file, or type data.val.path=\.\.\."):
        read_settings(write(tmp_path, "output: x\nmodel: {path: x}\ndata: {train: x, val: {images: y}}\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: {path: x, architecture: {}}", "not both"),
        ("model: {architecture: {}}", "random weights have nothing"),
        ("tuning: {freeze: [tower]}", "LoRA freezes everything"),
        ("tuning: {targets: published, mlp: true}", "says itself"),
        ("tuning: {method: full, start_from: runs/x}", "name it as model.path"),
        ("data: {train: []}", "name at least one"),
        ("data: {train: [{path: a, share: 1}, b]}", "every data set or to none"),
        ("data: {train: a, val: {path: b, share: 1}}", "no meaning"),
        ("training: {warmup: 1.5}", "whole number of steps"),
        ("tuning: {targets: prompt}", "'published'"),
        ("training: 7", "training"),
    ],
)
def test_contradictions(tmp_path: Path, text: str, says: str) -> None:
    section = text.partition(":")[0]
    base = {"output": "output: x", "model": "model: {path: m}", "data": "data: {train: a.jsonl}"} | {section: text}
    with pytest.raises(ManyErrors, match=says):
        read_settings(write(tmp_path, "\n".join(base.values())))


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        ([], []),
        (["evaluation.max_new_tokens=900"], ["evaluation.max_new_tokens"]),
        (["data.val=b.jsonl", "evaluation.max_new_tokens=900", "evaluation.batch=2"], []),
        (
            ["data.val=b.jsonl", "evaluation.samples=0", "evaluation.max_new_tokens=900"],
            ["evaluation.max_new_tokens"],
        ),
        (["evaluation.max_new_tokens=256", "evaluation.batch=4", "training.epochs=3", "training.max_steps=9"], []),
        (["evaluation.batch=2", "evaluation.pictures=3"], ["evaluation.batch", "evaluation.pictures"]),
        (["data.val=b.jsonl", "evaluation.pictures=3"], ["evaluation.pictures"]),
        (["data.val=b.jsonl", "evaluation.pictures=3", "training.report_to=[wandb]"], []),
        (["training.pack=false", "training.pack_tokens=900"], ["training.pack_tokens"]),
        (["training.max_steps=9", "training.epochs=7"], ["training.epochs"]),
    ],
)
def test_what_nothing_reads_is_told(tmp_path: Path, words: list[str], unread: list[str]) -> None:
    told = dict(without_effect(read_settings(write(tmp_path, GOOD), words)))
    assert list(told) == unread and all(told.values())


def test_overrides_are_yaml_and_reach_into_lists(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("a.jsonl", "[a.jsonl, {path: b.jsonl}]"))
    settings = read_settings(
        path,
        [
            "training.learning_rate=5e-4",
            "training.betas=[0.8, 0.99]",
            "data.train.1.images=pictures",
            "evaluation.every=50",
            "tuning.mlp=false",
            "data.val={path: v.jsonl}",
            "model.attention=null",
            "model.dtype=bfloat16",
            "training.epochs=2",
        ],
    )
    assert settings.training.learning_rate == 5e-4
    assert settings.training.betas == [0.8, 0.99]
    assert settings.evaluation.every == 50
    assert settings.tuning.mlp is False
    assert settings.data.val is not None and settings.data.val.path == "v.jsonl"
    assert settings.training.epochs == 2
    assert settings.data.train[1].images == "pictures"


def test_an_override_replaces_a_whole_block_that_is_not_there_yet(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, GOOD), ["evaluation.batch=2", "data.train=other.jsonl"])
    assert settings.evaluation.batch == 2
    assert [source.path for source in settings.data.train] == ["other.jsonl"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not YAML"),
        ("- 1\n- 2", "key: value"),
        ("a: b: c", "run.yaml:1"),
        ("a: \x07", "not YAML"),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_settings(write(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_settings(tmp_path / "bytes.yaml")


def test_a_value_that_its_yaml_tag_forbids_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ManyErrors, match=r"run\.yaml:6"):
        read_settings(write(tmp_path, GOOD + "training: {seed: !!python/name:os.system ''}\n"))


@pytest.mark.parametrize("comments", [False, True])
def test_what_is_written_reads_back_equal(tmp_path: Path, comments: bool) -> None:
    settings = read_settings(
        write(tmp_path, GOOD),
        ["data.train=[{path: a b.jsonl, share: 0.7}, {path: 数据.jsonl, share: 1}]", "tuning.freeze=[]", "data.val=v"],
    )
    text = settings_yaml(settings, comments=comments)
    assert read_settings(write(tmp_path, text)) == settings
    assert ("# Peak learning rate" in text) == comments


@given(
    rate=st.floats(min_value=1e-12, max_value=1e3),
    seed=st.integers(0, 2**32 - 1),
    name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1),
)
def test_any_value_survives_being_written(
    tmp_path_factory: pytest.TempPathFactory, rate: float, seed: int, name: str
) -> None:
    base = template_settings()
    settings = base.model_copy(
        update={
            "output": name,
            "training": base.training.model_copy(update={"learning_rate": rate, "seed": seed}),
        }
    )
    path = write(tmp_path_factory.mktemp("any"), settings_yaml(settings))
    assert read_settings(path) == settings


def test_every_setting_has_its_help() -> None:
    text = settings_yaml(template_settings(), comments=True)
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if ":" in line and not line.lstrip().startswith(("#", "-")):
            assert lines[number - 1].lstrip().startswith("#"), line


def test_differences_leave_out_what_only_costs_time_or_memory(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    before = read_settings(path)
    after = read_settings(path, ["training.micro_batch=4", "training.seed=1", "tuning.rank=8", "output=elsewhere"])
    assert differences(before, after) == ["tuning.rank: 16 -> 8", "training.seed: 0 -> 1"]


def test_an_architecture_is_a_mapping_or_a_file_of_one(tmp_path: Path) -> None:
    assert read_architecture({"hidden_size": 8}) == {"hidden_size": 8}
    assert read_architecture(str(write(tmp_path, '{"hidden_size": 16}'))) == {"hidden_size": 16}
    with pytest.raises(InputError, match="set twice"):
        read_architecture(str(write(tmp_path, "a: 1\na: 2\n")))
