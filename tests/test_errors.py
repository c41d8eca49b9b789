"""What is said after a name that is none."""

import pytest

from alexnet_repro.errors import nearest


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("momentun", "did you mean 'momentum'?"),
        ("bacth", "did you mean 'batch'?"),
        ("zzz", "there are batch, momentum"),
    ],
)
def test_the_nearest_name_or_all(name, said):
    assert nearest(name, {"batch": 1, "momentum": 2}) == said
    assert nearest(name, iter(["batch", "momentum"])) == said  # read once
