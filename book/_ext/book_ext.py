"""Sphinx hooks of the book: footer, stale pages, no outside requests, smaller theme files."""

from __future__ import annotations

import html
from pathlib import Path

from alexnet_repro.study import records


def footer(app) -> None:
    """Commit, state of the tree and number of records at the foot of each page."""
    git = records.git_state()
    count = len(list(records.RUNS.glob("*/*-seed*.json")))
    commit = (git["commit"] or "no git")[:9] + (", tree not clean" if git["dirty"] else "")
    app.config.html_theme_options["extra_footer"] = f"<p>Commit {commit}; {count} records.</p>"


def outdated(app, env, added, changed, removed) -> list[str]:
    """Run every notebook page again when a record or the library has changed."""
    now, before = records.digest(), getattr(env, "alexnet_digest", None)
    env.alexnet_digest = now
    if before == now:
        return []
    return [name for name in env.found_docs if Path(env.doc2path(name)).suffix == ".ipynb"]


def page(app, pagename, templatename, context, doctree) -> None:
    """Describe the page to those who link to it; leave out scripts that the page does not need."""
    drop = ("thebe", "mathjax", "require.min.js", "embed-amd")
    context["script_files"] = [
        s
        for s in context.get("script_files", [])
        if not any(d in str(getattr(s, "filename", s)).lower() for d in drop)
    ]  # fmt: skip
    if doctree is not None:
        from docutils import nodes

        first = next(iter(doctree.findall(nodes.paragraph)), None)
        title = app.env.titles[pagename].astext()  # the context's has tags and entities in it
        text = first.astext()[:200] if first is not None else ""
        title, text = html.escape(title), html.escape(text)
        context["metatags"] = context.get("metatags", "") + (
            f'<meta property="og:type" content="article"><meta property="og:title" '
            f'content="{title}"><meta name="description" content="{text}">'
        )


def slim(app, exception) -> None:
    """The theme ships its icons twice, as script and as font: keep the font."""
    if exception is None:
        static = Path(app.outdir) / "_static"
        for path in static.rglob("*.map"):
            path.unlink(missing_ok=True)


def setup(app) -> dict:
    """Register the hooks."""
    app.connect("builder-inited", footer)
    app.connect("env-get-outdated", outdated)
    app.connect("html-page-context", page, priority=900)
    app.connect("build-finished", slim, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
