"""The tables of the book as HTML: claims, scoreboard, layers, provenance. No torch."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

import pandas as pd
from IPython.display import HTML

from alexnet_repro import study
from alexnet_repro.errors import InputError
from alexnet_repro.study import RunRecord, evidence
from alexnet_repro.study.claims import Claim
from alexnet_repro.study.verdicts import Verdict

GLYPHS = {
    "match": "✓", "direction": "↗", "smaller": "⌄", "negligible": "≈", "gap only": "◐",
    "opposite": "✕", "unclear": "?", "not in regime": "⊘", "definition": "≡", "paper is off": "≠",
    "not run": "○", "no verdict": "–",
}  # fmt: skip
SCALED = ' <span class="scaled">scaled</span>'


def badge(verdict: Verdict | str) -> str:
    """A verdict as a pill with glyph and word."""
    word = verdict if isinstance(verdict, str) else verdict.word
    kind = word.replace(" ", "-")
    return (
        f'<span class="verdict {kind}"><span aria-hidden="true">{GLYPHS[word]}</span> {word}</span>'
    )


def show_value(value: float | None, unit: str) -> str:
    """A number in its unit as a reader wants it: errors in per cent, differences in points."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    if unit == "difference":
        text = f"{100 * value:+.2f} points"
    elif unit in ("error", "share"):
        text = f"{100 * value:.2f} %"
    elif unit == "ratio":
        text = f"{value:.2f}×"
    elif unit == "count":
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g} {unit if unit != 'none' else ''}".strip()
    return text.replace("-", "−")


def show_paper(claim: Claim) -> str:
    """The paper's figure, in its words where it prints no plain one."""
    return html.escape(claim.printed) or show_value(claim.paper_value, claim.unit)


def show_ours(found: Verdict, unit: str) -> str:
    """Our figure with interval and n."""
    if found.ours is None and not found.n:
        return "–"
    prefix = {"lower": "≥ ", "upper": "≤ "}.get(found.bound, "")
    text = prefix + show_value(found.ours, unit)
    if found.n == 1:
        text += "<br><small>n = 1, no interval</small>"
    elif found.n and (found.low is None or found.high is None):
        text += f"<br><small>no interval, n = {found.n}</small>"
    elif found.n:
        low, high = (show_value(v, unit).removesuffix(" points") for v in (found.low, found.high))
        open_below = found.low == -math.inf or (unit == "ratio" and found.low == 0)
        if open_below and found.high == math.inf:
            interval = "no end on either side"
        elif found.high == math.inf:
            interval = f"from {low}, no upper end"
        elif open_below:
            interval = f"up to {high}, no lower end"
        else:
            interval = f"{low} to {high}"
        text += f"<br><small>{found.level}: {interval}, n = {found.n}</small>"
    return text


def show_why(found: Verdict, unit: str, *, note: str = "") -> str:
    """Why a verdict is what it is, how stable, and the row's note, in small print."""
    parts = [found.why]
    if found.n > 1 and found.word not in ("no verdict", "not run"):
        parts.append(f"{found.agree} of {found.n} seeds have the paper's sign")
        if found.around and all(map(math.isfinite, found.around)):
            low, high = (show_value(v, unit).removesuffix(" points") for v in found.around)
            parts.append(f"leaving one out: {low} to {high}")
        if found.holm is not None:
            parts.append(f"p = {found.p:.2g}, over all primary rows {found.holm:.2g} (Holm)")
    return f"<small>{html.escape('; '.join(filter(None, [*parts, note])))}</small>"


