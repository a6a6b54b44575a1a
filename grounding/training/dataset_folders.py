"""Dataset folders that settings name, as `grounding convert` makes them, to the files in them.

Knows names of files; opens none, and loads no torch.
"""

from __future__ import annotations

from pathlib import Path

from grounding.samples import is_cogvlm_folder
from grounding.settings import DataSource, FinetuneSettings

TRAIN, VAL = "train.jsonl", "val.jsonl"


def with_files(settings: FinetuneSettings) -> FinetuneSettings:
    """The settings with `train.jsonl` and `val.jsonl` in place of the folders that data.train and data.val name.

    Where data.val is left out and data.train is one such folder, its `val.jsonl` is taken too, unless it is empty. What
    is no folder, or lacks the file, stays as it is.
    """
    data = settings.data
    train = [_file_in(source, TRAIN) for source in data.train]
    val = data.val and _file_in(data.val, VAL)
    if "val" not in data.model_fields_set and len(train) == 1 and train[0] != data.train[0]:
        beside = Path(data.train[0].path) / VAL
        if beside.is_file() and beside.stat().st_size:
            val = DataSource(path=str(beside), images=data.train[0].images)
    return settings.model_copy(update={"data": data.model_copy(update={"train": train, "val": val})})


def _file_in(source: DataSource, name: str) -> DataSource:
    folder = Path(source.path)
    file = folder / name
    if is_cogvlm_folder(folder) or not file.is_file():
        return source
    return source.model_copy(update={"path": str(file)})
