"""Whether what a model is loaded from lies where it was said to, before anything is read or imported that takes time.

Knows names of files; does not know what is in them, and loads no torch.
"""

from __future__ import annotations

from pathlib import Path

from grounding.closest import did_you_mean_path
from grounding.errors import InputError
from grounding.models.hub import POCKET, checkpoint_folder, is_hub_name

CONFIG_FILE = "config.json"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
NO_TOKENIZER = (
    "Published CogVLM checkpoints ship none. Put the Llama tokenizer into that folder (the tokenizer.model of "
    "lmsys/vicuna-7b-v1.5, or a tokenizer.json), or name its path as the tokenizer."
)


def check_presence(
    model: str | Path | None = None, *, adapter: str | Path | None = None, tokenizer: str | Path | None = None
) -> None:
    """Sees that checkpoint, adapter and tokenizer are there; names on the hub are left to whoever fetches them.

    Raises:
        InputError: one of them is not.
    """
    if model is not None and not is_hub_name(model):
        check_checkpoint(checkpoint_folder(model))
    if adapter is not None:
        check_adapter_files(Path(adapter))
    if tokenizer is not None and not is_hub_name(tokenizer) and not Path(tokenizer).exists():
        fix = _with_closest(tokenizer, NO_TOKENIZER)
        raise InputError("this tokenizer does not exist.", where=str(tokenizer), fix=fix)


def check_checkpoint(folder: Path) -> None:
    """Sees that a folder is there and holds a config.

    Raises:
        InputError: no folder, or no config.json in it.
    """
    fix = f"Name a folder that holds {CONFIG_FILE} and the weights."
    if not folder.is_dir():
        fix = f"{fix[:-1]}, or {POCKET}, the small model of this package."
        raise InputError("this is no folder.", where=str(folder), fix=_with_closest(folder, fix, POCKET))
    if not (folder / CONFIG_FILE).is_file():
        problem = f"there is no {CONFIG_FILE} in this folder, so it is no checkpoint."
        raise InputError(problem, where=str(folder), fix=_what_it_is(folder) or fix)


def check_adapter_files(folder: Path) -> None:
    """Sees that a PEFT adapter's two files are in a folder.

    Raises:
        InputError: one of them is not.
    """
    if not folder.exists():
        fix = _with_closest(folder, "Name the folder that training wrote.")
        raise InputError("there is no such adapter folder.", where=str(folder), fix=fix)
    for name in ADAPTER_FILES:
        if not (folder / name).is_file():
            raise InputError(
                f"there is no {name}, so this is no PEFT adapter folder.",
                where=str(folder),
                fix=_what_it_is(folder) or "Name the folder that training wrote; adapters in .bin files are not read.",
            )


def _what_it_is(folder: Path) -> str:
    """What to do with a folder that is not what it was named as, where it is known for something else."""
    if (folder / "adapter" / ADAPTER_FILES[0]).is_file():
        return f"This is a run's folder; the adapter in it is {folder / 'adapter'}, and goes with its base."
    if (folder / "model" / CONFIG_FILE).is_file():
        return f"This is a run's folder; the model in it is {folder / 'model'}"
    if all((folder / name).is_file() for name in ADAPTER_FILES):
        return "This is an adapter: name its base as the model, and this as the adapter."
    if (folder / CONFIG_FILE).is_file():
        return "This is a whole model: name it as the model, without an adapter."
    return ""


def _with_closest(path: str | Path, fix: str, *names: str) -> str:
    """What to do, behind what may have been meant where the path itself is not there."""
    return fix if Path(path).exists() else f"{did_you_mean_path(path, names)} {fix}".lstrip()
