"""Which of several ways a computation really took in this process, fallbacks too. No torch.

Each place where the way is chosen notes it; a run's record tells what was noted while it trained.
"""

from __future__ import annotations

_taken: dict[str, set[str]] = {}


def note(what: str, path: str) -> None:
    """what ("norms", "batches", "step") was computed by this path, just now."""
    _taken.setdefault(what, set()).add(path)


def noted() -> dict[str, list[str]]:
    """What -> every path that it took since forget(), sorted."""
    return {what: sorted(found) for what, found in sorted(_taken.items())}


def forget() -> None:
    """Begin anew."""
    _taken.clear()
