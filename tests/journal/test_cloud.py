"""What only an object store does: refusals, silence, an address that is none."""

from __future__ import annotations

import socket

import pytest

from crucible_ray.errors import SettingsError, StorageFailed
from crucible_ray.journal.cloud import ObjectLog
from crucible_ray.ports import AmbiguousWrite
from tests.journal.conftest import on_s3


def test_a_bucket_that_is_not_there_is_said_in_one_line(s3_url: str) -> None:
    log = on_s3(s3_url, bucket="nowhere")
    with pytest.raises(StorageFailed, match="s3://nowhere/x") as refused:
        log.create_now(1, b"x")
    assert "\n" not in str(refused.value)
    with pytest.raises(StorageFailed):
        log.numbers_now()
    with pytest.raises(StorageFailed):
        log.say_alive_now("x")


def test_a_server_that_does_not_answer_leaves_a_write_unclear(s3_url: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
        log = on_s3(f"http://127.0.0.1:{closed.getsockname()[1]}", retries=0)
        with pytest.raises(AmbiguousWrite):
            log.create_now(1, b"x")
        with pytest.raises(StorageFailed):
            log.read_now(1)
        with pytest.raises(StorageFailed):
            log.read_alive_now()


def test_an_address_that_is_no_store_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="nonsense://x"):
        ObjectLog("nonsense://x")
