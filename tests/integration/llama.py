"""llama.cpp's server over one model file, as a program: prints its address, serves until its stdin closes."""

from __future__ import annotations

import sys

from xllamacpp import CommonParams, Server


def main(model: str) -> None:
    """Serve on one thread at a free port."""
    params = CommonParams()
    params.model.path = model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_ctx, params.n_parallel, params.port = 2_048, 1, 0
    server = Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
