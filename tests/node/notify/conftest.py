"""Fixtures: certificates for the receivers."""

import pytest

from tests.certificates import Authority, Credentials


@pytest.fixture(scope="package")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Authority(tmp_path_factory.mktemp("authority")).issue("receiver")
