"""Whatever does the work, the results are the same and in order; whatever reads, the same bytes are written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from data_tools.convert import convert
from data_tools.engines import Engine, cores, engine_of
from data_tools.options import Means, Options
from grounding.errors import InputError, ManyErrors
from tests.data_tools.annotated import coco_box, coco_file, coco_image, voc_folder, voc_object, voc_xml

HERE, PROCESSES, RAY = Engine(), Engine(workers=2), Engine("ray", 2)


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise ManyErrors("no", [f"part {number}"], fix="Give up.")


@pytest.fixture(scope="module")
def cluster() -> object:
    """A Ray cluster of two workers on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def sources(folder: Path) -> list[tuple[str | None, Path]]:
    """COCO files with pictures, and odd entries in one of them."""
    rng = random.Random(2)
    made: list[tuple[str | None, Path]] = []
    for split in ("train", "val", None):
        images = [coco_image(number, f"{number}.png") for number in range(12)]
        boxes = [
            coco_box(rng.randrange(12), rng.randint(1, 2), [rng.randint(0, 30), 3, 12, 9.5], id=number)
            for number in range(30)
        ]
        boxes += [coco_box(1, 1, [1, 1, 0, 5]), coco_box(1, 1, [-3, 1, 9, 5])]
        made.append((split, coco_file(folder / str(split), images, boxes, draw=True)))
    return made


def written(folder: Path, out: Path, engine: Engine) -> dict[str, bytes]:
    """What a conversion writes, the file names of all in it."""
    convert(sources(folder), out, Options(langs=("en", "zh")), means=Means(engine))
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_results_come_in_order() -> None:
    for engine in (HERE, PROCESSES):
        assert list(engine.map(square, range(5))) == [0, 1, 4, 9, 16]
        assert list(engine.map(square, [])) == []


def test_an_error_of_another_process_arrives_whole() -> None:
    with pytest.raises(ManyErrors, match="part 0") as caught:
        list(PROCESSES.map(fail, range(2)))
    assert (caught.value.problems, caught.value.fix) == (["part 0"], "Give up.")


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    one = written(tmp_path / "set", tmp_path / "out", HERE)
    assert len(one["train.jsonl"]) > 1000
    assert written(tmp_path / "set", tmp_path / "out", PROCESSES) == one
    assert written(tmp_path / "set", tmp_path / "out", Engine(workers=5)) == one


def test_sources_of_another_kind_travel_too(tmp_path: Path) -> None:
    for name in "ab":
        voc_folder(tmp_path / name, {f"{name}{n}": voc_xml([voc_object("cat", n, 3, 30, 20)]) for n in range(1, 4)})
    contents = []
    for engine in (HERE, PROCESSES):
        options = Options(format="voc", check_images=False)
        convert([("train", tmp_path / "a"), ("val", tmp_path / "b")], tmp_path / "out", options, means=Means(engine))
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.ray
def test_a_cluster_of_two_workers_writes_the_same_bytes(tmp_path: Path, cluster: object) -> None:
    one = written(tmp_path / "set", tmp_path / "out", HERE)
    assert written(tmp_path / "set", tmp_path / "out", RAY) == one
    with pytest.raises(ManyErrors, match="part 0"):
        list(RAY.map(fail, range(2)))


@pytest.mark.parametrize(("name", "workers", "told"), [("spark", 1, "local, ray"), ("local", 0, "1 or more")])
def test_a_wrong_engine_is_told(name: str, workers: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        engine_of(name, workers)


def test_without_a_number_there_is_a_worker_for_each_core() -> None:
    assert engine_of("local", None).workers == min(cores(), 64)
    assert engine_of("local", 1) == HERE


def test_a_missing_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(InputError, match="not installed"):
        list(RAY.map(square, [1]))
