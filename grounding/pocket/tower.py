"""The first stage of the making: tower and projector alone learn what stands where, by a head that is thrown away.

Each patch vector, as the decoder will read it, has to say colour, shape and the leading digits of the box of the object
at that place: the same digits that answers are written with. Knows pictures and objects; no prompts and no decoder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from grounding.models.cogvlm.processor import PIXEL_MEAN, PIXEL_STD
from grounding.pocket.scenes import COLOURS, SHAPES, Drawn
from grounding.text import to_grid
from grounding.training.optimizers import MuonWithAdamW, matrices_of

BACKGROUND = 0
"""The colour and the shape of a patch without an object."""
DIGITS = 8
"""Hundreds and tens of x0, y0, x1, y1."""
EDGES = 4
EDGE_WEIGHT = 10.0
"""Of the mean error of an edge in sides of the picture: a smooth way to where the digits jump."""
DIGIT_WEIGHTS = (1.0, 0.5)
"""Of a hundreds digit's and a tens digit's loss, beside 1 for colour and shape."""


class Views(NamedTuple):
    """Pictures and what their patches show, n of each.

    Attributes:
        pixels: uint8[n, S, S, 3].
        targets: int8[n, P, 2 + DIGITS]: colour, shape (0 background), then the hundreds of x0, y0, x1, y1 and the tens;
            -1 in place of digits at background.
    """

    pixels: Tensor
    targets: Tensor


class TowerSettings(NamedTuple):
    """How the stage learns: `steps` of `batch` pictures, the rate falling linearly to nothing after `flat` of them."""

    steps: int
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 100
    flat: float = 0.5
    seed: int = 0


def patch_targets(objects: Sequence[Drawn], size_wh: tuple[int, int], patches: int) -> Tensor:
    """int8[patches * patches, 2 + DIGITS] as in `Views`: a patch shows the smallest box around its centre."""
    colours, shapes = ["", *COLOURS], ["", *SHAPES]
    targets = np.full((patches, patches, 2 + DIGITS), -1, dtype=np.int8)
    targets[..., :2] = BACKGROUND
    centres = [(np.arange(patches) + 0.5) * size / patches for size in size_wh]
    largest_first = sorted(objects, key=lambda drawn: -math.prod(_extent(drawn)))
    cells, _ = to_grid([list(map(float, drawn.xyxy_px)) for drawn in largest_first], size_wh)
    for drawn, cell in zip(largest_first, cells, strict=True):
        x0, y0, x1, y1 = drawn.xyxy_px
        columns, rows = (centres[0] >= x0) & (centres[0] < x1), (centres[1] >= y0) & (centres[1] < y1)
        colour, shape = drawn.category.split(" ")
        digits = [*(int(edge) // 100 for edge in cell), *(int(edge) // 10 % 10 for edge in cell)]
        targets[np.ix_(rows, columns)] = [colours.index(colour), shapes.index(shape), *digits]
    return torch.from_numpy(targets.reshape(-1, 2 + DIGITS))


def _extent(drawn: Drawn) -> tuple[int, int]:
    x0, y0, x1, y1 = drawn.xyxy_px
    return x1 - x0, y1 - y0


def set_positions(tower: nn.Module) -> None:
    """Starts the position vectors with sines and cosines of row and column, at the size of other fresh weights."""
    table = tower.patch_embedding.position_embedding.weight
    side, quarter = math.isqrt(len(table) - 1), table.shape[1] // 4
    place = (torch.arange(side) + 0.5) / side
    waves = place[:, None] * math.pi * torch.logspace(-1, math.log2(side), quarter, base=2)
    one_axis = torch.cat([waves.sin(), waves.cos()], dim=1)
    row, column = one_axis[:, None].expand(-1, side, -1), one_axis[None].expand(side, -1, -1)
    with torch.no_grad():
        table[1:] = torch.cat([row, column], dim=-1).flatten(0, 1) * 0.3


def to_pixel_values(pixels: Tensor) -> Tensor:
    """uint8[n, S, S, 3] -> float32[n, 3, S, S] as the processor makes it of a picture that is S x S already."""
    scaled = (pixels.float() / 255 - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    return scaled.permute(0, 3, 1, 2).contiguous()


class PatchHead(nn.Module):
    """From a patch vector, brought to unit scale as the decoder's first norm does, to the logits of its targets, and to
    the edges of the box (1 is the whole side)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (1 + len(COLOURS), 1 + len(SHAPES), *[10] * DIGITS, EDGES)
        self.read = nn.Linear(width, sum(self.sizes))

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        """float[n, P, D] -> float[n, P, classes] for each target, and float[n, P, 4]."""
        return self.read(F.rms_norm(patches, patches.shape[-1:])).split(self.sizes, dim=-1)


