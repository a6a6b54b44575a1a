"""What is worth a word about image files: faults, and images that are in two splits or twice in one.

Knows files, what reading them told, and splits; does not know boxes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from data_tools.inspection.leaks import Files, across, in_several_splits, one_of_each_split, same_bytes, torn_groups
from data_tools.inspection.likeness import Alike
from data_tools.inspection.pictures import FAULTS, Look
from data_tools.inspection.remarks import EXAMPLES, Remark, remark


def fault_findings(looks: Sequence[Look]) -> Iterator[Remark]:
    """Images that are missing, broken, or of another size."""
    for fault in FAULTS:
        words = [look.words for look in looks if look.fault == fault]
        if words:
            yield Remark(f"image_{fault}", "fault", len(words), tuple(dict.fromkeys(words))[:EXAMPLES])


def leak_findings(files: Files, splits: Sequence[str], group: re.Pattern[str] | None) -> Iterator[Remark]:
    """Images in two splits: by file, by bytes, by group; and, less bad, the same bytes twice in one split."""
    names = [picture.name for picture in files.pictures]

    def told(members: Sequence[int]) -> str:
        return " = ".join(f"{names[at]} ({', '.join(splits[s] for s in sorted(files.splits[at]))})" for at in members)

    shared = in_several_splits(files)
    if shared:
        yield remark("leak_file", "fault", [told([at]) for at in shared])
    copies = same_bytes(files)
    torn = [members for members in copies if across(files, members)]
    if torn:
        yield remark("leak_bytes", "fault", [told(members) for members in torn])
    within = [members for members in copies if not across(files, members)]
    if within:
        yield remark("copies", "note", [told(members) for members in within])
    if group is not None:
        groups = torn_groups(files, group)
        if groups:
            told_groups = [told(one_of_each_split(files, members)) for members in groups]
            yield remark("leak_group", "fault", told_groups, pattern=f"'{group.pattern}'")


def likeness_findings(alike: Alike, splits: Sequence[str]) -> Iterator[Remark]:
    """Images of one split that look like some of another; and how many look alike at all."""
    names = [picture.name for picture in alike.files.pictures]
    total = Counter(split for splits_of in alike.files.splits for split in splits_of)
    for also, of in combinations(range(len(splits)), 2):  # train first: what is measured looks like what is trained
        if len(found := alike.across(of, also)):
            like = [names[at] for at in found.tolist()]
            yield remark("leak_looks", "warning", like, all=total[of], of=splits[of], also=splits[also])
    if alike.total:
        yield Remark("look_alikes", "note", alike.total)
