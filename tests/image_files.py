"""Image files, archives of them and a slow bicubic rescaling, for the tests of `sources`."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")


def encode(pixels, form="PNG", mode="RGB"):
    """Pixels (h, w, 3) as the bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).convert(mode).save(file, form)
    return file.getvalue()


def solid(red, green, blue, side=32, **options):
    return encode(np.full((side, side, 3), (red, green, blue)), **options)


def noise(h, w, **options):
    return encode(np.random.default_rng(0).integers(0, 256, (h, w, 3)), **options)


def coded(without="nothing"):
    """Three classes, four training and two test images each: red = class, green = number.

    without: leave out the files of the splits and classes with this in their path.
    """
    return {
        f"{split}/{name}/{i}.png": solid(100 * c, i, blue)
        for split, n, blue in (("test", 2, 255), ("train", 4, 0))
        for c, name in enumerate(CLASSES)
        for i in range(n)
        if without not in f"{split}/{name}"
    }


def write(path, files, kind):
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as archive:  # tar, tar.gz, tar.bz2, tar.xz
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def cubic(x):
    """Keys' cubic convolution kernel, a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0


def rescaled_line(line, n):
    """A line of pixels at n places, the kernel as wide as the step where it shrinks."""
    step = len(line) / n
    wide = max(step, 1)
    out = []
    for i in range(n):
        weights = [cubic((j + 0.5 - (i + 0.5) * step) / wide) for j in range(len(line))]
        out.append(sum(w * v for w, v in zip(weights, line, strict=True)) / sum(weights))
    return np.clip(out, 0, 255)


def rescaled(pixels, h, w):
    """Pixels (h, w, 3) at another size, by slow loops: lines first, then columns."""
    wide = np.apply_along_axis(rescaled_line, 1, np.asarray(pixels, float), w)
    return np.apply_along_axis(rescaled_line, 0, wide, h)
