"""§5 Divide by ten on a plateau, against a schedule worked out by hand."""

import pytest
import torch

from alexnet_repro.training import DivideByTenOnPlateau, PaperSGD
from alexnet_repro.training.optim import Plateau


def make(**options):
    weights, biases = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    groups = [{"params": [weights], "lr": 0.01}, {"params": [biases], "lr": 0.02}]
    optimizer = PaperSGD(groups, 0.01)
    settings = {"patience": 2, "min_improvement": 0.01, **options}
    return optimizer, DivideByTenOnPlateau(optimizer, **settings)


# best so far 0.50; 0.495 is no improvement by more than 0.01 and so on
ERRORS = [0.50, 0.495, 0.492, 0.40, 0.395, 0.394, 0.393, 0.392, 0.391, 0.39, 0.389]
DROPPED = [False, False, True, False, False, True, False, True, False, False, False]


def test_schedule_by_hand_and_three_drops_at_most():
    optimizer, plateau = make()
    assert [plateau.step(e) for e in ERRORS] == DROPPED
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([1e-5, 2e-5])


def test_what_counts_the_drops_sets_no_rate():
    plateau = Plateau(drops=2, patience=2, min_improvement=0.01)
    assert [plateau.step(e) for e in ERRORS] == [*DROPPED[:7], *[False] * 4]
    assert plateau.dropped == 2
    assert not hasattr(plateau, "optimizer")


def test_no_drops_allowed():
    optimizer, plateau = make(drops=0)
    assert not any(plateau.step(e) for e in ERRORS)
    assert optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("cut", range(1, len(ERRORS)))
def test_state_restores_exactly(cut):
    _, first = make()
    done = [first.step(e) for e in ERRORS[:cut]]
    _, second = make()
    second.load_state_dict(first.state_dict())
    assert done + [second.step(e) for e in ERRORS[cut:]] == DROPPED


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"patience >= 1 .* got 3, 0, 0.01"):
        make(patience=0)
    with pytest.raises(ValueError, match=r"wants an error in \[0, 1\], got 37.5"):
        make()[1].step(37.5)
