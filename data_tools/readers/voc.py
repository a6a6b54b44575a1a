"""Pascal VOC folder -> records and a tally. Knows no prompt; looks for image files by name and reads none.

Pixels: VOC counts from 1 and includes the last one, so x0 = xmin - 1 and x1 = xmax. Where a coordinate 0 stands in two
files or more the set cannot count from 1; its corners are then taken as edges, x0 = xmin and x1 = xmax. `path` and
`folder` tags are never used. Corners with xmin = xmax are a click of a labelling tool, not an object, and are refused.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, get_args
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from data_tools.entries import box_fault, class_name, clean_name, stated_size, text_of
from data_tools.readers.box_form import Stated, choose_form, corners
from data_tools.readers.documents import read_bytes
from data_tools.readers.image_files import SUFFIXES, FilesThere
from data_tools.readers.voc_lists import find_lists, read_lists
from data_tools.records import XYXY, Annotation, Finding, Record, Source, Tally
from grounding.errors import InputError

Pixels = Literal["auto", "one-based", "edges"]
PIXELS: tuple[str, ...] = get_args(Pixels)
ZEROS_OF_EDGES = 2  # files with a coordinate 0 from which on a set cannot count from 1; a single one may be a slip
CORNERS = ("xmin", "ymin", "xmax", "ymax")
TRUE = {"1", "true", "True"}


class Folders(NamedTuple):
    """Where the parts of a VOC folder lie; `lists` are the files of ImageSets/Main that count."""

    annotations: Path
    images: Path
    lists: list[Path]


class VocObject(NamedTuple):
    """An <object>: its corners as stated; `fault` is the reason to refuse them, or None."""

    category: str
    stated: XYXY | None
    fault: str | None
    difficult: bool
    place: str


class VocFile(NamedTuple):
    """One XML file as stated; `fault` (and what was found) says why the image is refused, or is None."""

    stem: str
    place: str
    filename: str | None = None
    size_wh: tuple[int, int] | None = None
    objects: tuple[VocObject, ...] = ()
    fault: str | None = None
    found: str = ""


def open_voc(source: Path, images: Path | None, options: Mapping[str, str]) -> list[Source]:
    """The reader behind `--format voc`. Raises InputError where the folder is no VOC folder.

    Options: "voc_pixels" is one of PIXELS; "lists" = "no" leaves ImageSets alone, where the caller sets the split.
    """
    folders = find_folders(source, images)
    lists = folders.lists if options.get("lists") != "no" else []
    names = _xml_files(folders.annotations)
    digest = hashlib.sha256()
    files = []
    above = folders.annotations.relative_to(source).as_posix()
    for name in names:
        content = read_bytes(f"{folders.annotations}/{name}")
        digest.update(f"{name if above == '.' else f'{above}/{name}'}\0{len(content)}\0".encode() + content)
        files.append(parse_voc(content, name))
    listed = {path: read_bytes(path) for path in lists}
    for path, content in listed.items():
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(content)}\0".encode() + content)
    one_based, why = pixel_rule(files, options.get("voc_pixels", "auto"))
    form, other = choose_form(_stated(files), "corners", options.get("box_form", "auto"))
    if form == "xywh":
        files = [_with_sizes(file, one_based) for file in files]
    splits: dict[str, str] | None = None
    findings: list[Finding] = []
    if lists:
        texts = {path.stem: content.decode("utf-8-sig", errors="replace") for path, content in listed.items()}
        splits, findings = read_lists(texts, [file.stem for file in files])
    there = FilesThere(folders.images)
    records = [record for file in files if (record := _record(file, there, one_based, splits, findings))]
    taken = {"VOC pixels": why, **({"box form": f"{form}: {other}"} if other else {})}
    if lists:
        taken["splits"] = f"official, from ImageSets/Main: {', '.join(path.name for path in lists)}"
    return [
        Source(
            records=records,
            tally=Tally.of(findings),
            image_root=folders.images,
            inputs={str(source): digest.hexdigest()},
            classes=frozenset(thing.category for file in files for thing in file.objects if thing.category),
            taken=taken,
        )
    ]


def read_voc(folder: Path, images: Path | None = None, pixels: str = "auto") -> tuple[tuple[Record, ...], Tally]:
    """Records in the order of the XML files' names, and what was refused. Raises InputError as `open_voc`."""
    (source,) = open_voc(folder, images, {"voc_pixels": pixels})
    return tuple(source.records), source.tally


