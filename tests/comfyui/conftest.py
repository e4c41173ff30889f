"""The editors that the tests here run in: each test once in every checkout, all of one before the next."""

from pathlib import Path

import pytest
from comfyui.server import Checkout, checkouts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server and a browser take their time: none of it is among the quick tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", params=checkouts(), ids=lambda checkout: checkout.version)
def checkout(request: pytest.FixtureRequest) -> Checkout:
    """A checkout of the editor that can be run."""
    if reason := request.param.why_not:
        pytest.skip(reason)
    return request.param
