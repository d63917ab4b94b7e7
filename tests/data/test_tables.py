import csv
import json
from pathlib import Path

import pytest

from pixeldance.data.source import Unreadable
from pixeldance.data.tables import Table

ROWS = [
    {"videoid": "1", "name": "plain"},
    {"videoid": "2", "name": 'with "quotes", a comma\nand a line break'},
    {"videoid": "3", "name": "ünïcode"},
]


def test_rows_of_a_csv_by_number(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["videoid", "name"])
        writer.writeheader()
        writer.writerows(ROWS)
        file.write("\n4,too,many\n")
    table = Table(tmp_path / "a.csv")
    assert len(table) == 4
    assert [table[i] for i in (2, 0, 1)] == [ROWS[2], ROWS[0], ROWS[1]]
    with pytest.raises(Unreadable, match="3 columns, the table 2"):
        table[3]


def test_rows_of_jsonl_and_json(tmp_path: Path) -> None:
    lines = [json.dumps(ROWS[0]), "", json.dumps(ROWS[1]), "[1]", "{"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    table = Table(tmp_path / "a.jsonl")
    assert len(table) == 4
    assert (table[1], table[0]) == (ROWS[1], ROWS[0])
    for number, reason in ((2, "no JSON object"), (3, "no JSON")):
        with pytest.raises(Unreadable, match=reason):
            table[number]
    (tmp_path / "a.json").write_text(json.dumps({"videos": ROWS}))
    assert list(Table(tmp_path / "a.json", rows="videos")) == ROWS


def test_several_rows_to_a_line(tmp_path: Path) -> None:
    lines = [{"v": 1, "clip": [{"c": 0}, {"c": 1}]}, {"v": 2, "clip": []}, {"v": 3, "clip": [{"c": 2}]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"v": 4}\n')
    table = Table(tmp_path / "a.jsonl", several="clip")
    assert len(table) == 4
    assert [(table[i]["v"], table[i]["c"]) for i in range(3)] == [(1, 0), (1, 1), (3, 2)]
    with pytest.raises(Unreadable, match="no list named 'clip'"):
        table[3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "it is empty"),
        ("a.tsv", "a\tb", "got the ending '.tsv'"),
        ("a.json", "{", "it is no JSON"),
        ("a.json", '{"a": 1}', "wanted a list of objects named 'rows'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        Table(tmp_path / name, rows="rows")
