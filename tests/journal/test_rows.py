from __future__ import annotations

from msgspec.structs import fields

from crucible_ray.journal.rows import CALL_FIELDS, ROW_SCHEMA, RowBuffer, read_rows, rows_to_records
from crucible_ray.records import Call, Row
from tests.journal.making import call, row, table


def test_columns_stand_in_the_order_of_the_structs() -> None:
    assert [f.name for f in fields(Row)] == ROW_SCHEMA.names[:-1]
    assert [f.name for f in fields(Call)] == list(CALL_FIELDS)


def test_rows_come_back_as_they_went_with_calls_votes_and_nulls() -> None:
    rows = [
        row(7, calls=(call(), call(call=1, attempt=2, outcome="timeout", text=None, cost_usd=None))),
        row(3, votes={"b": 2, "a": 1}, consensus=2 / 3, calls=()),
        row(2**40, error="overloaded", prediction=None, correct=None, latency_us=None, cost_usd=None),
    ]
    assert list(rows_to_records(table(*rows))) == rows


def test_an_empty_buffer_takes_no_bytes_and_reads_as_no_rows() -> None:
    assert RowBuffer().take() == b""
    assert read_rows(b"").schema == ROW_SCHEMA


def test_a_buffer_is_empty_once_taken() -> None:
    buffer = RowBuffer()
    buffer.append(row(1))
    assert buffer.count == 1
    buffer.take()
    assert buffer.count == 0
    assert buffer.take() == b""


def test_a_prompt_travels_with_the_row_that_brings_it() -> None:
    made = table(row(0), row(1), prompts=[("p0", "text"), None])
    assert made["prompts"].to_pylist() == [[{"key": "p0", "text": "text"}], []]


def test_half_a_surrogate_pair_costs_a_character_and_no_row() -> None:
    (back,) = rows_to_records(table(row(0, prediction="a\ud800b", calls=(call(text="\udfff"),))))
    assert back.prediction == "a?b"
    assert back.calls[0].text == "?"
