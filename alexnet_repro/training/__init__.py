"""§5 §6 Training and scoring.

loop          train: epochs, final scores
memory        keep_memory: what glibc's allocator does with large tensors
setup         Run: what a configuration becomes before the first update
steps         the loss of a batch, as calls or compiled
optim         PaperSGD, DivideByTenOnPlateau
checkpoints   the state of an unfinished run
history       what a run tells of itself: start, seconds, warnings, ways
diagnose      what of a net depends on the image; is it stuck?
scoring       §6 evaluate, top-k errors, ten crops
ensemble      §6 averages over nets
measures      of trained nets: the bite of a norm, colour by column, neighbours, views
"""

from alexnet_repro.training.loop import train
from alexnet_repro.training.memory import keep_memory
from alexnet_repro.training.optim import DivideByTenOnPlateau, PaperSGD
from alexnet_repro.training.scoring import evaluate, ten_crop_probabilities, topk_error

__all__ = [
    "DivideByTenOnPlateau",
    "PaperSGD",
    "evaluate",
    "keep_memory",
    "ten_crop_probabilities",
    "topk_error",
    "train",
]
