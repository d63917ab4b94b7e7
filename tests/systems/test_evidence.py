"""What is said of a system is what its experiment wrote: the page is printed, and nothing is held without a result."""

import json
import re
from pathlib import Path

from pixeldance.reproduce.claims import CLAIMS
from pixeldance.systems import PUBLISHED
from pixeldance.systems.evidence import RESULTS, evidence, page, told

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
    results = tmp_path / "systems"
    results.mkdir()
    (results / "vdm.json").write_text(json.dumps(result))
    (results / "svd.rate.json").write_text(json.dumps(result | {"claim": "It obeys."}))
    text = page(results)
    assert "| [svd](#svd) | not yet run, failed |" in text
    assert "**Failed** It obeys." in text
    assert "**Failed** It is better." in text
    assert "ours 2, theirs 1: better by -100.0% [-120.0%, -80.0%], wanted more than 10%" in text
    assert f"**{len(CLAIMS)} not yet run**" in text
    assert len(re.findall(r"^\*\*Not yet run", text, re.MULTILINE)) == len(PUBLISHED) - 2


def test_pixeldances_claims_are_those_that_were_reproduced(tmp_path: Path) -> None:
    """Where both scales were run the larger one counts, and a run that has not ended says nothing."""
    (tmp_path / "claims").mkdir()
    verdicts = {"tau": None, "tau-quick": "held", "drop": "failed", "drop-quick": "undecided", "noise": None}
    for name, verdict in verdicts.items():
        (tmp_path / "claims" / f"{name}.json").write_text(json.dumps({"verdict": verdict}))
    results = tmp_path / "systems"
    assert told("pixeldance", results) == f"1 held, 1 failed, {len(CLAIMS) - 2} not yet run"
    text = page(results)
    assert re.search(r"^\| `tau` \| .* \| held \(quick\) \|$", text, re.MULTILINE)
    assert re.search(r"^\| `drop` \| .* \| failed \(toy\), undecided \(quick\) \|$", text, re.MULTILINE)
    assert re.search(r"^\| `noise` \| .* \| not yet run \|$", text, re.MULTILINE)
