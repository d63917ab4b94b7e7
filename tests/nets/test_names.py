"""Names by pattern: their own order, each once, and a pattern that fits nothing is told what is near."""

import pytest

from pixeldance.nets.names import matching, near

NAMES = ["net.middle.query", "net.middle.key", "net.up.0.query", "text.embedding"]


def test_names_that_fit_come_once_and_in_their_own_order() -> None:
    assert matching(NAMES, ["*.query", "net.*", "net.up.0.query"]) == NAMES[:3]
    assert matching(NAMES, ["*"]) == NAMES
    assert matching(iter(NAMES), ["net.*.?e*"]) == ["net.middle.key"]
    assert matching(NAMES, []) == []


def test_a_pattern_that_fits_nothing_is_told_what_is_near() -> None:
    with pytest.raises(ValueError, match=r"got 'text.embeding', which fits none of 4 names; near are text.embedding,"):
        matching(NAMES, ["net.*", "text.embeding"])
    with pytest.raises(ValueError, match=r"near are net\.(middle|up\.0)\.query, net\.(middle|up\.0)\.query, "):
        matching(NAMES, ["*.quary"])
    with pytest.raises(ValueError, match="fits none of 0 names; near are none"):
        matching([], ["*"])


def test_case_counts() -> None:
    with pytest.raises(ValueError, match="fits none"):
        matching(NAMES, ["NET.*"])
    assert near("net.up.0.Query", NAMES, most=1) == "net.up.0.query"
