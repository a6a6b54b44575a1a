"""The samples of a split as they are made, one after the other, and what is to be told of them when all are.

Nothing is kept but counts and findings. Knows no file and no annotation format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from data_tools import compose, plain_lines
from data_tools.ready import UniqueIds, ready_samples
from data_tools.records import Finding, Record, Tally
from data_tools.selection import Question
from data_tools.stats import Numbers
from data_tools.tasks.whole import sample_id
from data_tools.wording import TASK as PLAIN
from data_tools.wording import Voice
from data_tools.writers import Style, writable
from grounding.samples import Sample, Task


class Making:
    """The samples of a split.

    Args:
        questions: what is asked.
        records: the images; the samples that they hold themselves come behind those that are composed.
        voices: how the questions of each task are put.
        max_tokens: most tokens of a label, None for no limit.
        style: that must be able to say them.
        advance: told how many questions are done, some at a time.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        records: Sequence[Record],
        voices: Mapping[Task, Voice],
        max_tokens: int | None,
        style: Style,
        advance: Callable[[int], None],
    ) -> None:
        self._questions, self._records, self._voices = questions, records, voices
        self._max_tokens, self._style, self._advance = max_tokens, style, advance
        self._numbers = Numbers()
        self._composed: list[Finding] = []
        self._unsaid: list[Finding] = []
        self._told = Tally()
        self._ready = 0

    def ids(self) -> Iterator[str]:
        """Of all samples that may come, but for the steps that a long answer is split into."""
        yield from map(sample_id, self._questions)
        yield from (sample.id for record in self._records for sample in record.samples)

    def ids_differ(self) -> bool:
        """Whether no id can stand twice: each is IMAGE#CLASS, with no other # before the class."""
        return all("#" not in record.name and not record.samples for record in self._records) and all(
            question.task == PLAIN and question.phrase is None for question in self._questions
        )

    def samples(self, ids: UniqueIds) -> Iterator[Sample]:
        """Each sample once, under an id of its own; counted as it goes by."""
        every = chain.from_iterable(self._all())
        return self._numbers.count(ids.apart(writable(every, self._style, self._unsaid)))

    def lines(self) -> Iterator[bytes]:
        """The lines of the samples, some at a time and quicker, for a file of pairs.

        Only where no id can stand twice (`ids_differ`), and where there is no limit for labels.
        """
        if not self._questions:
            return iter(())
        voice = self._voices[PLAIN]
        return plain_lines.lines(self._questions, voice, self._numbers, self._composed, self._advance)

    def _all(self) -> Iterator[Iterable[Sample]]:
        yield compose.stream(self._questions, self._voices, self._composed, self._max_tokens, self._advance)
        ready, self._told = ready_samples(self._records, self._max_tokens)
        self._ready = len(ready)
        yield ready

    def tally(self) -> Tally:
        """What was found, once all samples are made."""
        return Tally.of(self._composed) + self._told + Tally.of(self._unsaid)

    def described(self) -> dict[str, Any]:
        """As `stats.describe`."""
        return self._numbers.described()

    def ready(self) -> dict[str, int]:
        """How many samples the source itself held, where it held any."""
        return {"ready": self._ready} if self._ready else {}