def patch_loss(logits: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Cross-entropy of colour and shape over all patches, plus that of the digits over patches of objects, weighted."""
    wanted = targets.long()
    loss = sum((F.cross_entropy(logits[kind].flatten(0, 1), wanted[..., kind].flatten()) for kind in (0, 1)), start=0.0)
    shown = wanted[..., 0] != BACKGROUND
    digits = wanted[..., 2:][shown]
    for number, digit in enumerate(logits[2:-1]):
        weight = DIGIT_WEIGHTS[number * 2 // DIGITS]
        loss = loss + weight / EDGES * F.cross_entropy(digit[shown], digits[:, number])
    edges = (digits[:, :EDGES] * 10 + digits[:, EDGES:] + 0.5) / 100
    return loss + EDGE_WEIGHT * F.l1_loss(logits[-1][shown], edges)


@torch.no_grad()
def patch_accuracy(tower: nn.Module, head: PatchHead, views: Views, batch: int = 128) -> dict[str, float]:
    """Shares of right answers at patches of objects: colour, shape, hundreds and tens."""
    right = torch.zeros(2 + DIGITS)
    count = 0
    for pixels, targets in zip(views.pixels.split(batch), views.targets.split(batch), strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            patches = tower(to_pixel_values(pixels))[:, 1:-1]
        logits = head(patches.float())
        shown = targets[..., 0] != BACKGROUND
        count += int(shown.sum())
        right += torch.stack([(one.argmax(-1) == targets[..., k])[shown].sum() for k, one in enumerate(logits[:-1])])
    shares = (right / max(count, 1)).tolist()
    return {
        "colour": shares[0],
        "shape": shares[1],
        "hundreds": sum(shares[2:6]) / 4,
        "tens": sum(shares[6:10]) / 4,
    }


def train_tower(
    tower: nn.Module, width: int, train: Views, val: Views, settings: TowerSettings, say: Callable[[str], None]
) -> dict[str, float]:
    """Trains the tower in place, all of it; its accuracy on `val`.

    Args:
        tower: float[n, 3, S, S] -> float[n, P + 2, width], boi and eoi at the ends.
        say: is told loss and accuracy over steps and CPU seconds.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = PatchHead(width)
    parameters = [*tower.parameters(), *head.parameters()]
    optimizer = make_optimizer(tower, head, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, settings))
    draw = torch.Generator().manual_seed(settings.seed)
    tower.train()
    losses: list[float] = []
    for step in range(1, settings.steps + 1):
        chosen = torch.randint(len(train.pixels), (settings.batch,), generator=draw)
        with torch.autocast("cpu", torch.bfloat16):
            patches = tower(to_pixel_values(train.pixels[chosen]))[:, 1:-1]
        loss = patch_loss(head(patches.float()), train.targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % 100 == 0 or step == settings.steps:
            found = {name: round(value, 3) for name, value in patch_accuracy(tower, head, val).items()}
            say(f"tower step {step} cpu_s {time.process_time():.0f} loss {np.mean(losses[-100:]):.3f} {found}")
    tower.eval()
    return patch_accuracy(tower, head, val)


def make_optimizer(tower: nn.Module, head: nn.Module, settings: TowerSettings) -> MuonWithAdamW:
    """Muon for the tower's matrices, AdamW for its vectors and the head."""
    matrices, others = matrices_of(tower)
    return MuonWithAdamW(
        matrices,
        [*others, *head.parameters()],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )


def rate_at(step: int, settings: TowerSettings) -> float:
    """Share of the learning rate: a linear warm-up, flat, then a line to nothing."""
    falling = (settings.steps - step) / max(1.0, settings.steps * (1 - settings.flat))
    return min(1.0, (step + 1) / settings.warmup, max(0.0, falling))
