"""The second stage of the making: the decoder learns to look, before it learns to write.

Behind frozen image vectors, many short questions a picture, and of each answer only its first token: found or not. Ten
times as many questions fit into a step as with whole answers, and no digit drowns what they teach. Knows objects and
questions; no pictures.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grounding.models.cogvlm import CogVLMProcessor
from grounding.models.cogvlm.cogvlm import NO_LABEL
from grounding.models.cogvlm.positions import LANGUAGE, VISION
from grounding.pocket.questions import (
    BARE,
    Question,
    absent_questions,
    absent_words,
    phrase_of,
    present_questions,
)
from grounding.pocket.scenes import Drawn
from grounding.text import NOT_FOUND, fill_prompt, pick
from grounding.training.optimizers import MuonWithAdamW, matrices_of

PADDING = -1


class LookingSettings(NamedTuple):
    """`steps` of `batch` pictures with `words` questions for a colour or shape and `classes` for a class, half of each
    about what is there."""

    steps: int
    batch: int = 16
    words: int = 8
    classes: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 30
    seed: int = 0


def ask(objects: Sequence[Drawn], rng: random.Random, settings: LookingSettings) -> list[tuple[Question, bool]]:
    """Questions about a scene, each with whether it shows that."""
    classes = {drawn.category for drawn in objects}
    words = {word for category in classes for word in category.split(" ")}
    there = present_questions(words, rng, settings.words // 2) + present_questions(classes, rng, settings.classes // 2)
    absent = absent_words(words, rng, settings.words // 2) + absent_questions(objects, rng, settings.classes // 2)
    return [(question, True) for question in there] + [(question, False) for question in absent]


def rows_of(
    processor: CogVLMProcessor, asked: Sequence[Sequence[tuple[Question, bool]]], rng: random.Random
) -> dict[str, Tensor]:
    """Rows of a prefix and a branch for each question, with the first token of its answer; int64[B, T] each:
    input_ids, token_type_ids, labels, branch_ids."""
    tokenizer = processor.tokenizer
    prefix = [tokenizer.bos_token_id, *[tokenizer.pad_token_id] * processor.image_token_count]
    found = tokenizer.encode("[[", add_special_tokens=False)[0]
    absent = {lang: tokenizer.encode(text, add_special_tokens=False)[0] for lang, text in NOT_FOUND.items()}
    rows = []
    for questions in asked:
        ids, labels, branches = list(prefix), [NO_LABEL] * len(prefix), [0] * len(prefix)
        for number, (question, is_there) in enumerate(questions, start=1):
            prompt = fill_prompt(pick(BARE[question.lang], rng), phrase_of(question))
            tokens = tokenizer.encode(prompt, add_special_tokens=False)
            first = found if is_there else absent[question.lang]
            ids += [*tokens, first]
            labels += [*[NO_LABEL] * len(tokens), first]
            branches += [number] * (len(tokens) + 1)
        rows.append((ids, labels, branches))
    width = max(len(ids) for ids, _, _ in rows)

    def padded(column: int, value: int) -> Tensor:
        return torch.tensor([row[column] + [value] * (width - len(row[column])) for row in rows])

    types = torch.full((len(rows), width), LANGUAGE)
    types[:, 1 : len(prefix)] = VISION
    return {
        "input_ids": padded(0, int(tokenizer.pad_token_id)),
        "token_type_ids": types,
        "labels": padded(1, NO_LABEL),
        "branch_ids": padded(2, PADDING),
    }


def train_looking(
    model: nn.Module,
    processor: CogVLMProcessor,
    vectors: Tensor,
    objects: Sequence[Sequence[Drawn]],
    settings: LookingSettings,
    say: Callable[[str], None],
) -> float:
    """Trains the decoder in place, tower and projector left as they are; the loss of the last hundred steps.

    Args:
        model: a CogVLMForCausalLM.
        vectors: float[n, P + 2, D], what its tower gives for n pictures. objects: what they show.
        say: is told the loss over steps and CPU seconds.
    """
    tower = {id(one) for one in model.model.vision.parameters()}
    matrices, others = ([one for one in part if id(one) not in tower] for part in matrices_of(model))
    optimizer = MuonWithAdamW(matrices, others, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / settings.warmup))
    rng = random.Random(settings.seed)
    model.train()
    losses: list[float] = []
    for step in range(1, settings.steps + 1):
        chosen = rng.sample(range(len(objects)), settings.batch)
        rows = rows_of(processor, [ask(objects[one], rng, settings) for one in chosen], rng)
        ids = rows.pop("input_ids")
        words = model.model.embed_tokens(ids)
        block = vectors.shape[1]
        embeddings = torch.cat([words[:, :1], vectors[chosen], words[:, 1 + block :]], dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(inputs_embeds=embeddings, **rows, label_logits_only=True, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*matrices, *others], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % 50 == 0 or step == settings.steps:
            say(f"looking step {step} cpu_s {time.process_time():.0f} loss {sum(losses[-50:]) / len(losses[-50:]):.3f}")
    model.eval()
    return sum(losses[-100:]) / len(losses[-100:])
