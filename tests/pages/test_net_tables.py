"""Tables of the nets, cell by cell where the paper prints what must stand there."""

import re

from alexnet_repro.pages import net_tables


def rows(page):
    """The cells of each row of a table's body, without tags other than <mark>."""
    body = page.data.partition("<tbody>")[2]
    return [
        [re.sub(r"<(?!/?mark)[^>]+>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_the_papers_layers():
    found = {row[0]: row[1:] for row in rows(net_tables.layers("alexnet"))}
    # §3.5: 96 kernels of 11x11x3 at a stride of four; 55 x 55 places
    assert found["conv1"] == ["96×55×55", "34,848", "96", "290,400", "105,415,200", "11", "4"]
    assert found["fc8"][:3] == ["1000", "4,096,000", "1,000"]
    assert found["pool5"][:3] == ["256×6×6", "", ""]


def test_paper_and_original_side_by_side():
    found = rows(net_tables.side_by_side("alexnet", "alexnet-original", "both"))
    left = [row[0] for row in found if row[0]]
    assert left[0] == "conv1 96 kernels of 11×11, stride 4"  # it reads all three colours
    assert "conv2 256 kernels of 5×5, stride 1, own column only" in left  # Fig. 2
    assert "conv3 384 kernels of 3×3, stride 1" in left  # reads both columns
    assert "fc6 4096 units" in left
    same = [row for row in found if row[0] == row[1]]
    assert same
    assert not any("<mark>" in a + b for a, b in same)
    # the original divides alpha by n and normalises within a column; pooling comes first there
    assert [b for _, b in found if "alpha / n" in b and "<mark>" in b]
    assert all("<mark>" in b for a, b in found if b and a != b)


def test_the_sizes_that_are_in_use():
    sizes = [row[2] for row in rows(net_tables.input_sizes())]
    # 224 with windows of 11 and stride 4: (224 - 11) / 4 = 53.25, so 55 rounded up and 54 down
    assert sizes == ["55", "54", "55", "55"]


def test_every_peers_line_gives_what_stands_beside_it():
    lines = dict(rows(net_tables.peers_lines()))
    assert len(lines) == 2 * (len(rows(net_tables.peers_table())) or 1)
    assert "61,100,840" in lines.values()  # torchvision's, as its documentation counts them


def test_the_nets():
    found = {row[0]: row[1:] for row in rows(net_tables.networks())}
    assert found["alexnet"][1:4] == ["224", "8", "60,965,224"]
    assert found["alexnet-six-conv"][2] == "9"
