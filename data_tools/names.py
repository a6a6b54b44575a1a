"""What classes are called in prompts: display names and aliases in each language, from a small YAML file.

    rbc_01:
      en: [red blood cell, erythrocyte]
      zh: 红细胞

Knows no image and no wording. A class or language that the file leaves out keeps the class name itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from data_tools.entries import class_name, phrase_of
from grounding.closest import did_you_mean
from grounding.errors import InputError, ManyErrors
from grounding.samples import LANGUAGES, Lang

ClassNames = Mapping[str, Mapping[Lang, tuple[str, ...]]]
"""Class -> language -> what it may be called there, at least one name each."""

FORM = "Write `class: {en: [name, other name], zh: name}`, one class after the other."


def load_names(path: Path) -> ClassNames:
    """The names in a YAML file.

    Raises:
        InputError: the file is missing or not YAML.
        ManyErrors: entries that are no names, all at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("there is no such file", where=f"--names {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as UTF-8 text: {error}", where=f"--names {path}") from error
    except yaml.YAMLError as error:
        raise InputError(f"is not YAML: {error}", where=f"--names {path}", fix=FORM) from error
    if not isinstance(content, dict) or not content:
        raise InputError("holds no classes", where=f"--names {path}", fix=FORM)
    problems: list[str] = []
    names = {str(category): _names_of(category, entry, problems) for category, entry in content.items()}
    if problems:
        raise ManyErrors(f"--names {path}: these names cannot be used", problems, fix=FORM)
    return names


def _names_of(category: object, entry: object, problems: list[str]) -> dict[Lang, tuple[str, ...]]:
    """The names of one class by language; what is wrong with them is added to `problems`."""
    if not isinstance(entry, dict) or not entry:
        problems.append(f"{category}: {entry!r} has no languages")
        return {}
    names: dict[Lang, tuple[str, ...]] = {}
    for lang, given in entry.items():
        listed: list[Any] = given if isinstance(given, list) else [given]
        readable = [name for name in map(class_name, listed) if name is not None]
        if lang not in LANGUAGES:
            problems.append(f"{category}: {lang!r} is no language; there are {', '.join(LANGUAGES)}")
        elif not listed or len(readable) < len(listed):
            problems.append(f"{category}: {lang}: {given!r} is no name or list of names")
        else:
            names[lang] = tuple(dict.fromkeys(phrase_of(name) for name in readable))
    return names


def check_names(names: ClassNames, categories: Collection[str]) -> None:
    """Checks that every named class is one of the annotations, and that no phrase stands for two classes.

    Raises:
        ManyErrors: all that is wrong; asked for by such a phrase, an image would have only a part of the truth.
    """
    problems = [f"{category!r} is no class here{_nearest(category, categories)}" for category in names
                if category not in categories]  # fmt: skip
    meant: dict[str, str] = {}
    for category in sorted(categories, key=lambda category: (category in names, category)):  # unnamed first
        for phrase in phrases_of(category, names):
            other = meant.setdefault(phrase.casefold(), category)
            if other != category and (category in names or other in names):
                problems.append(f"{phrase!r} would mean both {other!r} and {category!r}")
    if problems:
        raise ManyErrors("--names: the names do not fit the classes", problems,
                         fix="Give each class names of its own, spelled as in the annotations.")  # fmt: skip


def phrases_of(category: str, names: ClassNames) -> tuple[str, ...]:
    """All that a class may be called, in any language, in the order of the languages."""
    every = (phrase for lang in LANGUAGES for phrase in names_in(category, lang, names))
    return tuple(dict.fromkeys(every))


def names_in(category: str, lang: Lang, names: ClassNames) -> tuple[str, ...]:
    """What a class may be called in a language: the names given for it, else the class name itself."""
    return names.get(category, {}).get(lang) or (phrase_of(category),)


def _nearest(category: str, categories: Collection[str]) -> str:
    hint = did_you_mean(category, sorted(categories))
    return f". {hint}" if hint else f"; there are {', '.join(sorted(categories)[:10])}"
