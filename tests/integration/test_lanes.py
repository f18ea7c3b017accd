"""One blocked provider stalls no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from aiohttp import web

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.experiment.spec import Model
from tests.integration.lab import prepared, rows_of

_ITEMS = 60
_REPLY = {
    "id": "x",
    "object": "chat.completion",
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1},
}


async def _run(folder: Path, clients: int) -> tuple[RunResult, int, int]:
    """A provider that answers nothing until the other has answered everything; what each was asked by then."""
    everything = asyncio.Event()
    asked = {"blocked": 0, "open": 0}

    async def answer(request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        await request.read()
        asked[provider] += 1
        if asked["open"] == _ITEMS:
            everything.set()
        if provider == "blocked":
            await everything.wait()
        return web.Response(body=msgspec.json.encode(_REPLY), content_type="application/json")

    app = web.Application()
    app.router.add_post("/{provider}/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    urls = {"small": f"{base}/blocked/v1", "medium": f"{base}/open/v1", "large": f"{base}/open/v1"}
    ready = prepared(
        folder,
        urls,
        conditions=[Model("small", name="blocked"), Model("medium", name="open")],
        hypotheses=[],
        sample_size=_ITEMS,
        max_retries=0,
    )
    try:
        result = await api.arun(
            ready,
            runtime="in-process",
            output_dir=folder,
            clients=clients,
            max_concurrent_queries=8 * clients,
        )
    finally:
        await runner.cleanup()
    return result, asked["blocked"], asked["open"]


def test_a_provider_that_answers_nothing_stalls_no_other(tmp_path: Path) -> None:
    """The blocked provider waits for the other's last request: were the lanes one queue, its trials would time out."""
    for clients in (1, 2):
        folder = tmp_path / str(clients)
        folder.mkdir()
        result, blocked, opened = asyncio.run(_run(folder, clients))
        assert (result.status, result.failed) == ("complete", 0)
        assert (blocked, opened) == (_ITEMS, _ITEMS)
        assert {row["error"] for row in rows_of(result.results_dir)} == {""}
