from __future__ import annotations

from tests.benchmarks.provider_loops import pairs


def test_both_of_a_pair_send_to_everybody() -> None:
    with pairs() as found:
        for _name, _share, bare, ours in found:
            assert (bare(30), ours(30)) == (30, 30)
