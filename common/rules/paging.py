"""Whether a list's pages make sense, and when the last one has come (DoorLoop fact sheet §5).

The vendor may clamp the page size, ignore paging, answer an empty page early or change its total in the middle.
Progress is derived from the rows that came, never from the rows asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import PagesUnreliable

ALL_BAD_FROM = 10
"""So many records of which none can be used are no mishap: a page of them, or several pages without any id."""
MOST_TIMES_EXPECTED, MOST_MORE, MOST_PAGES = 10, 100, 10_000
"""How far a list may go beyond the pages that its first total made expect: that may be too small, but not for ever.
One of no more than page 1 holds may count each page for itself, and says nothing of the list's length."""


@dataclass
class Paging:
    """What is known of a list while it is read. ``rows_per_page`` is what page 1 brought."""

    rows_per_page: int | None = None
    total: int | None = None
    first_total: int | None = None
    _fingerprints: dict[int, int] = field(default_factory=dict)
    _rows_without_id: int = 0
    """On the last pages, as far as they brought no id at all."""

    @property
    def pages_expected(self) -> int | None:
        """``ceil(total / rows of page 1)``; None while unknown."""
        return self._pages_for(self.total)

    def _pages_for(self, total: int | None) -> int | None:
        if total is None or self.rows_per_page is None:
            return None
        return max(1, -(-total // self.rows_per_page)) if self.rows_per_page else 1

    @property
    def ends_full(self) -> bool:
        """Whether the last page should be as long as page 1."""
        return bool(self.total and self.rows_per_page and self.total % self.rows_per_page == 0)

    def observe(self, number: int, ids: tuple[str, ...], rows: int, total: int | None) -> None:
        """Take a page in. Raises ``PagesUnreliable`` when it repeats an earlier one, is empty too early, lies far
        behind all that should come, or brings no id after others that brought none: nobody could tell such pages
        apart, and they might never end.
        """
        if total is not None:
            self.total = total
            self.first_total = total if self.first_total is None else self.first_total
        if self.rows_per_page is None:
            self.rows_per_page = rows
        told = self._pages_for(self.first_total)
        if told is not None and rows and number > (MOST_TIMES_EXPECTED * told + MOST_MORE if told > 1 else MOST_PAGES):
            raise PagesUnreliable("LIST_WITHOUT_END", page=number, pages=told)
        if rows == 0:
            # By the larger total: an error in place of a page may count nothing at all.
            most = max(self.total or 0, self.first_total or 0)
            expected = self._pages_for(most)
            if most and (number == 1 or (expected is not None and number < expected)):
                raise PagesUnreliable("EMPTY_PAGE_EARLY", page=number, pages=expected or number)
            return
        before, self._rows_without_id = self._rows_without_id, 0 if ids else self._rows_without_id + rows
        # Where all are on one page, that page's own records are put aside as what they are.
        if before and rows < ALL_BAD_FROM <= self._rows_without_id:
            raise PagesUnreliable("NO_NEW_IDS", page=number)
        if ids:
            # 64 bits per page, not per record: memory stays flat whatever the list's length.
            fingerprint = hash(frozenset(ids))
            if fingerprint in self._fingerprints and self._fingerprints[fingerprint] != number:
                raise PagesUnreliable("REPEATED_PAGE", page=number)
            self._fingerprints[fingerprint] = number

    def is_last(self, number: int, rows: int) -> bool:
        """Whether nothing follows page ``number``. A total that is smaller than the full pages that came is wrong."""
        full = self.rows_per_page or 1
        expected = self.pages_expected
        if self.total is not None and expected is not None:
            told_too_few = rows >= full and number * full > self.total
            return number >= expected and not told_too_few
        return rows < full
