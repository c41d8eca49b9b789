"""The scoreboard of the landing page and the ledger of all claims, as HTML. No torch."""

from __future__ import annotations

import collections
import html

from IPython.display import HTML

from alexnet_repro.pages.tables import (
    SCALED,
    badge,
    show_ours,
    show_paper,
    show_value,
    show_why,
    table,
)
from alexnet_repro.study import claims, verdicts
from alexnet_repro.study.claims import Claim
from alexnet_repro.study.verdicts import Verdict


def landing() -> HTML:
    """The scoreboard: one sentence, the counts, the trained claims, the arithmetic ones folded."""
    board = claims.judged()
    counts = collections.Counter(found.word for _, found in board)
    decided = sum(counts[word] for word in verdicts.DECIDED)
    stems = len({claim.claim_id[:3] for claim, _ in board})
    pills = " ".join(f"{badge(w)} <b>{counts[w]}</b>" for w in verdicts.WORDS if counts[w])
    first = (
        f'<p class="result">The paper makes {stems} claims, which print {len(board)} figures. '
        f"{decided} of the figures are decided here so far.</p><p>{pills}</p>"
    )
    rows = []
    folded: dict[tuple[str, str], list[tuple[Claim, Verdict]]] = {}
    for claim, found in board:
        if found.n:
            scaled = SCALED if claim.setting == "scaled" else ""
            rows.append(
                {
                    "claim": _link(claim) + scaled,
                    "paper": show_paper(claim),
                    "measured": show_ours(found, claim.unit),
                    "verdict": badge(found),
                }
            )
        elif claim.arithmetic:
            folded.setdefault((claim.claim_id[:3], found.word), []).append((claim, found))
    exact = []
    for (_, word), same in folded.items():
        claim, found = same[0]
        more = f" <small>and {len(same) - 1} more figures</small>" if len(same) > 1 else ""
        exact.append(
            {
                "claim": _link(claim) + more,
                "paper": show_paper(claim),
                "exact": show_value(found.ours, claim.unit),
                "verdict": badge(word),
            }
        )
    parts = [first]
    if rows:
        parts.append(table(rows, "Trained and measured", right=("paper",)))
    parts.append(table(exact, "Computed from the networks", right=("paper", "exact")))
    return HTML("".join(parts))


def _link(claim: Claim) -> str:
    return f'<a href="{claim.page}.html">{html.escape(claim.statement)}</a>'


def ledger() -> HTML:
    """Every row of the ledger with all three columns, the verdict, and what would run it."""
    rows = []
    for claim, found in claims.judged():
        why = show_why(found, claim.unit, note=claim.note)
        if found.word == "not run" and claim.command:
            why += f"<br><small><code>{html.escape(claim.command)}</code></small>"
        rows.append(
            {
                "§": claim.section,
                "claim": f'<span id="{claim.claim_id}">{html.escape(claim.statement)}</span>',
                "paper": show_paper(claim),
                "original code": show_value(claim.code_value, claim.unit),
                "measured": show_ours(found, claim.unit),
                "verdict": f"{badge(found)}<br>{why}",
            }
        )
    return HTML(table(rows, "All claims", right=("paper", "original code")))
