"""`pace: even`: how much of a day's budget may be used by now, so that something is left for the evening. Pure.

What the bot does of itself (posts, answers to people who did not speak to it) keeps to two thirds of the budget,
spread over the day with a head start of four hours. Answers to people who spoke to it may use all of it, a quarter
at once and the rest with the hours. `greedy` knows no such limit.
"""

from __future__ import annotations

#: The part of a budget that is for what the bot does of itself, and its head start in days.
OWN_PART, OWN_HEAD_START = 2 / 3, 4 / 24
#: The part of a budget that people who speak to the bot may use at any hour.
PEOPLE_HEAD_START = 1 / 4


def compute_allowance(budget: int, *, gone: float, addressed: bool) -> int:
    """Give the characters that may be used of `budget` when `gone` (0 to 1) of the day is over."""
    gone = min(1.0, max(0.0, gone))
    if addressed:
        return int(budget * (PEOPLE_HEAD_START + (1 - PEOPLE_HEAD_START) * gone))
    return int(budget * OWN_PART * min(1.0, gone + OWN_HEAD_START))


def compute_opening(used: int, cost: int, budget: int, *, addressed: bool) -> float:
    """Give the part of the day after which `cost` more may be used; more than 1 when not on this day."""
    need = (used + cost) / budget if budget else 2.0
    if addressed:
        return (need - PEOPLE_HEAD_START) / (1 - PEOPLE_HEAD_START)
    return need / OWN_PART - OWN_HEAD_START if need <= OWN_PART else 2.0
