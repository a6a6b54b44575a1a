"""Checkpoints by name: `pocket`, which is in the package, and names on the Hugging Face hub, fetched once and pinned.

Knows names, files and the hub's client, and what to put where instead; it does not know what is in the files.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from grounding import pocket
from grounding.closest import did_you_mean_path
from grounding.errors import InputError

TOKENIZER = "lmsys/vicuna-7b-v1.5"
"""Whose tokenizer.model CogVLM was trained with; CogVLM's own repositories ship none."""
TOKENIZER_SHA256 = "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
POCKET = "pocket"
"""The embedded checkpoint's name, unless a checkpoint lies in a folder of that name here."""
MODEL_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", *TOKENIZER_FILES)
"""What is fetched of a checkpoint: no Python, no .bin."""
NOBODY = ("models", "datasets", "spaces")
"""Pages of the hub itself, which no owner is called: what begins with one is a folder that is not here."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Besides errors of the file system, which the client's own mostly are: names it refuses, and all that HTTP has.
_FAILURES: tuple[type[Exception], ...] = (OSError, HFValidationError, *HfHubHTTPError.__bases__)


def is_hub_name(path: str | Path) -> bool:
    """Whether this can only be meant as OWNER/NAME: nothing lies there, and no folder here is called OWNER."""
    name = str(path)
    if _NAME.fullmatch(name) is None or name.partition("/")[0] in NOBODY:
        return False
    return not Path(name).exists() and not Path(name).parent.is_dir()


def checkpoint_folder(path: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint: `path` itself, the embedded one, or where the hub's files of that name lie.

    A download that broke off goes on where it was. Files that are here already are not fetched again; without a
    network they are used as they are.

    Raises:
        InputError: a name that cannot be fetched (it says which files to put where), or a revision of a folder.
    """
    if is_hub_name(path):
        return _fetch(str(path), MODEL_FILES, revision)
    if revision is not None:
        raise InputError(
            f"a revision ({revision}) belongs to a name on the hub, and this is a folder.",
            where=str(path),
            fix="Leave the revision out.",
        )
    embedded = str(path) == POCKET and not (Path(path) / "config.json").is_file()
    return pocket.checkpoint_folder() if embedded else Path(path)


def resolved_revision(folder: Path) -> str | None:
    """The commit that a fetched folder holds; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" and re.fullmatch("[0-9a-f]{40}", folder.name) else None


def tokenizer_place(folder: Path, named: str | Path | None, *, fetched: bool) -> Path:
    """The folder or file of a tokenizer.

    Args:
        folder: of the checkpoint.
        named: a path or a name on the hub; None: the checkpoint's own.
        fetched: the checkpoint came from the hub, so that CogVLM's usual tokenizer may be fetched too.

    Raises:
        InputError: a name that cannot be fetched, or another file than CogVLM's under the usual name.
    """
    if named is not None:
        return _fetch(str(named), TOKENIZER_FILES, None) if is_hub_name(named) else Path(named)
    if not fetched or any((folder / name).is_file() for name in TOKENIZER_FILES):
        return folder
    file = _fetch(TOKENIZER, ("tokenizer.model",), None) / "tokenizer.model"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != TOKENIZER_SHA256:
        raise InputError(
            "this is not the tokenizer.model that CogVLM was trained with.",
            where=str(file),
            fix=f"Name the right one as the tokenizer; its SHA-256 is {TOKENIZER_SHA256}.",
        )
    return file


def _fetch(name: str, files: tuple[str, ...], revision: str | None) -> Path:
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(files)))
    except _FAILURES as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        model = files == MODEL_FILES
        needed = (
            "config.json, model.safetensors.index.json, every model-*.safetensors that it names (33 GiB for the "
            f"published model), and tokenizer.model of {TOKENIZER}"
            if model
            else "tokenizer.model"
        )
        raise InputError(
            f"there is no such {'folder' if model else 'path'} here, and fetching that name from the hub failed "
            f"({reason.rstrip('.')}).",
            where=name if revision is None else f"{name}, revision {revision}",
            fix=f"{did_you_mean_path(name)} Where there is a network, run the command again: it goes on where it "
            f"stopped. Otherwise put these files into a folder and name that folder instead: {needed}.".lstrip(),
        ) from error
