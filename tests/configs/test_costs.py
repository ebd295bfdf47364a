"""What the docs say that networks cost is what they cost."""

import re
from pathlib import Path

from fer_jax.config.files import load_config
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers

ROOT = Path(__file__).parents[2]


def test_the_table_of_networks_says_what_they_cost() -> None:
    page = (ROOT / "docs" / "results" / "accuracy.md").read_text()
    said = re.findall(r"^\| `configs/(\w+)\.py` \| .* \| ([\d,]+) \| ([\d,]+) \| [^|]+ \|$", page, flags=re.M)
    assert {"tiny", "best", "best100_plain"} <= {name for name, *_ in said}
    for name, *figures in said:
        config = load_config(ROOT / "configs" / f"{name}.py")
        layers = list_layers(make_model(config.model, config.device))
        parameters, macs = (sum(getattr(each, cost) for each in layers) for cost in ("parameters", "macs"))
        assert figures == [f"{parameters:,}", f"{macs / 1e6:,.0f}"], name