def table(rows: Iterable[dict[str, str]], caption: str, *, right: Sequence[str] = ()) -> str:
    """An HTML table from rows of ready HTML; below 600 px each row becomes a card."""
    rows = list(rows)
    names = list(rows[0])
    head = "".join(
        f'<th scope="col"{" class=num" if n in right else ""}>{html.escape(n)}</th>' for n in names
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{html.escape(n)}"{" class=num" if n in right else ""}>'
            f"<div>{row[n]}</div></td>"
            for n in names
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="ledger" role="region" tabindex="0" aria-label="{html.escape(caption)}">'
        "<table>"
        f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def numbers(frame: pd.DataFrame, caption: str, show: str = "") -> HTML:
    """Any small table: numbers by the format, text as it is; a demonstration's says where from.

    show: default three significant digits.
    """

    def text(value: object) -> str:
        if isinstance(value, float):
            style = show or ("{:,.0f}" if abs(value) >= 999.5 else "{:.3g}")
            return "–" if math.isnan(value) else style.format(value).replace("-", "−")
        return html.escape(f"{value:,}" if isinstance(value, int) else str(value))

    rows = [
        {str(k): text(v) for k, v in zip(frame.columns, row, strict=True)}
        for row in frame.itertuples(index=False)
    ]
    right = [c for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]
    origin = html.escape(frame.attrs.get("origin", ""))
    return HTML(table(rows, caption, right=[str(c) for c in right])
                + (f'<p class="provenance">{origin}</p>' if origin else ""))  # fmt: skip


def measured(stem: str, runs: Sequence[RunRecord] = ()) -> HTML:
    """The three-way table of all claims whose id starts with stem, with where the runs come from.

    runs: what run_or_load returned, of any experiments; each claim takes those of its own.
    """
    rows, computed = [], False
    used: list[RunRecord] = []
    for claim in study.load_claims():
        if not re.match(rf"({stem})(-|$)", claim.claim_id):
            continue
        found = study.verdict(claim, runs)
        scaled = SCALED if claim.setting == "scaled" else ""
        computed |= claim.arithmetic
        used += [r for r in evidence.own(claim, runs) if not any(r is u for u in used)]
        rows.append(
            {
                "claim": html.escape(claim.statement) + scaled,
                "paper": show_paper(claim),
                "original code": show_value(claim.code_value, claim.unit),
                "measured": show_ours(found, claim.unit) + (scaled if found.n else ""),
                "verdict": f"{badge(found)}<br>{show_why(found, claim.unit, note=claim.note)}",
            }
        )
    if not rows:
        raise InputError(f"no claim starts with {stem!r}")
    text = table(rows, "What the paper prints, what the original ran, what we measure")
    return HTML(text + provenance(used, computed=computed))


def provenance(runs: Sequence[RunRecord], *, computed: bool = False) -> str:
    """One line on where the numbers come from: runs, commits, machines, data; smoke is named."""
    if not runs:
        ours = "Computed from the networks in spec." if computed else "Nothing was run here."
        theirs = "Original code: its released configurations and logs."
        return f'<p class="provenance">{ours} {theirs}</p>'
    origins = [r.provenance for r in runs]
    git = [o.get("git") or {} for o in origins]
    commits = sorted({(g.get("commit") or "no commit")[:9] for g in git})
    dirty = any(g.get("dirty") is not False for g in git)
    data = sorted({r.config["data"] for r in runs})
    dates = sorted({o.get("start_utc", "no date")[:10] for o in origins})
    versions = sorted({(o.get("versions") or {}).get("torch", "?") for o in origins})
    hours: dict[str, float] = {}
    for origin in origins:
        place = _place(origin)
        hours[place] = hours.get(place, 0.0) + origin.get("wall_seconds", 0) / 3600
    spent = " and ".join(f"{h:.2f} hours of one {html.escape(p)}" for p, h in hours.items())
    text = (
        f"{len(runs)} runs on {', '.join(data)}, {dates[0]}"
        + (f" to {dates[-1]}" if len(dates) > 1 else "")
        + f", commit {', '.join(commits)}{' (tree not clean)' if dirty else ''}, "
        f"{spent}, torch {', '.join(versions)}."
    )
    note = ""
    if "embedded" in data:
        note = (
            '<p class="smoke"><strong>Smoke mode:</strong> synthetic images and seconds of '
            "training. It shows that the page runs; it is evidence for nothing.</p>"
        )
    return f'{note}<p class="provenance">{text}</p>'


def _place(origin: dict) -> str:
    """What computed a run: its accelerator, or one core of its processor."""
    return origin.get("accelerator") or f"{origin.get('cpu', 'unknown')} core"
