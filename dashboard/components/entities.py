"""The entities of one account: state, rows, age, and what the last runs did with each."""

from __future__ import annotations

from common.insights.entities import EntityRow
from common.rules.verdict import EntityHealth
from common.rules.wording import span
from dashboard.components.marks import chip, mark
from dashboard.components.tree import Node, el
from dashboard.format import NONE, rows

_ORDER = (EntityHealth.FAILED, EntityHealth.FORBIDDEN, EntityHealth.STALE, EntityHealth.PARTIAL)
_WORDS = {EntityHealth.NEVER: "not copied"}


def entities_tree(entities: tuple[EntityRow, ...], *, said_code: str | None = None) -> list[Node | None]:
    """The table, troubled entities first and otherwise in the vendor's order.

    ``said_code`` is what the verdict has named already: its effects are not explained once more in each row.
    """
    ordered = sorted(entities, key=lambda row: _ORDER.index(row.health) if row.health in _ORDER else len(_ORDER))
    head = el(
        "tr",
        el("th", "State", scope="col"),
        el("th", "Entity", scope="col"),
        el("th", "Rows", scope="col", cls="right"),
        el("th", "Age", scope="col", cls="right"),
        el("th", "Last runs", scope="col", cls="wide"),
    )
    body = [row for entity in ordered for row in _rows(entity, said_code)]
    return [el("div", el("h2", "Entities"), cls="top"), el("table", el("thead", head), el("tbody", *body))]


def _rows(entity: EntityRow, said_code: str | None) -> list[Node]:
    failed = entity.health in (EntityHealth.FAILED, EntityHealth.FORBIDDEN)
    troubled = failed and entity.error is not None and entity.error.code != said_code
    marks = (
        el("span", *(mark(one) for one in entity.marks), cls="marks") if entity.marks else el("span", NONE, cls="muted")
    )
    age = span(entity.age_seconds) if entity.age_seconds is not None else "never"
    line = el(
        "tr",
        el("td", chip(entity.health, _WORDS.get(entity.health))),
        el("th", entity.name, scope="row", cls="name"),
        el("td", rows(entity.rows), cls="right num"),
        el("td", age, cls="right num", title=f"Expected every {span(entity.expected_seconds)}"),
        el("td", marks, cls="wide"),
        key=entity.name,
        cls="open" if troubled else None,
    )
    if not troubled or entity.error is None:
        return [line]
    why = f"{entity.error.cause} {entity.error.remedy or ''}".strip()
    return [line, el("tr", el("td", why, colspan=5, cls="why"), key=f"{entity.name} why")]
