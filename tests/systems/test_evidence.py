"""What is said of a system is what its experiment wrote: the page is printed, and nothing is held without a result."""

import json
import re
from pathlib import Path

from pixeldance.systems import PUBLISHED
from pixeldance.systems.evidence import RESULTS, evidence, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_one_that_the_command_prints() -> None:
    assert (ROOT / "docs" / "systems.md").read_text() == page(), "pixeldance systems --markdown > docs/systems.md"


def test_the_tutorial_s_file_is_the_one_that_is_there() -> None:
    (shown,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "new_system.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert shown == (ROOT / "pixeldance" / "systems" / "modelscope.py").read_text()


def test_every_result_is_of_a_system_and_of_a_file_that_is_there() -> None:
    files = sorted(RESULTS.glob("*.json"))
    assert files
    for file in files:
        found = json.loads(file.read_text())
        assert found["system"] == file.stem
        assert file.stem.partition(".")[0] in PUBLISHED
        assert (ROOT / found["command"].split()[1]).is_file()
        low, high = found["interval"]
        verdict = "held" if low > found["threshold"] else "failed" if high < found["threshold"] else "undecided"
        assert found["verdict"] == verdict


def test_without_a_result_nothing_is_claimed(tmp_path: Path) -> None:
    assert {evidence(name, tmp_path).verdict for name in PUBLISHED} == {"not yet run"}
    result = {
        "verdict": "failed",
        "claim": "It is better.",
        "measure": "error",
        "better": "less",
        "arms": {"ours": 2.0, "theirs": 1.0},
        "interval": [-1.2, -0.8],
        "difference": -1.0,
        "threshold": 0.1,
        "seeds": 3,
        "requests": 16,
        "command": "python x.py",
    }
    (tmp_path / "vdm.json").write_text(json.dumps(result))
    (tmp_path / "svd.rate.json").write_text(json.dumps(result | {"claim": "It obeys."}))
    text = page(tmp_path)
    assert "| [svd](#svd) | not yet run, failed |" in text
    assert "**Failed** It obeys." in text
    assert "**Failed** It is better." in text
    assert "ours 2, theirs 1: better by -100.0% [-120.0%, -80.0%], wanted more than 10%" in text
    assert text.count("not yet run") == len(PUBLISHED) - 1