def find_folders(source: Path, images: Path | None) -> Folders:
    """The parts of a VOC folder, whatever the case of their names. Raises InputError where there is no XML."""
    if not source.is_dir():
        found = "there is no such folder" if not source.exists() else "it is a file"
        raise InputError(f"a VOC source is a folder with Annotations/ and JPEGImages/; {found}", where=str(source))
    children = {child.name.lower(): child for child in sorted(source.iterdir()) if child.is_dir()}
    annotations = children.get("annotations", source)
    if not _xml_files(annotations):
        raise InputError("there is no XML file in it or in its Annotations/", where=str(source))
    root = images or children.get("jpegimages") or children.get("images") or annotations
    return Folders(annotations, root, find_lists(children.get("imagesets")))


def parse_voc(content: bytes, name: str) -> VocFile:
    """One XML file; never raises for what is in it. `name` is its path below Annotations/, with slashes."""
    stem = name.rpartition(".")[0]
    try:
        root = _parse(content)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        return VocFile(stem, name, fault="unreadable_xml", found=str(error))
    if root.tag != "annotation":
        return VocFile(stem, name, fault="unreadable_xml", found=f"its root is <{root.tag}>")
    objects = tuple(
        _object(element, f"{name}: object {index}") for index, element in enumerate(root.findall("object"), start=1)
    )
    nameless = next((thing.place for thing in objects if not thing.category), None)
    size = root.find("size")
    sides = (None, None) if size is None else (_number(size.findtext("width")), _number(size.findtext("height")))
    return VocFile(
        stem=stem,
        place=name,
        filename=text_of(root.findtext("filename")),
        size_wh=stated_size(*sides),
        objects=objects,
        fault="nameless_object" if nameless else None,
        found=nameless or "",
    )


# No markup declaration, so no entity, in an encoding that cannot hide one: what the quick parser may be given.
_HARMLESS = re.compile(
    rb"""(<\?xml version=["']1.0["']( encoding=["'](utf-8|us-ascii)["'])? ?\?>)?\s*<annotation""", re.I
)


def _parse(content: bytes) -> Element:
    """The root of an XML text; the parser is safe against entities where there could be any."""
    if _HARMLESS.match(content) and b"<!" not in content:
        return ElementTree.fromstring(content)
    return fromstring(content)


def pixel_rule(files: Sequence[VocFile], pixels: str) -> tuple[bool, str]:
    """Whether pixels count from 1, and the choice in words. `pixels` is one of PIXELS, else InputError."""
    if pixels not in PIXELS:
        raise InputError(f"VOC pixels {pixels!r} are not known; allowed: {', '.join(PIXELS)}")
    zeros = sum(any(thing.stated is not None and 0 in thing.stated for thing in file.objects) for file in files)
    one_based = zeros < ZEROS_OF_EDGES if pixels == "auto" else pixels == "one-based"
    rule = "1-based, x0 = xmin - 1 and x1 = xmax" if one_based else "0-based edges, x0 = xmin and x1 = xmax"
    why = f"a coordinate 0 stands in {zeros} of {len(files)} files" if pixels == "auto" else "as set"
    return one_based, f"{rule} ({why})"


def _stated(files: Sequence[VocFile]) -> Iterator[Stated]:
    """Four numbers and the size of their image, where both are stated."""
    for file in files:
        for thing in file.objects:
            if thing.stated is not None and file.size_wh is not None:
                yield thing.stated, file.size_wh


def _with_sizes(file: VocFile, one_based: bool) -> VocFile:
    """The file with xmax and ymax taken as width and height, put right. The last pixel counts where the first is 1."""
    last = 1.0 if one_based else 0.0
    objects = []
    for thing in file.objects:
        if thing.stated is not None:
            x0, y0, x1, y1 = corners(thing.stated, "xywh")
            stated = (x0, y0, x1 - last, y1 - last)
            fault = box_fault((x0, y0, x1, y1))
            thing = thing._replace(stated=stated, fault=fault)
        objects.append(thing)
    return file._replace(objects=tuple(objects))


