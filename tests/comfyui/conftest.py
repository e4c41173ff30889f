"""The editors that the tests here run in: each test once in every checkout, all of one before the next."""

import pytest
from comfyui.server import Checkout, checkouts


@pytest.fixture(scope="session", params=checkouts(), ids=lambda checkout: checkout.version)
def checkout(request: pytest.FixtureRequest) -> Checkout:
    """A checkout of the editor that can be run."""
    if reason := request.param.why_not:
        pytest.skip(reason)
    return request.param
