"""The formats that `grounding convert --format` knows: the two of this package, and those that other packages bring.

Another package adds a format by an entry point of the group `grounding.readers`, whose name is the format's name and
whose object is a `data_tools.records.Reader`:

    [project.entry-points."grounding.readers"]
    my_format = "my_package.my_module:open_my_format"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from data_tools.readers.coco import open_coco
from data_tools.readers.voc import open_voc
from data_tools.records import Reader
from grounding.errors import InputError

GROUP = "grounding.readers"
OWN: dict[str, Reader] = {"coco": open_coco, "voc": open_voc}


def formats() -> list[str]:
    """The names that `reader_of` takes, this package's own first."""
    return [*OWN, *sorted(_brought().keys() - OWN.keys())]


def reader_of(name: str) -> Reader:
    """The reader of a format. Raises InputError where there is none, or where it cannot be imported."""
    if name in OWN:
        return OWN[name]
    if name not in _brought():
        raise InputError(f"no reader for the format {name!r}; there are: {', '.join(formats())}", where="--format")
    try:
        reader: Reader = _brought()[name].load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"the reader of the format {name!r} cannot be imported: {error}", where="--format") from error
    return reader


def _brought() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
