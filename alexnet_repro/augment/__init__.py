"""§4.1 Crops, reflections, ten crops, colour noise: drawn in one place, applied in another.

cropping   draws of crops, and what they cut
colour     colour noise along principal components
view       from uint8 images to what a net sees
seen       what a net sees of an epoch: order, crops, colours
on_cpu     a batch cut and lit in one pass over memory (batches.cpp)
on_device  the same for images that are held on a GPU
"""

from alexnet_repro.augment.colour import RGBPCA
from alexnet_repro.augment.cropping import Draws, apply_crops, draw_crops, ten_crop
from alexnet_repro.augment.view import View

__all__ = ["RGBPCA", "Draws", "View", "apply_crops", "draw_crops", "ten_crop"]
