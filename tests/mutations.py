"""Change one constant or one sign in each component and see that a test goes red.

python tests/mutations.py [WORD ...]   # only mutations whose file or text holds a word

Works on copies; prints the test that caught each and exits 1 if one was missed. Not collected by
pytest. Some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# module, what stands there (once), what is put in its place, test files that should notice
MUTATIONS = [
    ("layers", "self.alpha / self.size if", "self.alpha if", "layers"),
    ("lrn_fast", "for i in range(reach + 1)", "for i in range(max(1, reach))", "layers"),
    ("layers", "self.alpha_over_n and self.size % 2 == 0", "False", "layers"),
    ("layers", "k: float = 2.0", "k: float = 1.0", "layers"),
    ("lrn_fast", "out=s[i]).add_(k)", "out=s[i]).sub_(k)", "layers"),
    ("layers", "self.alpha / self.size**2", "self.alpha / self.size", "layers"),
    ("lrn_fast", "spread, value=-2 * alpha", "spread, value=2 * alpha", "layers"),
    ("layers", "z: int = 3, s: int = 2", "z: int = 2, s: int = 2", "layers"),
    ("layers", "x * (1 - self.p)", "x * 1.0", "layers"),
    ("layers", "F.pad(x, (0, right, 0, bottom))", "F.pad(x, (right, 0, bottom, 0))", "layers"),
    ("layers", "+ self.bias", "- self.bias", "layers"),
    ("lrn_compiled", "{dim: (after, before) for", "{dim: (before, after) for", "lrn_paths"),
    ("lrn_fast", "rows.new_zeros", "rows.new_ones", "layers"),
    ("lrn_fast", "{1: around, 2: around}", "{1: around}", "layers"),
    ("lrn_fast", "root.rsqrt().mul_(root).mul_(root)", "root.rsqrt().mul_(root)", "layers"),
    ("lrn_compiled", "maybe_mark_dynamic(tensor, 0)", "mark_static(tensor, 0)", "lrn_paths"),
    ("lrn_compiled", "+ [before, after])", "+ [after, before])", "lrn_paths"),
    ("lrn_compiled", "own - 2 * alpha", "own - alpha", "lrn_paths"),
    ("lrn_compiled", "own / scale * a", "own * a", "lrn_paths"),
    ("lrn_compiled", "root * root * root.rsqrt()", "root * root.rsqrt()", "lrn_paths"),
    ("lrn_compiled", "scale.pow(-beta)", "scale.pow(-0.75)", "lrn_paths"),
    ("lrn_fast", "{2: around, 3: around}", "{1: around, 3: around}", "lrn_paths"),
    ("decoding", "top, left = (h - side) // 2", "top, left = (h - side)", "sources"),
    ("decoding", "Resampling.BICUBIC", "Resampling.BILINEAR", "sources"),
    ("decoding", 'mode="bicubic"', 'mode="bilinear"', "sources"),
    ("lrn_fast", "for other in others[1:]", "for other in others[2:]", "layers"),
    ("norms.cpp", "std::max(map, i - s.up)", "i - i % s.h", "lrn_paths"),
    ("norms.cpp", "i + s.down)", "i)", "lrn_paths"),
    ("norms.cpp", "(s.left + s.right) * s.u)", "s.left * s.u)", "lrn_paths"),
    ("norms.cpp", "s.left + s.right + 1", "s.left + s.right", "lrn_paths"),
    ("norms.cpp", "spread[i] = y[i] * (root * root)", "spread[i] = y[i] * root", "lrn_paths"),
    ("norms.cpp", "y[i] -= 1.5f", "y[i] -= 1.4f", "lrn_paths"),
    ("norms.cpp", "k + alpha * sums[i];", "k + sums[i];", "lrn_paths"),
    ("lrn_native", "windows.get(2, (0, 0))", "windows.get(1, (0, 0))", "lrn_paths"),
    ("lrn_native", "and beta == 0.75", "and beta", "layers"),
    ("networks", '"conv3", "conv", c3, 3, padding=1, std=0.03', '"conv3", "conv", c3, 3, padding=1',
     "spec model"),
    ("networks", "c5, 3, padding=1, groups=groups, std=0.03, bias=1.0",
     "c5, 3, padding=1, groups=groups, std=0.03, bias=0.1", "model"),
    ("networks", "c2, 5, padding=2, groups=groups", "c2, 5, padding=2, groups=1", "spec"),
    ("networks", '"conv6", "conv", 256, 3, padding=1', '"conv6", "conv", 256, 1', "spec"),
    ("networks", '"mapnorm", 0, 5, alpha=1e-3', '"mapnorm", 0, 5, alpha=1e-4', "spec model"),
    ("networks", '1: {"stride": 4, "groups": 1}', '1: {"stride": 2, "groups": 1}', "spec"),
    ("spec", "field + (layer.size - 1) * step", "field + layer.size * step", "spec"),
    ("spec", "-(-span // layer.stride) if", "span // layer.stride if", "spec"),
    ("model", "math.sqrt(2 / fan_in)", "math.sqrt(1 / fan_in)", "model"),
    ("model", "else 0.01", "else 0.02", "model"),
    ("model", "0 < high <= 1", "0 < high < 0", "bad_input"),
    ("augment", "crop_size) + 1, -", "crop_size), -", "augment"),
    ("augment", "generator=generator) < 0.5", "generator=generator) < 0.4", "augment"),
    ("augment", "cut.flip(-1) if flip else cut", "cut", "augment"),
    ("augment_fast", "seen += colours", "seen -= colours", "augment_fast"),
    ("augment_fast", "c_bool(mean.dim() == 4)", "c_bool(False)", "augment_fast"),
    ("augment_fast", "images.contiguous()", "images", "augment_fast"),
    ("batches.cpp", "to[x] += *shift", "to[x] -= *shift", "augment_fast"),
    ("batches.cpp", "mirrored ? n - 1 - x : x", "x", "augment_fast"),
    ("batches.cpp", "map * h + top[i] + y", "map * h + y", "augment_fast"),
    ("batches.cpp", "+ left[i]", "", "augment_fast"),
    ("batches.cpp", "to[x] /= divisors[i]", "to[x] /= divisors[0]", "augment_fast"),
    ("augment_fast", "crop[..., ::-1] if flip else crop", "crop", "augment_fast"),
    ("augment", "images[..., :s, -s:],", "images[..., -s:, :s],", "augment"),
    ("augment", "d.repeat_interleave(chunk)[:n]", "d.repeat(chunk)[:n]", "augment seen"),
    ("augment", "products / n - np.outer", "products / n + np.outer", "colour_noise"),
    ("augment", "self.eigenvalues.sqrt()", "self.eigenvalues", "colour_noise"),
    ("augment", "shifted / ORIGINAL_DIVISOR", "shifted * ORIGINAL_DIVISOR", "colour_noise"),
    ("augment", "std: float = 0.1", "std: float = 1.0", "colour_noise"),
    ("optim", 'weight_decay=group["weight_decay"]', "weight_decay=0.0", "optim"),
    ("optim", "(-1.0, 1.0 + lr)", "(-1.0, 1.0 - lr)", "optim"),
    ("optim", "(-1.0, 1.0 + lr)", "(-lr, 0.0)", "optim"),
    ("optim", "else (lr, 0.0)", "else (-1.0, 1.0 + lr)", "optim"),
    ("optim", "bias_lr_factor: float = 2.0", "bias_lr_factor: float = 1.0", "optim"),
    ("optim", 'group["lr"] /= 10', 'group["lr"] /= 2', "plateau"),
    ("optim", "drops: int = 3", "drops: int = 4", "plateau"),
    ("optim", 'group["lr"] = lr * group["factor"]', 'group["lr"] = lr', "optim"),
    ("evaluate", "scores > own", "scores >= own", "evaluate"),
    ("evaluate", "< labels[:, None]", "<= labels[:, None]", "evaluate"),
    ("evaluate", "- math.log(10)", "+ math.log(10)", "evaluate"),
    ("evaluate", "F.log_softmax(net(_flat(view(crops, mean))).float(), 1)",
     "net(_flat(view(crops, mean))).float()", "evaluate"),
    ("resident", "crop_size - 1 - place", "crop_size - place", "device_paths"),
    ("steps", "drop.mask = mask", "drop.mask = None", "device_paths"),
    ("steps", "(n, *shape), device", "(n, *shape[:0], 1), device", "device_paths"),
    ("accelerator_tables", "1 - none / ours", "none / ours", "performance"),
    ("resident", "x += shift", "x -= shift", "device_paths"),
    ("train", "still.top, still.left", "still.top, draws.left", "seen"),
    ("train", "0 < config.conv1_frozen_from <= epoch", "0 < config.conv1_frozen_from < epoch",
     "schedules"),
    ("train", "plateau.dropped + sum(", "sum(", "schedules"),
    ("dropout", "reader.weight.mul_(1 - p)", "reader.weight.div_(1 - p)", "dropout"),
    ("ensemble", "w / w.sum()", "w", "ensemble"),
    ("ensemble", "probabilities.mean(0)", "probabilities.log().mean(0).exp()", "ensemble"),
    ("ensemble", "if error < best:", "if error > best:", "ensemble"),
    ("diagnose", "x.std(0).mean()", "x.std(1).mean()", "diagnose"),
    ("diagnose", "math.log(classes)", "math.log2(classes)", "diagnose"),
    ("diagnose", "PHOTOGRAPHS = 70.0", "PHOTOGRAPHS = 1.0", "diagnose"),
    ("tower_processes", "return own + link.swap", "return own - link.swap", "towers"),
    ("tower_processes", "halves if link.column == 0 else halves[::-1]", "halves", "towers"),
    ("columns", "half.new_ones(n, 2 * c, *rest)", "half.new_ones(n, c, *rest)", "towers"),
    ("traffic", "COLUMNS * batch", "COLUMNS * 2 * batch", "towers"),
    ("peers", '"bias": bias}', '"bias": 0.0}', "peers"),
    ("peers", 'CAFFE_NORM = {"k": 1.0', 'CAFFE_NORM = {"k": 2.0', "peers weights"),
    ("weights", "weights_only=True", "weights_only=False", "weights"),
    ("model", "net.eval()", "net.train()", "onnx"),
]  # fmt: skip


def file_of(module: str) -> str:
    """The name of a module's file."""
    return module if "." in module else f"{module}.py"


def run(module: str, old: str, new: str, tests: str) -> str:
    """The first test that fails under a mutation, or an empty string."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("alexnet_repro", "tests", "book", "runs"):
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)
        path = Path(folder) / "alexnet_repro" / file_of(module)
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{path.name} holds {old!r} {text.count(old)} times, wanted once")
        path.write_text(text.replace(old, new))
        files = [f"tests/test_{t}.py" for t in tests.split()]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
        cache = {**os.environ, "XDG_CACHE_HOME": folder}  # kernels of mutated sources go there
        done = subprocess.run(command, cwd=folder, env=cache, capture_output=True, text=True)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{module}: {old!r}: pytest stopped\n{done.stdout[-2000:]}")
    return found[1] if found else ""


def main(words: list[str]) -> int:
    """Try every mutation that holds one of the words; return 1 if any was missed."""
    missed = 0
    for module, old, new, tests in MUTATIONS:
        if words and not any(w in module or w in old for w in words):
            continue
        caught = run(module, old, new, tests)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED'}  {module}: {old} -> {new}  {caught}", flush=True)
    print(f"{missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
