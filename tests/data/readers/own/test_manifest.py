import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fer_jax.data.readers.own import manifest
from fer_jax.data.readers.own.pictures import Labelled
from fer_jax.errors import ConfigError, DataError


def parse(text: str) -> tuple[list[Labelled], list[str]]:
    return manifest.parse(text.encode(), where="m.csv", folder="")


def to_parquet(table: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    table.to_parquet(content)
    return content.getvalue()


def test_rows_by_hand() -> None:
    rows, messages = parse(
        '\ufeffGroup, path ,label,split\r\nanna,"a, b.png",happy,train\r\n\r\n,c\\d.png,sad,VAL\r\n'
    )
    assert messages == []
    assert rows == [
        Labelled("a, b.png", "line 2, a, b.png", "happy", 0, "anna"),
        Labelled("c/d.png", "line 4, c/d.png", "sad", 1, ""),
    ]


def test_a_label_of_two_lines_is_a_label() -> None:
    rows, messages = parse('path,label\n1.png,"very\nhappy"\n1.png,sad\n')
    assert [each.label for each in rows] == ["very\nhappy"]
    assert "which line 3 has already, there labelled 'very" in messages[0]


def test_parquet_is_the_same_as_csv() -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": [3, 4], "group": ["x", None]})
    from_parquet, _ = manifest.parse(to_parquet(table), where="m.parquet", folder="in/")
    from_csv, _ = manifest.parse(table.to_csv(index=False).encode(), where="m.csv", folder="in/")
    assert [(each.name, each.label, each.group) for each in from_parquet] == [
        ("in/a.png", "3", "x"),
        ("in/b.png", "4", ""),
    ]
    assert [each.where for each in from_parquet] == ["row 1, a.png", "row 2, b.png"]
    assert [each.label for each in from_csv] == ["3", "4"]


def test_gaps_in_nullable_columns_of_parquet_and_values_that_are_no_text() -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["x", "y"], "group": ["g", None]})
    for group in (table["group"].astype("string"), pd.array([1, None], dtype="Float32")):
        content = to_parquet(table.assign(group=group))
        rows, _ = manifest.parse(content, where="m.parquet", folder="")
        assert [each.group for each in rows] == [str(group[0]).removesuffix(".0"), ""]
    for refused in (pd.Series([["g"], ["h"]]), pd.Series([b"g", b"h"])):
        with pytest.raises(
            DataError, match=r"m.parquet, row 1, column group: found a value of type .*; wanted"
        ):
            manifest.parse(to_parquet(table.assign(group=refused)), where="m.parquet", folder="")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../x.png,a,train,", "line 3: found the path '../x.png', which leaves the folder of the manifest"),
        ("/etc/x.png,a,train,", "line 3: found the path '/etc/x.png', which leaves"),
        ("C:\\x.png,a,train,", "line 3: found the path 'C:/x.png', which leaves"),
        ("a/../../x.png,a,train,", "which leaves the folder"),
        (",a,train,", "line 3: found no path"),
        ("x.png,a,dev,", "line 3: found the split 'dev'; wanted train, val or test"),
        ("x.png,a,,", "found the split ''"),
        (
            "x.png,a,test,anna",
            "line 3: found the group 'anna' in test, and line 2 has it in train; wanted a group in",
        ),
        (
            "./1.png,b,train,",
            "labelled 'b', which line 2 has already, there labelled 'a'; wanted each picture once",
        ),
        ("1.png,a,train,", "which line 2 has already, with the same label"),
        ('1.png,"very\nhappy",train,', "which line 2 has already, there labelled 'a'"),
        ("x.png,a,train", "line 3: found 3 fields in 'x.png,a,train'; wanted 4: path,label,split,group; put"),
        ("x.png,a,b,train,", "line 3: found 5 fields in 'x.png,a,b,train,'; wanted 4"),
    ],
)
def test_a_bad_row_has_a_message_with_its_line(row: str, message: str) -> None:
    rows, messages = parse(f"path,label,split,group\n1.png,a,train,anna\n{row}\n2.png,b,val,\n")
    assert [each.name for each in rows] == ["1.png", "2.png"]
    assert len(messages) == 1
    assert message in messages[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,labels\n", "m.csv, line 1: unknown column 'labels'; wanted path,label"),
        ("path,label,age\n", "unknown column 'age'"),
        ("path,split\n", "there is no column 'label'"),
        ("path,label,path\n", "the column 'path' is there 2 times"),
        ("path,label\n", "found no row"),
        ("path,label\na.png\n", "line 2: found 1 fields in 'a.png'; wanted 2: path,label"),
        ('path,label\n"a.png,b\n', "m.csv, line 2: unexpected end of data; save it"),
    ],
)
def test_a_bad_table_has_one_message(text: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        parse(text)
    assert message in str(raised.value)


def test_damaged_and_foreign_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    content = to_parquet(pd.DataFrame({"path": ["a.png"], "label": ["x"]}))
    with pytest.raises(DataError, match=r"m.parquet: it cannot be read as Parquet"):
        manifest.parse(content[:-20], where="m.parquet", folder="")
    foreign = to_parquet(pd.DataFrame({"emotion": [1], "pixels": ["0 0"]}))
    with pytest.raises(DataError, match="rows of pixels as Parquet; save them as CSV"):
        manifest.parse(foreign, where="m.parquet", folder="")

    def find_nothing(name: str) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    with pytest.raises(ConfigError, match=r"takes the package pyarrow.*pip install 'fer-jax\[parquet\]'"):
        manifest.parse(content, where="m.parquet", folder="")


def test_what_is_a_manifest(tmp_path: Path) -> None:
    found = {
        text: manifest.is_manifest(text.encode())
        for text in (
            "PAR1...",
            "path,label\n",
            "label, Path\n",
            "emotion,pixels\n",
            "path,pixels\n",
            "",
            "\ufeffpath",
        )
    }
    assert [*found.values()] == [True, True, True, False, False, False, True]
    assert manifest.read_start(tmp_path) == b""
