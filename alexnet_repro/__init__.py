"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012), component by component and claim by claim.

Which module holds which section of the paper:

======  ===============================================  ==========================================
§2      data set: rescale, centre crop, mean image       data, data.decoding, augment.view
§3.1    ReLU, tanh                                       model.paper_net
§3.2    two columns on two devices, as two processes     towers, spec.traffic
§3.3    local response normalisation                     layers.norms, layers.norm_eager
§3.4    overlapping pooling                              layers.maps
§3.5    the networks as data; shapes, counts; peers      spec, spec.networks, model.paper_net
§4.1    crops, reflections, ten crops, colour noise      augment, augment.cropping, augment.colour
§4.2    dropout as printed; to inverted and back         layers.dropout, model.inverted
§5      update rule; training loop; initialisation       training.optim, training.loop
§6      top-1 and top-5 error, ten-crop; ensembles       training.scoring, training.ensemble
======  ===============================================  ==========================================

The study itself is `study`: the ledger of claims, the experiments, the records of runs, the rules.
`demos` shows each component at work, `pages` has what the book's pages call, `cli` the commands.
Importing the package loads nothing heavy; spec, study and pages never import torch. Each folder's
docstring is the map of its files.
"""

__version__ = "0.2.0"
