"""Checkpoints: a damaged one is set aside in one line, the run starts again; no pickle is run."""

import functools
import hashlib
import logging
import pickle
import re
import tempfile
from pathlib import Path

import pytest
import torch

from alexnet_repro import training
from alexnet_repro.config import RunConfig
from alexnet_repro.training import checkpoints, loop

CONFIG = RunConfig(
    net="18pct-plain", init="modern", pixels="standardised", epochs=2, batch=50,
    train_eval_images=50,
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("few_images")


def run(path=None):
    return training.train(CONFIG, 0, checkpoint=path, quiet=True)


@functools.cache
def whole():
    return run()


@functools.cache
def after_one_epoch():
    """The content of a checkpoint after the first epoch of two."""
    epoch = loop._epoch

    def stop(run, number, quiet):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(run, number, quiet)

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            run(Path(folder) / "run.pt")
        assert [p.name for p in Path(folder).iterdir()] == ["run.pt"]  # no other file is left
        return (Path(folder) / "run.pt").read_bytes()


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "run.pt"
    path.write_bytes(after_one_epoch())
    return path


def flip(content, place):
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


class Touch:
    """Pickled, it makes a file when it is read back."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


DAMAGES = {
    "empty": lambda c: b"",
    "text": lambda c: b"half a file",
    "long text": lambda c: b"x" * 5000,
    "cut": lambda c: c[: len(c) // 2],
    "cut at the end": lambda c: c[:-1],
    "longer": lambda c: c + b"\n",
    "one bit at the start": lambda c: flip(c, 0),
    "one bit of a weight": lambda c: flip(c, len(c) // 2),
    "one bit of the sum": lambda c: flip(c, len(c) - 1),
}


def check_starts_anew(path, caplog, content):
    """A run from that file is the unbroken one; the file is renamed, one line tells."""
    with caplog.at_level(logging.WARNING):
        found = run(path)
    assert (found.curve, found.metrics) == (whole().curve, whole().metrics)
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 1
    assert re.fullmatch(
        r".*run\.pt: damaged \(.*\), now run\.pt\.damaged; the run starts anew", told[0]
    )
    assert path.with_name("run.pt.damaged").read_bytes() == content
    assert found.provenance["resumed"] == []
    assert [w["text"] for w in found.provenance["warnings"]][-1:] == told


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_one_is_set_aside(broken, caplog, damage):
    content = damage(broken.read_bytes())
    broken.write_bytes(content)
    check_starts_anew(broken, caplog, content)


@pytest.mark.parametrize("lost", ["identity", "epoch", "curve", "metrics", "net", "optimizer",
                                  "plateau", "history", "net/conv1.weight"])  # fmt: skip
def test_one_that_lacks_a_key_is_set_aside(broken, caplog, lost):
    state = torch.load(broken, weights_only=True)
    *outer, key = lost.split("/")
    (state[outer[0]] if outer else state).pop(key)
    torch.save(state, broken)
    content = broken.read_bytes()
    content += b"\nsha256 " + hashlib.sha256(content).hexdigest().encode()  # with the right sum
    broken.write_bytes(content)
    check_starts_anew(broken, caplog, content)


@pytest.mark.parametrize("how", [pickle.dumps, None])
def test_no_pickle_is_run(broken, caplog, tmp_path, how):
    target, evil = tmp_path / "made", Touch(tmp_path / "made")
    if how:
        broken.write_bytes(how(evil))
    else:
        torch.save({"identity": evil}, broken)
    content = broken.read_bytes()
    content += b"\nsha256 " + hashlib.sha256(content).hexdigest().encode()
    broken.write_bytes(content)
    check_starts_anew(broken, caplog, content)
    assert not target.exists()


def test_a_sound_one_ends_in_the_sum_of_the_rest(broken):
    content = broken.read_bytes()
    assert content[-72:-64] == b"\nsha256 "
    assert content[-64:].decode() == hashlib.sha256(content[:-72]).hexdigest()
    found = run(broken)
    assert (found.curve, found.metrics) == (whole().curve, whole().metrics)
    assert found.provenance["resumed"][0]["epoch"] == 1
    assert not list(broken.parent.glob("*.damaged"))


def test_what_cannot_be_read_is_no_damage(tmp_path):
    (tmp_path / "run.pt").mkdir()
    with pytest.raises(OSError, match="directory"):
        checkpoints.resume(tmp_path / "run.pt", {}, {})
    assert (tmp_path / "run.pt").is_dir()
