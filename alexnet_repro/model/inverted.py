"""§4.2 From dropout as printed to the inverted form of today, and back, with the same function.

Printed: a 0/1 mask in training, outputs times 1 - p at test. Inverted (torch.nn.Dropout, Caffe):
the mask divided by 1 - p in training, nothing at test. The weights that read the outputs carry the
factor: W_inverted = (1 - p) W_printed. Both nets then give the same outputs in both modes; a
gradient step does not, for it sees weights on another scale (and so does weight decay).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from alexnet_repro.errors import InputError
from alexnet_repro.layers import PaperDropout
from alexnet_repro.model.paper_net import PaperNet


def to_inverted(net: PaperNet) -> None:
    """Replace each PaperDropout by torch.nn.Dropout, in place, and scale the weights behind it.

    Raises ValueError, before anything is changed, where no fully connected layer follows at once.
    """
    _convert(net, PaperDropout, inverted=True)


def from_inverted(net: PaperNet) -> None:
    """Replace each torch.nn.Dropout by PaperDropout, in place, and scale the weights behind it.

    Raises ValueError, before anything is changed, where no fully connected layer follows at once.
    """
    _convert(net, nn.Dropout, inverted=False)


@torch.no_grad()
def _convert(net: PaperNet, kind: type[nn.Module], *, inverted: bool) -> None:
    names = [name for name, _ in net.named_children()]
    found: list[tuple[str, float, nn.Linear]] = []
    for i, name in enumerate(names):
        module = net.get_submodule(name)
        if isinstance(module, kind):
            reader = net.get_submodule(names[i + 1]) if i + 1 < len(names) else None
            if isinstance(reader, nn.Flatten) and i + 2 < len(names):
                reader = net.get_submodule(names[i + 2])
            if not isinstance(reader, nn.Linear):
                raise InputError(
                    f"{name} is followed by {type(reader).__name__}, not by a fully connected "
                    f"layer whose weights could carry the factor"
                )
            found.append((name, float(module.p), reader))  # type: ignore[arg-type]
    for name, p, reader in found:
        new = nn.Dropout(p) if inverted else PaperDropout(p)
        setattr(net, name, new.train(net.training))
        reader.weight.mul_(1 - p) if inverted else reader.weight.div_(1 - p)
    rows = [replace(r, inverted=inverted) if r.kind == "dropout" else r for r in net.spec.layers]
    net.spec = replace(net.spec, layers=tuple(rows))
