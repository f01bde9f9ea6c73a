"""When the vendor says that little of its quota is left, the pace is stretched, as a pure rule.

Such headers are hints, not promises (rate-limit header fact sheet §3): they slow a run down and never end it. Only a
429 and our own budget do.
"""

from __future__ import annotations

LOW_SHARE = 0.1
LOW_WITHOUT_LIMIT = 2
GAP_WITHOUT_RESET_SECONDS = 1.0
LONGEST_GAP_SECONDS = 10.0


def gap_seconds(*, share_left: float | None, remaining: int | None, seconds_to_reset: float | None) -> float:
    """Seconds between two requests from now on; 0: as fast as the budget allows.

    From a tenth of the quota downwards what is left is spread over the time until it starts anew, at most ten seconds
    apart. Without a limit a tenth is not known: then the last two count as little. What is unknown slows nothing.
    """
    if share_left is not None:
        low = share_left <= LOW_SHARE
    else:
        low = remaining is not None and remaining <= LOW_WITHOUT_LIMIT
    if not low:
        return 0.0
    if seconds_to_reset is None:
        return GAP_WITHOUT_RESET_SECONDS
    return min(LONGEST_GAP_SECONDS, max(0.0, seconds_to_reset) / ((remaining or 0) + 1))
