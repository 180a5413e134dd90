"""What every implementation of the `Store` port must do; each one passes this class of tests."""

# ruff: noqa: D102 - a test's name is its sentence
from collections.abc import Callable, Iterator

import pytest

from node.errors import PermanentError
from node.ports import Store
from tests.node.store.suite.analysing import AnalysingLaws
from tests.node.store.suite.delivering import DeliveringLaws
from tests.node.store.suite.fetching import FetchingLaws
from tests.node.store.suite.receiving import ReceivingLaws
from tests.node.store.suite.studies import reported
from tests.node.store.suite.upkeep import UpkeepLaws

__all__ = ["StoreSuite"]


class StoreSuite(ReceivingLaws, AnalysingLaws, DeliveringLaws, UpkeepLaws, FetchingLaws):
    """All laws of the `Store` port. A subclass overrides `opening`."""

    @pytest.fixture
    def opening(self) -> Callable[[], Store]:
        """Return what opens one store, empty at first, as often as it is called."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, opening: Callable[[], Store]) -> Iterator[Store]:
        """Open the store for one test."""
        opened = opening()
        yield opened
        opened.close()

    def test_everything_is_there_after_the_store_is_opened_again(self, opening: Callable[[], Store]) -> None:
        first = opening()
        reported(first)
        before = (first.study("1.1"), first.history("1.1"), first.results("1.1"), first.deliveries("1.1"))
        first.close()
        second = opening()
        after = (second.study("1.1"), second.history("1.1"), second.results("1.1"), second.deliveries("1.1"))
        second.close()
        assert after == before

    def test_only_one_node_claims_a_store(self, opening: Callable[[], Store]) -> None:
        first, second = opening(), opening()
        first.claim()
        with pytest.raises(PermanentError, match="another node"):
            second.claim()
        first.close()
        second.claim()
        second.close()
