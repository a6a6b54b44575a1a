"""Muon beside AdamW: who gets which parameter, one rate for both, a state that comes back, and a run that resumes."""

from __future__ import annotations

import copy

import torch
from torch import nn

from grounding.training.optimizers import MuonWithAdamW, matrices_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.inner = nn.Embedding(5, 8), nn.Linear(8, 8)
        self.frozen, self.lm_head = nn.Linear(8, 8), nn.Linear(8, 5, bias=False)
        self.frozen.requires_grad_(False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.frozen(self.inner(self.embed(ids))))


def make(net: Net) -> MuonWithAdamW:
    return MuonWithAdamW(*matrices_of(net), lr=1e-2, weight_decay=0.01)


def train(net: Net, optimizer: MuonWithAdamW, steps: int) -> list[torch.Tensor]:
    ids = torch.arange(5)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(ids), ids).backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in net.parameters()]


def test_inner_matrices_are_muons_and_the_rest_is_adamws() -> None:
    net = Net()
    matrices, others = matrices_of(net)
    assert [id(one) for one in matrices] == [id(net.inner.weight)]
    assert {id(one) for one in others} == {id(net.embed.weight), id(net.inner.bias), id(net.lm_head.weight)}


def test_what_is_stored_and_loaded_goes_on_bit_for_bit() -> None:
    whole, stopped = Net(), Net()
    uninterrupted = train(whole, make(whole), 6)
    first = make(stopped)
    train(stopped, first, 3)
    second = make(stopped)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert all(map(torch.equal, uninterrupted, train(stopped, second, 3)))


def test_one_schedule_drives_both_before_and_after_loading() -> None:
    net = Net()
    optimizer = make(net)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    assert all(map(torch.equal, before, train(net, optimizer, 2)))


def test_matrices_alone_as_lora_has_them_learn_too() -> None:
    net = Net()
    before = net.inner.weight.detach().clone()
    train(net, MuonWithAdamW([net.inner.weight], [], lr=1e-2), 2)
    assert not torch.equal(before, net.inner.weight)
