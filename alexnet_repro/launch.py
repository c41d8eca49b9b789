"""Many runs side by side, one process each. No torch in the parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from alexnet_repro import experiments, records

# Without these, glibc gives large short-lived tensors back to the kernel and faults every page in
# again at each step: 137 against 172 ms a step of the CIFAR net on one core of a Zen 3.
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}

Job = tuple[str, str, int]  # experiment, arm, seed


def jobs(
    names: Iterable[str], arms: Iterable[str] | None = None, seeds: Iterable[int] | None = None
) -> list[Job]:
    """Every run of the named experiments, all arms of a seed before the next seed."""
    found = []
    for name in names:
        experiment = experiments.get(name)
        for seed in experiments.check_seeds(experiment.seeds if seeds is None else seeds):
            for arm in arms or experiment.arms:
                experiment.config(arm)
                found.append((name, arm, seed))
    return found


def run(
    work: list[Job],
    *,
    workers: int,
    out: Path | str = records.RUNS,
    device: str | None = None,
    step: str | None = None,
) -> list[tuple[Job, str]]:
    """Run jobs in `workers` processes of one thread each; return the failed ones with the reason.

    A job whose record is there is done at once. The others go on after a failure; when this process
    is interrupted, its children are ended and their checkpoints stay.
    """
    environment = {**MALLOC, "OMP_NUM_THREADS": "1", **os.environ}
    failed: list[tuple[Job, str]] = []
    children: set[subprocess.Popen] = set()
    lock = threading.Lock()
    stopping = threading.Event()

    def one(job: Job) -> None:
        if stopping.is_set():
            return
        name, arm, seed = job
        command = [sys.executable, "-m", "alexnet_repro", "run", name, "--arm", arm]
        command += ["--seed", str(seed), "--here", "--out", str(out)]
        command += ["--device", device] if device else []
        command += ["--step", step] if step else []
        child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        with lock:
            children.add(child)
        _, errors = child.communicate()
        with lock:
            children.discard(child)
            if child.returncode:
                failed.append((job, errors.strip().splitlines()[-1] if errors.strip() else "?"))
            bar.update()

    bar = tqdm(total=len(work), unit="run", desc=f"{workers} at a time")
    with bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, job) for job in work]
        try:
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            stopping.set()
            for child in list(children):
                child.terminate()
            raise
    return failed
