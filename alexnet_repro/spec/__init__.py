"""§3.2 §3.5 The networks as data, and what follows from them by arithmetic. No torch.

rows         what a row is: Layer, Spec
networks     the nets of the paper and of its ablations; cifar_networks: those of CIFAR-10
shapes       trace: sizes, counts, receptive fields, layer by layer
arithmetic   the figures of the paper that follow from a net
choices      each choice between the paper and the original code, made by one function
regime       how near a setting is to the paper's: images, updates, decay, deviations
traffic      §3.2 what two columns send each other
peers        nets of others that are called AlexNet
"""

from alexnet_repro.spec.networks import NETWORKS, get
from alexnet_repro.spec.rows import Layer, Spec
from alexnet_repro.spec.shapes import trace

__all__ = ["NETWORKS", "Layer", "Spec", "get", "trace"]
