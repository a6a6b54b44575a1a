"""What is worth a word about image files: faults, and images that are in two splits or twice in one.

Knows files, what reading them told, and splits; does not know boxes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from data_tools.inspection.leaks import Files, across, in_several_splits, same_bytes, torn_groups
from data_tools.inspection.likeness import Alike
from data_tools.inspection.pictures import FAULTS, Look
from data_tools.inspection.remarks import Remark, counted, remark


def fault_findings(looks: Sequence[Look]) -> Iterator[Remark]:
    """Images that are missing, broken, or of another size."""
    for fault, meaning in FAULTS.items():
        words = [look.words for look in looks if look.fault == fault]
        if words:
            verb = "is" if len(words) == 1 else "are"
            yield remark(f"image_{fault}", "fault", f"{counted(len(words), 'image')} {verb} {meaning}.", words)


def leak_findings(files: Files, splits: Sequence[str], group: re.Pattern[str] | None) -> Iterator[Remark]:
    """Images in two splits: by file, by bytes, by group; and, less bad, the same bytes twice in one split."""
    names = [picture.name for picture in files.pictures]

    def told(members: Sequence[int]) -> str:
        return " = ".join(f"{names[at]} ({', '.join(splits[s] for s in sorted(files.splits[at]))})" for at in members)

    shared = in_several_splits(files)
    if shared:
        text = f"{counted(len(shared), 'image')} in two splits: what was trained on measures nothing."
        yield remark("leak_file", "fault", text, [told([at]) for at in shared])
    copies = same_bytes(files)
    torn = [members for members in copies if across(files, members)]
    if torn:
        text = f"{counted(len(torn), 'image')} in two splits under different names, byte for byte the same."
        yield remark("leak_bytes", "fault", text, [told(members) for members in torn])
    within = [members for members in copies if not across(files, members)]
    if within:
        text = f"{counted(len(within), 'image')} several times in one split under different names: they count double."
        yield remark("copies", "note", text, [told(members) for members in within])
    if group is not None:
        groups = torn_groups(files, group)
        if groups:
            text = f"{counted(len(groups), 'group')} of --group-by {group.pattern!r} in two splits."
            yield remark("leak_group", "fault", text, [told(members[:4]) for members in groups])


def likeness_findings(alike: Alike, splits: Sequence[str]) -> Iterator[Remark]:
    """Images of one split that look like some of another; and how many look alike at all."""
    names = [picture.name for picture in alike.files.pictures]
    total = Counter(split for splits_of in alike.files.splits for split in splits_of)
    for also, of in combinations(range(len(splits)), 2):  # train first: what is measured looks like what is trained
        if len(found := alike.across(of, also)):
            text = (
                f"{len(found):,} of {counted(total[of], 'image')} of {splits[of]} look like one of {splits[also]}: "
                "shots of one scene, frames of one video, or copies. `convert --group-by` keeps such together."
            )
            yield remark("leak_looks", "warning", text, [names[at] for at in found.tolist()])
    if alike.total:
        pairs = counted(alike.total, "pair of files looks", "pairs of files look")
        text = f"{pairs} alike, whatever split they are in."
        yield Remark("look_alikes", "note", text, alike.total)
