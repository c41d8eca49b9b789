"""§3.5 §5 Torch modules from specs, their first weights, and weights in and out.

paper_net        PaperNet, build, alexnet, activations
initialisation   §5 initialise
inverted         §4.2 from the paper's dropout to the inverted form and back
weights          safetensors: save, load, read
layouts          torchvision's and Caffe's weights
fitting          do weights fit a net?
onnx_export      ONNX
"""

from alexnet_repro.model.initialisation import initialise
from alexnet_repro.model.paper_net import PaperNet, activations, alexnet, build

__all__ = ["PaperNet", "activations", "alexnet", "build", "initialise"]
