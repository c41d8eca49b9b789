"""§2 Data sets: prepared once from image files, opened by name. No torch before it decodes.

prepared     load: one split of a prepared set; finish: the sums and the mean of a new one
dataset      DataSet, MeanImage: what one split is
sets         the sets that the study names, with their counts and sums
embedded     the small synthetic set that needs no file
views        named parts of a prepared set, cut when they are opened
stored       the files of a prepared set, verified when it is opened
arrays       sums, means and deviations of arrays of images
placing      a new set comes to its place whole, the old one goes after it
sources      from a folder, zip or tar to a prepared set
listing      what the names of a source's files say: split and class
archives     the members of a folder, zip or tar, every byte verified; tar_stream: of a tar
decoding     from a file's bytes to a square uint8 image
"""

from alexnet_repro.data.dataset import DataSet, MeanImage
from alexnet_repro.data.prepared import load
from alexnet_repro.data.sources import prepare

__all__ = ["DataSet", "MeanImage", "load", "prepare"]
