"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012), component by component and claim by claim.

Which module holds which section of the paper:

======  ===============================================  ==================================
§2      data set: rescale, centre crop, mean image       data, sources, decoding, embedded
§3.1    ReLU, tanh                                       model
§3.2    two columns on two devices, as two processes     networks, spec, towers, traffic
§3.3    local response normalisation                     layers, lrn_fast, lrn_native
§3.4    overlapping pooling                              layers
§3.5    the networks as data; shapes, counts; peers      rows, networks, spec, peers
§4.1    crops, reflections, ten crops, colour noise      augment
§4.2    dropout as printed; to inverted and back         layers, dropout
§5      update rule; training loop; initialisation       optim, train, model, diagnose
§6      top-1 and top-5 error, ten-crop; ensembles       evaluate, ensemble
======  ===============================================  ==================================

From an archive to a set that is verified at every opening: sources, archives, tar_stream, listing,
decoding, placing, stored, sets.
Weights in and out: weights, onnx_export. Each component at work: components and demo_*.
The study itself: claims (ledger, verdicts), experiments, config, records, figures, cli.
Importing the package loads nothing heavy; the reading half (claims, experiments, config,
records, spec, figures) never imports torch.
"""

__version__ = "0.1.0"
