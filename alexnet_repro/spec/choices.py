"""§3 §4.2 §5 Each choice between the paper and the original code as a key of its own. No torch.

`apply` is the one place where a configuration changes the rows of its net, so that one experiment
can say what a single discrepancy is worth. "" and -1 leave a net as its rows have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from alexnet_repro.config import RunConfig
from alexnet_repro.errors import InputError
from alexnet_repro.spec.rows import Layer, Spec

Rows = tuple[Layer, ...]

# What sets layers-145.cfg apart from the text, and the other way round. 0.03 in conv3 to conv5 is
# in the rows of both: what the text says of it is `init`'s "paper".
ORIGINAL: dict[str, str] = {
    "lrn_alpha_over_n": "yes",
    "lrn_per_column": "yes",
    "relu_after_pool1": "yes",
    "within_map_norm": "yes",
    "init_std_middle": "0.03",
}
PAPER: dict[str, str] = {**dict.fromkeys(ORIGINAL, "no"), "init_std_middle": "0.01"}
KEYS = (*ORIGINAL, "lrn", "dropout")  # all that change rows; the order does not matter

PRINTED: dict[str, Any] = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}  # §3.3
WITHIN_MAP = Layer("mapnorm2", "mapnorm", 0, 5, alpha=1e-3, k=1.0, alpha_over_n=True)
MIDDLE = ("conv3", "conv4", "conv5")


def apply(spec: Spec, choices: Mapping[str, Any]) -> Spec:
    """The net with a configuration's choices made, under the same name.

    choices: keys of config.RunConfig with their values; those that are not in KEYS change nothing
    here. Raises InputError as RunConfig.from_dict, and for a choice that the net has nothing to
    make of: dropout without dropout layers, LRN's constants without LRN, two columns in one.
    """
    config = RunConfig.from_dict(dict(choices))
    rows = _lrn(spec, spec.layers, config)
    if config.relu_after_pool1:
        rows = _order(spec, rows, config.relu_after_pool1 == "yes")
    if config.within_map_norm:
        rows = _within_map(spec, rows, config.within_map_norm == "yes")
    if config.dropout != -1:
        drops = _want(spec, rows, "dropout", f"dropout {config.dropout:g}")
        rows = _set(rows, drops, p=config.dropout) if config.dropout else _without(rows, "dropout")
    if config.init_std_middle:
        rows = _set(rows, MIDDLE, std=float(config.init_std_middle))
    return spec if rows == spec.layers else replace(spec, layers=rows)


def _lrn(spec: Spec, rows: Rows, config: RunConfig) -> Rows:
    """§3.3 Which normalisation across channels, and with which constants."""
    if config.lrn == "none":
        for key in ("lrn_alpha_over_n", "lrn_per_column"):
            if getattr(config, key):
                raise InputError(f"lrn 'none' leaves nothing for {key} {getattr(config, key)!r}")
        return _without(rows, "lrn")
    changes: dict[str, Any] = {}
    if config.lrn == "printed":
        changes = {**PRINTED, "alpha_over_n": False, "groups": 1}
    elif config.lrn == "k-only":
        changes = {"alpha": 0.0}
    if config.lrn_alpha_over_n:
        changes["alpha_over_n"] = config.lrn_alpha_over_n == "yes"
    if config.lrn_per_column:
        if config.lrn_per_column == "yes" and spec.columns == 1:
            raise InputError(f"lrn_per_column 'yes' wants two columns, {spec.name} has one")
        changes["groups"] = spec.columns if config.lrn_per_column == "yes" else 1
    if not changes:
        return rows
    return _set(rows, _want(spec, rows, "lrn", "its local response normalisation"), **changes)


def _order(spec: Spec, rows: Rows, after: bool) -> Rows:
    """ReLU after the first pooling, as the original has it, or right after the convolution.

    The last pooling goes the same way; there it makes no difference, for ReLU and max commute. In
    the first, the normalisation stands between them.
    """
    names = [r.name for r in rows]
    if not {"conv1", "relu1", "pool1"} <= set(names):
        raise InputError(f"relu_after_pool1 wants conv1, relu1 and pool1; {spec.name} lacks one")
    for n in "15":
        if {f"conv{n}", f"relu{n}", f"pool{n}"} <= set(names):
            relu = next(r for r in rows if r.name == f"relu{n}")
            others = [r for r in rows if r is not relu]
            at = [r.name for r in others].index(f"pool{n}" if after else f"conv{n}") + 1
            rows = (*others[:at], relu, *others[at:])
    return rows


def _within_map(spec: Spec, rows: Rows, wanted: bool) -> Rows:
    """With the original's second normalisation, before the second pooling, or without any such."""
    rows = _without(rows, "mapnorm")
    if not wanted:
        return rows
    names = [r.name for r in rows]
    if "pool2" not in names:
        raise InputError(f"within_map_norm 'yes' wants a layer pool2, {spec.name} has none")
    at = names.index("pool2")
    return (*rows[:at], WITHIN_MAP, *rows[at:])


def _want(spec: Spec, rows: Rows, kind: str, what: str) -> set[str]:
    """Names of the rows of a kind; InputError if there is none to change."""
    names = {r.name for r in rows if r.kind == kind}
    if not names:
        raise InputError(f"{spec.name} has no layer of kind {kind}: nothing to set {what} in")
    return names


def _set(rows: Rows, names: Iterable[str], **changes: Any) -> Rows:
    return tuple(replace(r, **changes) if r.name in names else r for r in rows)


def _without(rows: Rows, kind: str) -> Rows:
    return tuple(r for r in rows if r.kind != kind)
