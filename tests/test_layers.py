"""The shape of the house, held as a test: who imports whom, no circles, no drawers, short files, no torch in `text`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("grounding/**/*.py"), *ROOT.glob("data_tools/**/*.py")])

# What each room may import of the project besides itself (design: imports only point down).
ALLOWED: dict[str, set[str]] = {
    "grounding.errors": set(),
    "grounding.closest": set(),
    "grounding.counted": set(),
    "grounding.processes": set(),
    "grounding.progress": {"grounding.processes"},
    "grounding.geometry": {"grounding.errors"},
    "grounding.samples": {"grounding.errors", "grounding.geometry"},
    "grounding.settings": {"grounding.closest", "grounding.errors"},
    "grounding.text": {"grounding.closest", "grounding.errors", "grounding.geometry"},
    # What holds between a sample and its label, for whoever trains on it or judges it.
    "grounding.labels": {"grounding.counted", "grounding.samples", "grounding.text"},
    "grounding.models": {"grounding.closest", "grounding.counted", "grounding.errors", "grounding.processes"},
    "grounding.pocket": {"grounding.errors", "grounding.geometry", "grounding.samples", "grounding.text"},
    "grounding.tuning": {"grounding.errors", "grounding.models"},
    "grounding.training": {
        "grounding.closest",
        "grounding.counted",
        "grounding.errors",
        "grounding.geometry",
        "grounding.samples",
        "grounding.settings",
        "grounding.text",
        "grounding.labels",
        "grounding.models",
        "grounding.processes",
        "grounding.progress",
        "grounding.tuning",
    },
    "grounding.inference": {
        "grounding.counted",
        "grounding.errors",
        "grounding.samples",
        "grounding.text",
        "grounding.models",
    },
    # One look for the pages of all rooms: it knows samples only to draw them.
    "grounding.page": {"grounding.errors", "grounding.samples"},
    "grounding.evaluation": {
        "grounding.closest",
        "grounding.counted",
        "grounding.errors",
        "grounding.geometry",
        "grounding.samples",
        "grounding.text",
        "grounding.page",
    },
    # `labels` and `page` for looking at a finished dataset: the same judgement and the same look as everywhere.
    "data_tools": {
        "grounding.closest",
        "grounding.counted",
        "grounding.errors",
        "grounding.geometry",
        "grounding.samples",
        "grounding.text",
        "grounding.labels",
        "grounding.page",
    },
}
EXTRA = {
    "grounding.evaluation.predict": {"grounding.inference", "grounding.models", "grounding.processes"},
    # Where the embedded checkpoint lies: `pocket` is a name of a checkpoint like those on the hub.
    "grounding.models.hub": {"grounding.pocket"},
    # How the embedded model is made; nothing else in that room knows a model.
    "grounding.pocket.vocabulary": {"grounding.models"},
    "grounding.pocket.tower": {"grounding.models", "grounding.training"},
    "grounding.pocket.looking": {"grounding.models", "grounding.training"},
    "grounding.pocket.make": {"grounding.models", "grounding.settings", "grounding.training"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "data_tools" else ".".join(parts[:2])


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Modules of the project that a file imports, whole names (`from a import b` gives a.b where that is a module)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


MODULES = {module_name(path) for path in SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_only_point_down(path: Path) -> None:
    module = module_name(path)
    home = room(module)
    if home in {"grounding", "grounding.cli", "grounding.__main__"}:
        return  # the command line may join everything
    allowed = ALLOWED[home] | EXTRA.get(module, set()) | {home}
    for imported in imports(path):
        if imported in MODULES and imported != "grounding":
            assert room(imported) in allowed, f"{module} imports {imported}"


def test_no_circle_of_imports() -> None:
    graph = {module_name(path): {name for name in imports(path) if name in MODULES} for path in SOURCES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for imported in sorted(graph[module] - {module}):
                visit(imported, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize(
    "path", sorted([*SOURCES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]), ids=str
)
def test_files_are_short_say_what_they_do_and_are_no_drawers(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    assert path.stem not in {"utils", "util", "misc", "common", "helpers", "helper"}
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), "no opening sentence"


def test_the_room_for_words_and_boxes_has_no_torch() -> None:
    for path in SOURCES:
        if room(module_name(path)) in {"grounding.text", "grounding.geometry", "grounding.samples", "data_tools"}:
            assert not any(name.split(".")[0] in {"torch", "transformers"} for name in imports(path)), path


def test_nothing_runs_code_from_outside() -> None:
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        assert "trust_remote_code" not in source, path
        assert "pickle" not in {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize(
    "arguments", [["--help"], ["convert", "--help"], ["convert", "nowhere", "--format", "coco", "--out", "x"]]
)
def test_convert_and_help_start_without_torch(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom grounding.cli.main import group\n"
        f"group({arguments!r}, standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "torch was imported" not in finished.stderr
    assert finished.returncode in (0, 1, 2), finished.stderr
