"""`edgewise bench`: speed of layers and networks on this machine, into benchmarks/results/ and docs/kernels.md."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from studies.speed import layers, page
from studies.timing import RESULTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("what", nargs="?", default="layers", choices=["layers"])
    parser.add_argument("--out", type=Path, default=RESULTS / "layers.json")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--quick", action="store_true", help="no growth curve and no memory")
    parser.add_argument(
        "--docs", type=Path, default=Path("docs/kernels.md"), help="the page to update, where it exists"
    )
    parser.add_argument("--redraw", action="store_true", help="measure nothing: table and plot from the JSON file")
    args = parser.parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    full = not args.quick
    if not args.redraw:
        layers.run(args.out, with_peers=not args.no_peers, rounds=args.rounds, growth=full, memory=full)
    if args.docs.exists():
        page.update(args.out, args.docs)


if __name__ == "__main__":
    main()
