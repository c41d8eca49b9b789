"""One bridge from the demonstrations of the components to the pages that show them. No torch.

A demonstration is a function without arguments that returns a table of numbers, the same at every
call. Its record is runs/components/<name>.json; `alexnet-repro components` writes it.
"""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet_repro import whole
from alexnet_repro.errors import InputError
from alexnet_repro.study import record_checks, records

if TYPE_CHECKING:
    import pandas as pd

# name -> the module that has the function of that name
DEMONSTRATIONS = {
    "order": "of_layers",
    "normalisation": "of_layers",
    "pooling": "of_layers",
    "reach": "of_layers",
    "dropout": "of_layers",
    "crops": "of_training",
    "colour_noise": "of_training",
    "update_rule": "of_training",
    "initialisation": "of_training",
    "averages": "of_training",
    "ensembles": "of_training",
    "two_processes": "of_exchange",
    "layouts": "of_exchange",
    "exports": "of_exchange",
}
FOLDER = records.RUNS / "components"


def compute(name: str) -> pd.DataFrame:
    """Run a demonstration; imports torch. ValueError for a name that is none."""
    module = importlib.import_module(f"alexnet_repro.demos.{DEMONSTRATIONS[_known(name)]}")
    return getattr(module, name)()


def table(name: str, mode: str = "load", folder: Path | str = FOLDER) -> pd.DataFrame:
    """A demonstration's table: mode "load" reads its record, "train" and "smoke" compute it.

    Raises RecordError, with the command that makes it, for a record that is missing or damaged.
    """
    if mode != "load":
        frame = compute(name)
        frame.attrs["origin"] = "Computed when this page ran."
        return frame
    import pandas as pd

    path = Path(folder) / f"{_known(name)}.json"
    try:
        body = record_checks.read_json(path.read_text())
        if record_checks.content_sum(body) != body["record_sha256"]:
            raise ValueError("its content is not what its record_sha256 was taken of")
        frame = pd.DataFrame(body["rows"], columns=body["columns"])
        commit = (body["provenance"]["git"]["commit"] or "none")[:9]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise records.RecordError(
            f"no readable record {path} ({error}); make it with `alexnet-repro components {name}`"
        ) from error
    frame.attrs["origin"] = f"Computed by demos.{DEMONSTRATIONS[name]}.{name}, commit {commit}."
    return frame


def write(name: str, folder: Path | str = FOLDER) -> Path:
    """Compute a demonstration and write its record, whole or not at all."""
    origin = records.provenance("cpu", 1)
    frame = compute(name)
    path = Path(folder) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [[_plain(v) for v in row] for row in frame.values.tolist()]
    head = {"component": name, "provenance": origin, "columns": list(frame.columns)}
    total = record_checks.content_sum({**head, "rows": rows})
    lines = ",\n  ".join(map(json.dumps, rows))
    tail = f',\n "rows": [\n  {lines}\n ],\n "record_sha256": "{total}"\n}}\n'
    text = json.dumps(head, indent=1)[:-2] + tail
    whole.write_text(path, text)
    return path


def _plain(value: Any) -> Any:
    """A cell for JSON: ten significant digits are enough, and nan is null."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.10g}")
    return value


def _known(name: str) -> str:
    if name not in DEMONSTRATIONS:
        raise InputError(f"no demonstration {name!r}; there are {', '.join(DEMONSTRATIONS)}")
    return name
