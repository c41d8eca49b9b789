"""What tests hold the library against: small nets, numbers of parameters, §3.3 as a loop."""

from dataclasses import replace

ALEXNET = 60_965_224
# Products of kernel sizes and widths, as in the paper's Fig. 2, the original configurations and the
# peers' own code.
PARAMETERS = {
    "alexnet": ALEXNET, "alexnet-original": ALEXNET, "alexnet-nonoverlap": ALEXNET,
    "alexnet-nonoverlap-original": ALEXNET, "alexnet-no-norm": ALEXNET,
    "alexnet-per-column": ALEXNET, "alexnet-one-gpu": 59_798_312,
    "alexnet-ungrouped": ALEXNET + 128 * 2 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9,
    "alexnet-six-conv": ALEXNET + 3 * 3 * 256 * 256 + 256,
    # less conv1; conv2 sees 3 colours, not 48 maps; pool5 has 7x7 maps, not 6x6
    "alexnet-without-conv1": ALEXNET - 34_848 - 96 - 25 * 45 * 256 + (49 - 36) * 256 * 4096,
    "alexnet-without-conv2": ALEXNET - 307_200 - 256 - 9 * (256 - 96) * 384,
    # less conv3; conv4 sees 256 maps, not 192
    "alexnet-without-conv3": ALEXNET - 884_736 - 384 + 9 * (256 - 192) * 384,
    "alexnet-without-conv4": ALEXNET - 663_552 - 384,
    "alexnet-without-conv5": ALEXNET - 442_368 - 256 + 36 * (384 - 256) * 4096,
    "18pct": 89_578, "18pct-plain": 89_578, "19pct": 89_578, "80sec": 145_578,
    "conv-local-13pct": 1_116_490, "conv-local-11pct": 1_116_490, "conv-local-11pct-v2": 2_112_970,
    # conv1 1,824 + 14,448 + 27,712 + 18,496 + conv5 13,872 + fc 110,848 + 65,792 + 2,570
    "mini-alexnet": 255_562, "mini-alexnet-nonoverlap": 255_562, "mini-alexnet-no-dropout": 255_562,
    # conv1 1,824 + 14,448 + 27,712 + 18,496 + conv5 13,872 + fc 221,696 + 262,656 + 5,130
    "matched": 565_834, "matched-nonoverlap": 565_834,
    # 1,824 / 2 = 912 + 3,624 + 6,944 + 4,640 + 3,480 + 55,552 + 65,792 + 2,570
    "matched-half": 143_514,
    # 3,648 + 57,696 + 110,720 + 73,856 + 55,392 + 885,760 + 1,049,600 + 10,250
    "matched-double": 2_246_922,
    # 1,216 + 6,432 + 13,872 + 10,416 + 6,944 + 147,968 + 262,656 + 5,130
    "matched-narrow": 454_634,
    # 912 + 7,224 + 6,944 + 9,248 + conv5 9 * 32 * 48 + 48 = 13,872, and fc as matched
    "matched-one-column": 912 + 7_224 + 6_944 + 9_248 + 13_872 + 489_482,
    # conv2, conv4 and conv5 read the other half too
    "matched-ungrouped": 565_834 + 25 * 12 * 48 + 9 * 32 * 64 + 9 * 32 * 48,
    # less conv2; conv3 sees 24 maps, not 48
    "matched-without-conv2": 565_834 - 14_448 - 9 * 24 * 64,
    # less conv3; conv4 sees 48 maps, not 32
    "matched-without-conv3": 565_834 - 27_712 + 9 * 16 * 64,
    "matched-without-conv4": 565_834 - 18_496,
    "matched-tiny": 565_834 + 10 * 513,
}  # fmt: skip
PEERS = {
    "paper": ALEXNET, "torchvision": 61_100_840, "caffe-alexnet": ALEXNET, "caffenet": ALEXNET,
    "dansuh17": 62_378_344, "longrootchen": 62_378_344, "theano-alexnet": ALEXNET,
}  # fmt: skip


def counted(module):
    """How many parameters a torch module has."""
    return sum(p.numel() for p in module.parameters())


def narrow(net, *, maps=16, units=64, side=78):
    """A net's rows with an n-th of the maps and of the hidden units, where it takes 200 pixels.

    On 78 pixels, as on the paper's 224, conv1 and the pools meet both whole and broken windows.
    """
    if net.input_size < 200:
        return net
    rows = [replace(r, out=r.out // (units if r.kind == "fc" else maps)) for r in net.layers]
    return replace(net, layers=tuple(rows), input_size=side)


def energies(x, n, *, over_n=False, groups=1):
    """§3.3 N x C x H x W: the sum of squares in each activity's window, a channel at a time.

    over_n: an even window as the original has it, longer by one before than behind.
    """
    x, width = x.double(), x.shape[1] // groups
    out = x.new_zeros(x.shape)
    last = n // 2 - (1 if over_n and n % 2 == 0 else 0)
    for i in range(x.shape[1]):
        for j in range(i - n // 2, i + last + 1):
            if 0 <= j < x.shape[1] and j // width == i // width:
                out[:, i] += x[:, j] ** 2
    return out
