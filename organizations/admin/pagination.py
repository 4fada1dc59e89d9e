from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator  # generic for the type checker only

COUNTED_UP_TO: Final = 10_000


class CappedPaginator(_Paginator):
    """Counts no further than 10,000 rows, so a list of millions costs as much as one of thousands.

    Nobody turns to page 400; who looks for something further back searches or filters.
    """

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED_UP_TO)

    @property
    def is_capped(self) -> bool:
        """Say whether there are more rows than `count`."""
        return self._counted > COUNTED_UP_TO

    @cached_property
    def _counted(self) -> int:
        """One row further than is said, to know whether there are more."""
        if not isinstance(self.object_list, QuerySet):
            return len(self.object_list)
        return self.object_list.order_by()[: COUNTED_UP_TO + 1].count()
