"""What every test shares: which tests run together in one worker."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share something costly in one worker; let all others spread over the cores.

    Docker tests share one engine and its images, federation tests of a file share one federation.
    """
    for item in items:
        for shared in ("kubernetes", "docker"):
            if item.get_closest_marker(shared):
                item.add_marker(pytest.mark.xdist_group(shared))
                break
        else:
            if item.get_closest_marker("federation"):
                item.add_marker(pytest.mark.xdist_group(item.path.name))
