"""§3.5 Tables of the networks as HTML, made from their specs. No torch."""

from __future__ import annotations

import difflib
import html
import itertools
from dataclasses import replace

from IPython.display import HTML

from alexnet_repro import spec
from alexnet_repro.pages.tables import table
from alexnet_repro.spec import arithmetic, peers, shapes


def layers(net: str, caption: str = "") -> HTML:
    """§3.5 The layer table of a net, made by spec.trace."""
    chosen = spec.get(net)
    rows = []
    for row in spec.trace(chosen).itertuples():
        size = "×".join(str(v) for v in row.shape)
        numbers = (row.weights, row.biases, row.neurons, row.macs)
        shown = [f"{v:,}" if v else "" for v in numbers]
        names = ("weights", "biases", "neurons", "multiply-adds")
        rows.append(
            {"layer": row.layer, "output": size, **dict(zip(names, shown, strict=True)),
             "sees, pixels": str(row.receptive_field), "step": str(row.step)}
        )  # fmt: skip
    total = f"{arithmetic.parameters(net):,} parameters"
    right = ("output", *names, "sees, pixels", "step")
    return HTML(table(rows, caption or f"{net}: {chosen.source}; {total}", right=right))


def side_by_side(left: str, right: str, caption: str) -> HTML:
    """§3.5 The rows of two nets in running order, beside each other, with what sets them apart."""

    def text(row: spec.Layer | None) -> str:
        if row is None:
            return ""
        detail = {
            "conv": f"{row.out} kernels of {row.size}×{row.size}, stride {row.stride}",
            "fc": f"{row.out} units",
            "lrn": f"over {row.size} channels{', per column, alpha / n' * row.alpha_over_n}",
            "mapnorm": f"{row.size}×{row.size} within each map, not in the paper",
            "maxpool": f"{row.size}×{row.size}, stride {row.stride}",
            "dropout": "one half",
        }.get(row.kind, "")
        columns = ", own column only" if row.kind == "conv" and row.groups == 2 else ""
        return f"<strong>{row.name}</strong> {detail}{columns}"

    a, b = spec.get(left).layers, spec.get(right).layers
    rows = []
    matcher = difflib.SequenceMatcher(None, [r.name for r in a], [r.name for r in b], False)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        for one, two in itertools.zip_longest(a[i1:i2], b[j1:j2]):
            same = text(one) == text(two)
            rows.append(
                {
                    left: text(one),
                    right: text(two) if same or two is None else f"<mark>{text(two)}</mark>",
                }
            )
    return HTML(table(rows, caption))


def input_sizes() -> HTML:
    """§3.5 The side of conv1's output for the input sizes and roundings that are in use."""
    conv1 = spec.get("alexnet").layers[0]
    cases = [
        ("224, rounded up", "the original code: 3 zeros right and bottom", 224, conv1),
        ("224, rounded down", "the usual rule", 224, replace(conv1, ceil=False)),
        ("224, padding 2", "torchvision: shifts every window", 224,
         replace(conv1, ceil=False, padding=2)),
        ("227, no padding", "Caffe and most replications", 227, replace(conv1, ceil=False)),
    ]  # fmt: skip
    rows = [
        {"input": name, "who": who, "output of conv1": str(shapes.out_size(layer, side))}
        for name, who, side, layer in cases
    ]
    return HTML(table(rows, "224 against 227", right=("output of conv1",)))


def networks() -> HTML:
    """§3.5 Every net of spec.NETWORKS with its source, input and size."""
    rows = []
    for name, chosen in spec.NETWORKS.items():
        trace = spec.trace(chosen)
        rows.append(
            {
                "net": f"<code>{name}</code>",
                "from": html.escape(chosen.source),
                "input": str(chosen.input_size),
                "layers with weights": str(int((trace["weights"] > 0).sum())),
                "parameters": f"{arithmetic.parameters(name):,}",
                "multiply-adds": f"{int(trace['macs'].sum()):,}",
            }
        )
    right = ("input", "layers with weights", "parameters", "multiply-adds")
    return HTML(table(rows, "The nets of this library", right=right))


def peers_table() -> HTML:
    """§3.5 What sets each peer's net apart, and the line that reproduces its count."""
    shown = ("filters", "groups", "input", "order", "LRN", "dropout", "start", "recipe")
    rows = []
    for found in peers.differences():
        differs = [
            f"<strong>{name}</strong> {html.escape(found[name])}"
            for name in shown
            if not found[name].startswith("as the paper")
        ]
        rows.append(
            {
                "net": f"<strong>{found['peer']}</strong>",
                "what differs": "<br>".join(differs),
                "parameters": f"{found['parameters']:,}",
                "top-1 / top-5 accuracy, %": html.escape(found["accuracy"]),
            }
        )
    others = len(rows) - 1
    caption = f"The paper, and {others} nets that are called AlexNet (theirs, where it differs)"
    return HTML(table(rows, caption, right=("parameters",)))


def peers_lines() -> HTML:
    """§3.5 One line of Python for each peer's number, run here."""
    rows = []
    names = {"peers": peers, "spec": shapes}
    for found in peers.differences():
        for key in ("line", "order_line"):
            answer = eval(found[key], names)  # a line of peers.py, shown beside its answer
            answer = f"{answer:,}" if isinstance(answer, int) else ", ".join(answer)
            rows.append({"line": f"<code>{html.escape(found[key])}</code>", "gives": answer})
    return HTML(table(rows, "from alexnet_repro import peers, spec"))
