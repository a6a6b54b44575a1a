"""Names on the hub, with a hub that is a function: what is asked of it, what is pinned, and what is said without it."""

from __future__ import annotations

import hashlib
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled
from torch import equal

from grounding import pocket
from grounding.errors import InputError
from grounding.models import hub
from grounding.models.hub import checkpoint_folder, is_hub_name, resolved_revision, tokenizer_place
from grounding.models.loading import load_model

NAME, COMMIT = "THUDM/cogvlm-grounding-generalist-hf", "0123456789abcdef" * 2 + "01234567"


class FakeHub:
    """Repositories as folders; a download copies what the patterns allow, as the real client lays it out."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.repositories, self.asked = cache, dict[str, Path](), list[dict[str, Any]]()

    def download(self, name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked.append({"name": name, "revision": revision})
        if name not in self.repositories:
            raise OfflineModeIsEnabled("Cannot reach it: offline mode is enabled.")
        target = self.cache / name.replace("/", "--") / "snapshots" / COMMIT
        target.mkdir(parents=True, exist_ok=True)
        for file in self.repositories[name].iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, target)
        return str(target)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.download)
    monkeypatch.chdir(tmp_path)
    return fake


def test_what_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_name(NAME) and is_hub_name(Path(NAME))
    for path in ("folder", "a/b/c", "./a/b", "../b", "/a/b", "~/b", "a/", "a b/c", "models/b", "datasets/b"):
        assert not is_hub_name(path), path
    (tmp_path / "mine").mkdir()
    assert not is_hub_name("mine/cogvlm")  # a folder of that owner's name is here: a path that was mistyped
    (tmp_path / NAME).mkdir(parents=True)
    assert not is_hub_name(NAME)


def test_weights_and_tokenizer_are_fetched_and_nothing_that_runs(
    fake: FakeHub, checkpoint: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkpoint / "modeling_cogvlm.py").write_text("raise SystemExit")
    (checkpoint / "pytorch_model.bin").write_bytes(b"")
    fake.repositories[NAME] = checkpoint
    loaded = load_model(NAME, device="cpu", revision="v1")
    assert loaded.folder is not None and resolved_revision(loaded.folder) == COMMIT
    names = {file.name for file in loaded.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any(name.endswith((".py", ".bin")) for name in names)
    assert fake.asked == [{"name": NAME, "revision": "v1"}]
    assert equal(loaded.model.lm_head.weight, tiny.model.lm_head.weight)


def test_the_usual_tokenizer_is_fetched_where_the_checkpoint_has_none(
    fake: FakeHub, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in checkpoint.glob("tokenizer*"):
        file.unlink()
    vicuna = tmp_path / "vicuna"
    vicuna.mkdir()
    (vicuna / "tokenizer.model").write_bytes(b"pieces")
    fake.repositories |= {NAME: checkpoint, hub.TOKENIZER: vicuna}
    folder = checkpoint_folder(NAME)
    with pytest.raises(InputError, match=r"not the tokenizer\.model that CogVLM was trained with"):
        tokenizer_place(folder, None, fetched=True)
    monkeypatch.setattr(hub, "TOKENIZER_SHA256", hashlib.sha256(b"pieces").hexdigest())
    assert tokenizer_place(folder, None, fetched=True).read_bytes() == b"pieces"
    assert tokenizer_place(folder, hub.TOKENIZER, fetched=False).name == COMMIT
    assert tokenizer_place(folder, vicuna, fetched=True) == vicuna
    assert tokenizer_place(folder, None, fetched=False) == folder  # a folder of one's own: said to lack it when read


@pytest.mark.parametrize(
    "problem",
    [
        OfflineModeIsEnabled("outgoing traffic has been disabled.\nmore"),
        HFValidationError("no such name"),
        OSError(28, "No space left on device"),
        hub._FAILURES[-1]("connection refused"),
    ],
)
def test_without_a_network_the_message_says_what_to_put_where(
    problem: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise problem

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InputError) as caught:
        load_model(NAME, device="cpu", revision="v1")
    message = str(caught.value)
    for part in (NAME, "v1", str(problem).splitlines()[0].rstrip("."), "config.json", "model.safetensors.index.json"):
        assert part in message
    assert "tokenizer.model of lmsys/vicuna-7b-v1.5" in message and "goes on where it stopped" in message
    with pytest.raises(InputError, match=r"lmsys/vicuna-7b-v1\.5: there is no such path here"):
        tokenizer_place(tmp_path, hub.TOKENIZER, fetched=False)


def test_the_real_client_in_offline_mode_says_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"fetching that name from the hub failed \(.+put these files into a folder"):
        checkpoint_folder(NAME)


def test_a_folder_has_no_revision(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="Leave the revision out"):
        load_model(checkpoint, device="cpu", revision="v1")
    assert resolved_revision(checkpoint) is None


def test_every_failure_of_the_client_is_caught() -> None:
    for name in ("LocalEntryNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError"):
        assert issubclass(getattr(huggingface_hub.errors, name), hub._FAILURES), name


def test_pocket_is_the_embedded_checkpoint_unless_a_checkpoint_of_that_name_lies_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    embedded = checkpoint_folder("pocket")
    assert embedded == pocket.checkpoint_folder() and embedded.is_absolute() and not is_hub_name("pocket")
    (tmp_path / "pocket").mkdir()
    assert checkpoint_folder(Path("pocket")) == embedded, "a folder with something else in it"
    (tmp_path / "pocket" / "config.json").touch()
    assert checkpoint_folder("pocket") == Path("pocket")
    assert checkpoint_folder(tmp_path / "pocket") == tmp_path / "pocket"
