"""Files that appear whole or not at all: written beside the final name, then renamed. Knows no content."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grounding.errors import RunError


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """A temporary path to write a file (or folder) at, which takes the final name when the block ends well.

    The temporary name lies in the same folder, which is made if need be, and keeps the suffix, so that writers which
    go by it work. When the block ends by any exception, Ctrl-C included, what was written is removed and the final name
    is left as it was.

    Raises:
        RunError: an OSError in the block or while renaming: a full disk, no right to write.
    """
    final = Path(final)
    # A file name may have 255 bytes; a long one is cut so that the token still fits.
    temporary = final.with_name(f".{final.stem[:40]}.{os.getpid()}-{secrets.token_hex(4)}{final.suffix[:20]}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(final)
        finally:
            _remove(temporary)
    except OSError as error:
        raise RunError(
            f"{final}: could not be written: {_reason(error, temporary)}. What stood under this name is as it was."
        ) from error


def _reason(error: OSError, temporary: Path) -> str:
    """What went wrong, with the name of the file where that is another than the one written for the time being."""
    name = str(error.filename or "")
    return str(error) if error.strerror is None or not name.startswith(str(temporary)) else error.strerror


def _remove(path: Path) -> None:
    """Removes a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def share_files(folder: Path) -> None:
    """Gives the files in a folder the rights to read and write that the folder itself gives.

    safetensors makes its files for their owner alone, so that nobody else could serve the weights.
    """
    rights = folder.stat().st_mode & 0o666
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(rights)


def write_text_atomic(path: Path, text: str) -> None:
    """Writes UTF-8 text with `\\n` line ends.

    Raises:
        RunError: as `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json_atomic(path: Path, value: Any) -> None:
    """Writes a value as indented UTF-8 JSON.

    Raises:
        RunError: as `atomic_path`.
        ValueError: a number is NaN or infinite, which JSON has no word for.
    """
    write_text_atomic(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")
