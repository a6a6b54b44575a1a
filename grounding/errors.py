"""The one family of errors that users see: each says where, what was found, what is allowed and what to do.

Knows nothing of the rest of the project. The command line turns these into one message on stderr and an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence

PLACES = 3  # places that are named of those where the same is wrong


class GroundingError(Exception):
    """A failure that the user can understand and mend. `exit_status` 1: the run failed."""

    exit_status = 1

    def __reduce__(self) -> tuple[object, ...]:
        """So that an error of another process arrives as it was."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[GroundingError], args: tuple[object, ...], state: dict[str, object]) -> GroundingError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InputError(GroundingError):
    """The call or its input is wrong (a file, a setting, a record). `exit_status` 2.

    Args:
        problem: what was found, and what is allowed, in one sentence.
        where: file, line, record id or setting that it was found in.
        fix: what to do about it.
    """

    exit_status = 2

    def __init__(self, problem: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.problem, self.where, self.fix = problem, where, fix
        message = f"{where}: {problem}" if where else problem
        super().__init__(_sentences(message, fix) if fix else message)


def _sentences(message: str, fix: str) -> str:
    """The message, ended as a sentence, and what to do."""
    if message.endswith("\n"):
        return message + fix
    return f"{message}{'' if message[-1:] in '.!?。' else '.'} {fix}"


class ManyErrors(InputError):
    """Several wrong things found in one pass, told all at once so that they can be mended in one go.

    Those that say the same of several places are told once, with their number and the first places.

    Args:
        heading: what they are wrong with.
        problems: each as a text, or as an error whose `where` is its place.
        fix: what to do about all of them.
        shown: lines that are told; the rest is counted.

    Attributes:
        problems: the message of each.
    """

    def __init__(
        self, heading: str, problems: Sequence[str | InputError], *, fix: str | None = None, shown: int = 20
    ) -> None:
        self.problems = [str(problem) for problem in problems]
        alike: dict[str, list[str | InputError]] = {}
        for problem in problems:
            alike.setdefault(_without_place(problem), []).append(problem)
        lines = [f"{heading} ({len(problems)} problem{'s' if len(problems) != 1 else ''})"]
        lines += [f"  - {_told(what, same)}" for what, same in list(alike.items())[:shown]]
        if more := sum(len(same) for same in list(alike.values())[shown:]):
            lines.append(f"  ... and {more} more")
        super().__init__("\n".join(lines) + ("\n" if fix else ""), fix=fix)


def _without_place(problem: str | InputError) -> str:
    if isinstance(problem, str) or problem.where is None:
        return str(problem)
    return _sentences(problem.problem, problem.fix) if problem.fix else problem.problem


def _told(what: str, same: Sequence[str | InputError]) -> str:
    """What is wrong in one place or several."""
    if len(same) == 1:
        return str(same[0])
    places = list(dict.fromkeys(one.where for one in same if isinstance(one, InputError) and one.where))
    named = "; ".join(places[:PLACES]) + ("; ..." if len(places) > PLACES else "")
    return f"{len(same)} times: {what}" + (f" ({named})" if places else "")


class RunError(GroundingError):
    """A run that was called rightly failed on its way (out of memory, NaN loss, full disk). `exit_status` 1."""
