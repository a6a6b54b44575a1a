"""The one table of what happens to an annotation, an image or a class in an image that is not plainly right.

Every reason that a reader, a check or a selection counts stands here with its outcome and its rule. Knows no record and
no file; `data_tools.records.Tally` refuses a reason that this table does not have.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Outcome = Literal["kept", "mended", "refused"]
Unit = Literal[
    "annotation", "annotation in tile", "phrase", "sample", "image", "class in image", "class in tile", "file"
]


class Rule(NamedTuple):
    """What is done (`outcome`) to one `unit`, and why, in a line that the command line prints."""

    outcome: Outcome
    unit: Unit
    meaning: str


REASONS: dict[str, Rule] = {
    # Boxes.
    "zero_area": Rule(
        "refused", "annotation", "the box has no width or no height as stated (VOC: xmin = xmax, a click)"
    ),
    "negative_area": Rule(
        "refused", "annotation", "width or height is negative, or xmax < xmin: which corner is wrong?"
    ),
    "not_finite": Rule("refused", "annotation", "a coordinate is NaN or infinite"),
    "missing_box": Rule("refused", "annotation", "there is no box, and no segmentation to take one from"),
    "unreadable_mask": Rule("refused", "annotation", "there is no box, and its segmentation is no polygon and no RLE"),
    "box_from_mask": Rule("mended", "annotation", "there is no box; it is the extent of the segmentation"),
    "malformed_row": Rule("refused", "annotation", "the line is no row of YOLO labels: a class number, then fractions"),
    "looks_like_pixels": Rule(
        "refused", "annotation", "values far above 1: these look like pixels; YOLO wants fractions of the image's sides"
    ),
    "malformed_box": Rule("refused", "annotation", "the box is not four numbers"),
    "outside_image": Rule("refused", "annotation", "the box lies wholly outside the image"),
    "clipped": Rule("mended", "annotation", "the box reaches over the edge; it is cut at the edge"),
    "widened": Rule(
        "mended", "annotation", "narrower than a cell of the 000-999 grid: written one cell wide, truth unchanged"
    ),
    "duplicate_box": Rule("kept", "annotation", "the same box of the same class stands there before; both count"),
    "group_of": Rule("kept", "annotation", "IsGroupOf, one box round many: goes to `ignore`, asked for by no sample"),
    "crowd": Rule("kept", "annotation", "iscrowd: goes to `ignore`, asked for by no sample"),
    "difficult": Rule("kept", "annotation", "difficult: goes to `ignore`, asked for by no sample"),
    # Whose box, and of what.
    "malformed_annotation": Rule(
        "refused", "annotation", "the entry is not a JSON object with the right kinds of values"
    ),
    "unknown_image": Rule("refused", "annotation", "its image id is not in the list of images"),
    "ambiguous_image": Rule("refused", "annotation", "its image id stands for several files"),
    "unknown_category": Rule(
        "refused",
        "annotation",
        "its class id is not in the list, or stands for several names; no not-found sample is made there",
    ),
    "repeated_annotation": Rule("mended", "annotation", "the same annotation stands there twice; the copy is left out"),
    "repeated_annotation_id": Rule(
        "kept", "annotation", "the id is used twice for different boxes; nothing here relies on ids"
    ),
    "same_phrase_class": Rule(
        "mended", "annotation", "its class is worded like another one (red_car, red car): one class"
    ),
    "class_name_twice": Rule(
        "mended", "file", "data.yaml gives several class numbers one name: they are one class (is a name wrong?)"
    ),
    "class_number_differs": Rule("kept", "file", "nc of data.yaml is not the number of its names; the names count"),
    "part_of_group": Rule(
        "mended",
        "annotation",
        "a shape of this label and group_id stands there before: parts of one object, whose box is round them all",
    ),
    "image_refused": Rule("refused", "annotation", "its image is refused"),
    "class_refused": Rule(
        "refused", "annotation", "sound by itself; its class is refused in its image, for another box or as a whole"
    ),
    # Phrases, and prompts with their answers.
    "empty_phrase": Rule("refused", "phrase", "there are no words, or none that the caption's spans point to"),
    "phrase_without_box": Rule("refused", "phrase", "no box belongs to it; that is not said to mean absent"),
    "phrase_incomplete": Rule("refused", "phrase", "one of its boxes was refused: no sample asks for all of them"),
    "phrase_of_several": Rule(
        "kept", "phrase", "the same words stand for another object of this image too; each is asked for by itself"
    ),
    "phrase_unwritable": Rule(
        "refused", "phrase", 'its words make the label unreadable (like boxes or "not found"): no sample'
    ),
    "phrase_not_asked": Rule("refused", "phrase", "phrase_to_boxes, which asks for phrases, is not among --tasks"),
    "repeated_phrase": Rule("kept", "phrase", "the same words for the same boxes stand there before; both count"),
    "malformed_sample": Rule("refused", "sample", "a prompt with its answer that no sample can be made of"),
    "unwritable_box": Rule("refused", "sample", "one of the boxes that belong into its text was refused"),
    "mark_in_words": Rule(
        "refused",
        "sample",
        "its words hold a mark that --style keeps for itself (<image>, <bbox>): it would be read anew",
    ),
    "asks_no_box": Rule("kept", "sample", "no box is asked for: trained, and not scored as localisation"),
    "system_message": Rule("mended", "sample", "a system message is left out: the model has no place for one"),
    "text_only": Rule("refused", "sample", "it has no image; finetune reads such samples from files of their own"),
    # Images and annotation files.
    "malformed_line": Rule("refused", "image", "the line is no JSON object, or no row, with what the format needs"),
    "several_images": Rule("refused", "image", "there is no image, or more than one, where one is needed"),
    "name_mended": Rule(
        "mended", "image", "there is no such file; the one named by coco_url, or without COCO_val2014_, is taken"
    ),
    "unreadable_labels": Rule("refused", "image", "the label file cannot be read as UTF-8 text"),
    "malformed_image": Rule("refused", "image", "the entry is no JSON object with an id and a file name"),
    "repeated_image": Rule("mended", "image", "the image is listed twice; its annotations are put together"),
    "ambiguous_image_id": Rule("refused", "image", "one image id stands for several files"),
    "bad_file_name": Rule(
        "refused", "image", "the file name is empty, absolute or has `..`: it must lie below the image root"
    ),
    "backslash": Rule("mended", "image", "the file name has backslashes; they are read as slashes"),
    "missing_image": Rule("refused", "image", "there is no such file below the image root"),
    "link_outside_root": Rule(
        "refused", "image", "a symbolic link leads out of the image root (--follow-links allows it)"
    ),
    "unreadable_image": Rule("refused", "image", "the file does not decode to its last row"),
    "no_size": Rule(
        "refused", "image", "no valid width and height is stated, and images are not read (--no-check-images)"
    ),
    "size_from_file": Rule("mended", "image", "no valid width and height is stated; the file's are taken"),
    "size_disagrees": Rule(
        "refused",
        "image",
        "the size stated is neither the stored nor the upright one: the boxes are of another picture "
        "(--frame takes the file's size instead)",
    ),
    "size_ignored": Rule(
        "kept", "image", "the size stated is not the file's; --frame says that the boxes fit the file"
    ),
    "exif_upright": Rule(
        "kept", "image", "rotated by EXIF; the size stated is the upright one, so the boxes are upright"
    ),
    "exif_stored": Rule("kept", "image", "rotated by EXIF; the size stated is the stored one, so the boxes are in it"),
    "exif_undecided": Rule(
        "kept", "image", "turned by EXIF, and the size stated does not tell the frame: stored is taken"
    ),
    "unreadable_xml": Rule(
        "refused",
        "image",
        "the annotation file is no sound XML, or has another root than <annotation>, or defines entities",
    ),
    "unreadable_json": Rule("refused", "image", "the annotation file is no sound JSON object with a list of shapes"),
    "nameless_object": Rule(
        "refused", "image", "an object has no class name: any class of this image could be incomplete"
    ),
    "filename_disagrees": Rule(
        "kept", "image", "the <filename> tag names another file; the image named like the XML is taken if it exists"
    ),
    # Classes in an image.
    "class_incomplete": Rule(
        "refused", "class in image", "one of its boxes there was refused: no sample asks for all of them"
    ),
    "class_not_exhaustive": Rule(
        "refused", "class in image", "said to be annotated in part only: no sample asks for all boxes"
    ),
    "class_only_ignored": Rule("refused", "class in image", "all of its boxes there go to `ignore`: no sample"),
    "class_unwritable": Rule(
        "refused", "class in image", 'its name makes the label unreadable (like boxes or "not found"): no sample'
    ),
    "unknown_named_class": Rule(
        "refused", "class in image", "named as absent or as annotated in part, by an id not in the list"
    ),
    "negative_contradicted": Rule("mended", "class in image", "named as absent, yet annotated there: taken as present"),
    "kind_is_there": Rule(
        "kept",
        "class in image",
        "a class below it in the hierarchy is there too (a car beside a vehicle): neither asked for nor absent",
    ),
    "verified_without_box": Rule(
        "kept", "class in image", "verified as present, yet without a box: neither asked for nor absent"
    ),
    # Samples.
    "phrase_not_unique": Rule(
        "refused", "sample", "a class there has a name that ends with this one (hot dog, dog): no phrase for one object"
    ),
    "answer_split": Rule(
        "mended", "sample", "its answer would be longer than --max-answer-tokens: asked for step by step (next_box)"
    ),
    "answer_too_long": Rule(
        "refused", "sample", "its answer is longer than --max-answer-tokens (next_box splits those about classes)"
    ),
    "given_too_long": Rule(
        "refused",
        "sample",
        "the boxes given before this step take more tokens than an answer may (--max-answer-tokens, else 1024)",
    ),
    "over_class_cap": Rule("refused", "sample", "more than --max-per-class of its class, or than --balance leaves"),
    "over_image_cap": Rule("refused", "sample", "more than --max-per-image about its image"),
    # Tiles.
    "cut_by_tile": Rule("mended", "annotation in tile", "a tile shows most of it; the box is cut at the tile's edge"),
    "mostly_outside_tile": Rule(
        "kept", "annotation in tile", "a tile shows little of it: goes to `ignore` there, neither present nor absent"
    ),
    "not_tiled": Rule(
        "refused", "sample", "a phrase, or a prompt of the source, speaks of the whole image, which is cut into tiles"
    ),
    # Splits.
    "missing_split": Rule(
        "refused", "file", "the folder or list of images that data.yaml names for a split is not there"
    ),
    "not_in_lists": Rule("refused", "image", "ImageSets/Main has lists and none of them names it"),
    "listed_without_annotation": Rule("refused", "image", "a list of ImageSets/Main names it and it has no XML"),
    "in_several_lists": Rule(
        "mended", "image", "official splits share it; it stays in test, else val (never trained on)"
    ),
    "identical_image": Rule(
        "kept", "image", "byte-identical to another one; both go to one split and share their absent classes"
    ),
    "identical_across_splits": Rule(
        "kept", "image", "byte-identical to an image of another official split; official lists win"
    ),
    "group_not_matched": Rule("kept", "image", "--group-by does not match its path; the path is its group"),
}

_IN_TILES: dict[str, Unit] = {
    "widened": "annotation in tile",
    "class_refused": "annotation in tile",
    "class_incomplete": "class in tile",
    "class_not_exhaustive": "class in tile",
    "class_only_ignored": "class in tile",
    "class_unwritable": "class in tile",
}
"""Reasons that are met after images are cut: what lies in several tiles may be counted in each."""


def unit_of(reason: str, *, in_tiles: bool) -> Unit:
    """What a reason counts, in a set of tiles or of whole images. Raises KeyError for one that is not in the table."""
    return _IN_TILES.get(reason, REASONS[reason].unit) if in_tiles else REASONS[reason].unit
