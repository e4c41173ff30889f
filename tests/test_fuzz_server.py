"""A few rounds of the fuzzer of servers; `python -m svd_nodes.tests.fuzz.server` has many."""

import pytest

from svd_nodes.tests.fuzz.server import rounds


@pytest.mark.slow
def test_a_server_that_lies(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "SVD_NODES_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert set(rounds(count=12, seed=0)) <= {0, 1, 2}
