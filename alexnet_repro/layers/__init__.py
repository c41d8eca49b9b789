"""§3.1 §3.3 §3.4 §4.2 The layers of the paper that torch does not have.

norms           LocalResponseNorm, WithinMapNorm
norm_eager      the norms in few passes over memory, in torch; which path is taken
norm_native     the same in one pass, in C++ (norms.cpp)
norm_compiled   the formula through torch.compile, for GPUs
maps            OverlappingMaxPool, CeilConv2d, LocallyConnected2d
dropout         PaperDropout
"""

from alexnet_repro.layers.dropout import PaperDropout
from alexnet_repro.layers.maps import CeilConv2d, LocallyConnected2d, OverlappingMaxPool
from alexnet_repro.layers.norms import LocalResponseNorm, WithinMapNorm

__all__ = [
    "CeilConv2d",
    "LocalResponseNorm",
    "LocallyConnected2d",
    "OverlappingMaxPool",
    "PaperDropout",
    "WithinMapNorm",
]
