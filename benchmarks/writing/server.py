"""A server on loopback that plans and writes like `coa.testing.writers`, each reply after a set time.

python benchmarks/writing/server.py --latency 1 [--bias 1]    # prints its address
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial

from coa.testing import FaultServer
from coa.testing.writers import said


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--bias", type=float, default=1.0)
    options = parser.parse_args()
    async with FaultServer(partial(said, bias=options.bias), latency=options.latency) as server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
