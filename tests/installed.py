"""What an installed copy must do, without the checkout: `.ci/run` runs this where only it is.

python tests/installed.py           # the reading half: no torch, no repository
python tests/installed.py --layer   # one layer, where torch is
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import alexnet_repro
from alexnet_repro import spec, study

PACKAGE = Path(alexnet_repro.__file__).parent


def command(*words: str) -> tuple[int, str]:
    """Exit code, and all that it said, of the installed command."""
    name = shutil.which("alexnet-repro", path=str(Path(sys.executable).parent))
    assert name, "the wheel brought no command"
    done = subprocess.run([name, *words], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def reading_half() -> None:
    """Rows, nets and the command; what needs the repository says so."""
    assert Path(__file__).parent.parent not in PACKAGE.parents, f"{PACKAGE} is the checkout's"
    shapes = dict(
        zip(*(spec.trace(spec.get("alexnet"))[c] for c in ("layer", "shape")), strict=True)
    )
    assert shapes["conv1"] == (96, 55, 55)  # §3.5: 290,400 neurons
    assert "c08-original" in {claim.claim_id for claim in study.load_claims()}
    assert study.load_experiments()["s34-pooling"].arms
    code, said = command("list")
    assert code == 0, said
    code, said = command("scoreboard")
    assert code == 2, said
    assert "scoreboard` needs the repository" in said, said
    assert "Traceback" not in said, said
    assert "torch" not in sys.modules


def layer() -> None:
    """§3.3 One activity of 100 alone: 100 / (2 + 1e-4 x 100^2)^0.75, in each way there is."""
    import torch

    from alexnet_repro.layers import LocalResponseNorm

    for path in ("auto", "eager"):
        found = LocalResponseNorm(path=path)(torch.full((1, 1, 1, 1), 100.0)).item()
        assert abs(found - 100 / 3**0.75) < 1e-4, (path, found)


if __name__ == "__main__":
    layer() if "--layer" in sys.argv else reading_half()
    print(f"{PACKAGE}, version {alexnet_repro.__version__}: as it should be")
