"""The performance page says what the benchmark records say."""

import json
import re

import pytest

from alexnet_repro.pages import accelerator_tables, performance, performance_prose
from alexnet_repro.study import records

NAMES = ["lrn", "train_step", "epoch", "augment", "jpeg", "ten_crop", "start_up"]


@pytest.mark.parametrize("name", [*NAMES, "breakdown", "changes", "growth", "input", "report"])
def test_records_are_from_a_clean_commit(name):
    git = performance.load(name)["provenance"]["git"]
    assert re.fullmatch(r"[0-9a-f]{40}", git["commit"])
    assert git["dirty"] is False


@pytest.mark.parametrize("name", NAMES)
def test_medians_and_words_follow_from_the_pairs(name):
    for row in performance.load(name)["rows"]:
        assert len(row["seconds"]) >= 7
        ratios = sorted(stock / ours for ours, stock in row["seconds"])
        assert row["median"] == pytest.approx(ratios[len(ratios) // 2])
        better = (lambda a, b: a <= b) if row["lower"] else (lambda a, b: a >= b)
        word = "missed"
        if better(row["median"], row["ship"]):
            word = "stretch" if better(row["median"], row["stretch"]) else "ship"
        assert row["word"] == word


def test_table_shows_every_row_and_the_machine():
    text = performance.ratios(NAMES).data
    rows = sum(len(performance.load(n)["rows"]) for n in NAMES)
    assert text.count("<tr>") == rows + 1
    assert "2 cores" in text
    for word, glyph in performance.GLYPHS.items():  # misses are printed as plainly as the rest
        with_it = [r for n in NAMES for r in performance.load(n)["rows"] if r["word"] == word]
        assert text.count(glyph) == len(with_it)


def test_summary_counts_and_names_the_misses():
    rows = [r for n in NAMES for r in performance.load(n)["rows"]]
    missed = [r for r in rows if r["word"] == "missed"]
    text = performance.summary(NAMES).data
    assert f"{len(rows) - len(missed)} of {len(rows)} goals of the table are met" in text
    assert text.count("<li>") == len(missed)


def test_shares_add_up_and_name_their_machine():
    shares, parts = performance.shares(), performance.breakdown()
    assert shares["% of the step"].sum() == pytest.approx(100)
    assert shares["ms"].sum() == pytest.approx(parts.iloc[:, 1:3].to_numpy().sum())
    convolutions = parts[parts["part"].str.startswith("conv")]
    found = shares.set_index("kind").loc["convolutions"]
    assert found["ms"] == pytest.approx(convolutions.iloc[:, 1:3].to_numpy().sum())
    assert found["floor, ms"] == pytest.approx(convolutions["floor, ms"].sum())
    for frame in (
        shares,
        parts,
        performance.growth(),
        performance.input_share(),
        performance.report(),
    ):
        assert "2 cores" in frame.attrs["origin"]


def test_what_the_goals_of_an_epoch_leave():
    table = performance.epoch_bound().set_index("goal")
    rows = {r["row"]: r for r in performance.load("epoch")["rows"]}
    assert list(table.index) == ["fp32, 2×", "bf16, 3×"]
    for goal, found in table.iterrows():
        precision, times = str(goal)[:4], int(str(goal)[-2])
        stock = sorted(pair[1] for pair in rows[f"epoch of 1024 images, {precision}"]["seconds"])
        assert found["allows"] == pytest.approx(1e3 * stock[3] / 8 / times)
        parts = performance.breakdown("18pct", precision).set_index("part")
        both = parts["forward, ms"] + parts["backward, ms"]
        own = both[[p for p in both.index if p[:4] in ("conv", "pool", "relu", "fc10")]].sum()
        assert found["torch's own layers"] == pytest.approx(own)
        assert found["left"] == pytest.approx(found["allows"] - own)
        assert found.iloc[-1] == pytest.approx(both.sum() - own)


def test_breakdown_in_milliseconds():
    parts = performance.breakdown().set_index("part")
    raw = json.loads((performance.FOLDER / "breakdown.json").read_text())["rows"]
    assert parts.loc["conv1", "forward, ms"] == pytest.approx(1e3 * raw[0]["forward"])
    assert {"conv1", "norm1", "fc8", "update", "input"} <= set(parts.index)
    assert "norm2" in set(performance.breakdown("18pct", "bf16")["part"])


def test_changes_follow_from_the_pairs():
    table = performance.changes().set_index("with (in place of it)")
    for row in performance.load("changes")["rows"]:
        ratios = sorted(other / ours for ours, other in row["seconds"])
        assert len(ratios) >= 7
        shown = table.loc[f"{row['change']} ({row['instead']})", row["net"]]
        assert shown.startswith(f"{ratios[len(ratios) // 2]:.2f} (")


CASE = {"precision": "bf16", "kind": "eager", "batch": 100, "images": 100}
ORIGIN = {
    "git": {"commit": "c" * 40, "dirty": False}, "start_utc": "2026-11-01T00:00:00+00:00",
    "device": "cuda", "accelerator": "some GPU", "cpu": "some CPU", "cores": 16, "threads": 16,
    "versions": {"torch": "2.11"},
}  # fmt: skip


def test_without_an_accelerator_the_page_says_so(tmp_path):
    assert "nothing on this page was measured on one" in accelerator_tables.section(tmp_path).data


def test_with_one_the_hours_the_limits_and_the_cost_of_the_norms_are_worked_out(tmp_path):
    limits = {"compute": 0.002, "memory": 0.006}
    rows = [
        {"what": "alexnet", **CASE, "seconds": [0.009, 0.01, 0.012], "floors": limits},
        {"what": "alexnet-no-norm", **CASE, "seconds": [0.008] * 3, "floors": limits},
        {"what": "18pct", **CASE, "seconds": [0.001] * 3},
    ]
    body = {"provenance": ORIGIN, "rows": rows}
    (tmp_path / "accelerator.json").write_text(json.dumps(body))
    found = accelerator_tables.frame(tmp_path)
    first = found.iloc[0]
    assert first["images/s"].startswith("10,000 (")
    assert first["hours"] == "3.2"  # 90 * 1,281,167 / 10,000 s
    assert (first["compute limit, %"], first["memory limit, %"]) == ("20", "60")
    assert first["bound by"] == "memory"
    assert "some GPU" in found.attrs["origin"]
    cost = accelerator_tables.norm_cost(tmp_path)
    assert cost["norms, % of the step"].tolist() == ["20.0"]
    text = accelerator_tables.section(tmp_path).data
    assert text.count("<table") == 2
    assert ">nan<" not in text


def test_input_and_builds_of_the_book_by_hand(tmp_path):
    origin = performance.load("input")["provenance"]
    inputs = [{"net": "x", "threads": 2, "images a second alone": 1234.4, "quartiles": [0.1, 0.3],
               "share of an epoch": 0.25, "shares": [0.1, 0.25, 0.3]}]  # fmt: skip
    took = {"cold": [31.0, 29.0, 30.0], "warm": [61.0], "half": [45.0]}
    builds = [{"what": w, "seconds": s, "ship": 60, "stretch": 30} for w, s in took.items()]
    for name, rows in (("input", inputs), ("report", builds)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": rows, "provenance": origin}))
    [row] = performance.input_share(tmp_path).to_numpy().tolist()
    assert row == ["x", 2, "1,234", "25.0 (10.0 to 30.0)", 3]
    found = performance.report(tmp_path)
    assert found["seconds"].tolist()[0] == "30.0 (29.0 to 31.0)"
    assert [r.split()[-1] for r in found["result"]] == ["stretch", "missed", "ship"]


def test_a_missing_record_names_the_command(tmp_path):
    with pytest.raises(records.RecordError, match="make it with `make bench`"):
        performance.load("lrn", tmp_path)


def _medians(name, chosen):
    rows = performance.load(name)["rows"]
    return [
        sorted(stock / ours for ours, stock in row["seconds"])[len(row["seconds"]) // 2]
        for row in rows
        if chosen(row)
    ]


def test_sentences_follow_from_the_pairs():
    said = performance_prose.sentences()
    native = _medians("lrn", lambda r: r["row"].endswith("native"))
    compiled = _medians(
        "lrn", lambda r: r["row"].endswith("compiled") and "torch.nn" in r["against"]
    )
    eager = _medians("lrn", lambda r: r["row"].endswith("eager"))
    assert said["lrn_native"] == f"{min(native):.1f} to {max(native):.1f}"
    assert said["lrn_compiled"] == f"{min(compiled):.1f} to {max(compiled):.1f}"
    every = [*native, *compiled, *eager]
    assert said["lrn_all"] == f"{min(every):.1f} to {max(every):.1f}"
    assert (
        said["compiled_step"]
        == f"{_medians('train_step', lambda r: 'eager' in r['against'])[0]:.2f}"
    )
    for net, key in (("18pct", "small"), ("alexnet", "full")):
        for change, name in (("bf16", "bf16"), ("update in one pass", "update")):
            (ratio,) = _medians(
                "changes", lambda r, n=net, c=change: (r["net"], r["change"]) == (n, c)
            )
            assert said[f"{name}_{key}"] == f"{ratio:.2f}"


def test_norms_in_native_code_are_said_to_earn_their_place_where_they_reach_the_goal():
    said = performance_prose.sentences()
    for net in ("mini-alexnet", "18pct", "alexnet"):
        (row,) = [r for r in performance.load("train_step")["rows"] if f"of {net}, " in r["row"]]
        place = "norms_earn" if row["median"] >= row["ship"] else "norms_not"
        assert f"{net} ({row['median']:.2f})" in said[place].split(", ")


def test_floors_and_parts_of_a_step():
    said = performance_prose.sentences()
    rows = performance.load("breakdown")["rows"]

    def total(net, precision, start, *times):
        mine = [r for r in rows if (r["net"], r["precision"]) == (net, precision)]
        return sum(r[t] for r in mine for t in times if r["part"].startswith(start))

    for start, key in (("conv", "conv_floor"), ("fc", "fc_floor")):
        both = total("alexnet", "fp32", start, "forward", "backward")
        assert said[key] == f"{both / total('alexnet', 'fp32', start, 'floor'):.2f}"
    for start in ("pool", "norm"):
        times = [1e3 * total("18pct", p, start, "forward", "backward") for p in ("fp32", "bf16")]
        assert said[start] == f"{times[0]:.1f} ms in 32-bit numbers and {times[1]:.1f}"


def test_powers_of_growth_are_those_of_the_size(tmp_path):
    rows = [
        {
            "what": f"LRN, {name} (x)",
            "x": x,
            "seconds": max(1e-3, scale * x**power),
            "memory": 2**20,
        }
        for name, power, scale in (("batch", 1, 1e-3), ("channels", 1.5, 1e-3), ("side", 2, 1e-4))
        for x in (1, 2, 4, 8, 16, 32)
    ]
    origin = performance.load("growth")["provenance"]
    (tmp_path / "growth.json").write_text(json.dumps({"provenance": origin, "rows": rows}))
    said = performance_prose._growth(tmp_path)
    powers = [said[f"power_{n}"] for n in ("batch", "channels", "side")]
    assert powers == ["1.0", "1.5", "2.0"]
    assert said["least"] == "1"