def _xml_files(folder: Path) -> list[str]:
    """Paths of the XML files below a folder, with slashes, sorted part by part."""
    return sorted(_walk(folder, ""), key=lambda name: name.split("/"))


def _walk(folder: Path, above: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{above}{entry.name}/")
            elif entry.name[1:].lower().endswith(".xml") and entry.is_file():
                yield above + entry.name


def _object(element: Element, place: str) -> VocObject:
    box = element.find("bndbox")
    stated: XYXY | None = None
    fault: str | None = "missing_box" if box is None else "malformed_box"
    x0, y0, x1, y1 = (None,) * 4 if box is None else (_number(box.findtext(corner)) for corner in CORNERS)
    if x0 is not None and y0 is not None and x1 is not None and y1 is not None:
        stated = (x0, y0, x1, y1)
        fault = box_fault(stated)
    difficult = (element.findtext("difficult") or "").strip() in TRUE
    return VocObject(class_name(element.findtext("name")) or "", stated, fault, difficult, place)


def _number(text: str | None) -> float | None:
    """The number in a tag ("12", "12.5", also "nan"), or None."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _record(
    file: VocFile, images: FilesThere, one_based: bool, splits: Mapping[str, str] | None, findings: list[Finding]
) -> Record | None:
    """The record of a file, or None where its image is refused; findings are added to the list."""
    name, fault, found = _image_name(file, images) if file.fault is None else ("", file.fault, file.found)
    if fault is None and splits is not None and file.stem not in splits:
        fault = "not_in_lists"
    if fault is not None:
        findings.append(Finding(fault, file.place, found))
        findings += [Finding("image_refused", thing.place, thing.category) for thing in file.objects]
        return None
    if found:
        findings.append(Finding("filename_disagrees", file.place, found))
    refused = {thing.category for thing in file.objects if thing.fault}
    findings += [_finding(thing) for thing in file.objects if thing.fault or thing.difficult]
    return Record(
        name=name,
        size_wh=file.size_wh,
        annotations=tuple(_annotation(thing, one_based) for thing in file.objects if not thing.fault),
        place=file.place,
        refused=frozenset(refused),
        split=None if splits is None else splits[file.stem],
    )


def _finding(thing: VocObject) -> Finding:
    return Finding(thing.fault or "difficult", thing.place, f"{thing.category} {thing.stated or ''}".strip())


def _annotation(thing: VocObject, one_based: bool) -> Annotation:
    assert thing.stated is not None  # else it has a fault
    x0, y0, x1, y1 = thing.stated
    shift = 1.0 if one_based else 0.0
    return Annotation(
        xyxy_px=(x0 - shift, y0 - shift, x1, y1),
        category=thing.category,
        place=thing.place,
        ignore="difficult" if thing.difficult else None,
    )


def _image_name(file: VocFile, images: FilesThere) -> tuple[str, str | None, str]:
    """(path below the image root, reason to refuse it or None, what was found where the two names disagree).

    The image named like the XML file wins over the <filename> tag, which copies and renamings leave stale; for a
    subfolder of Annotations/ the same one of the images is looked at first. Where no such file exists the tag is taken.
    """
    stated = clean_name(file.filename) if file.filename else None
    last = stated.rpartition("/")[2] if stated else PurePosixPath((file.filename or "").replace("\\", "/")).name
    own = file.stem.rpartition("/")[2]
    last_stem, dot, suffix = last.rpartition(".")
    disagrees = last and own not in (last, last_stem)
    found = f"<filename> {file.filename}" if disagrees else ""
    suffixes = _suffixes(dot + suffix if dot else "")
    for stem in dict.fromkeys((file.stem, own)):
        if there := images.suffixes(stem):
            name = next((f"{stem}{suffix}" for suffix in suffixes if suffix in there), None)
            if name is not None:
                return name, None, found
    if file.filename and stated is None:
        return "", "bad_file_name", file.filename
    return stated or f"{file.stem}{suffixes[0]}", None, found


@cache
def _suffixes(stated: str) -> tuple[str, ...]:
    """Suffixes to try, that of the <filename> tag first."""
    return tuple(dict.fromkeys((stated, *SUFFIXES))) if stated.lower() in SUFFIXES else SUFFIXES
