"""Several models in order: the next is asked when those before it are unavailable.

Unavailable is: out of credit or not served (gone), a breaker that is open, a time-out or an overload, or no budget left
while the next one costs nothing. A refusal of this one prompt, or nonsense, is no reason to ask another.
Every attempt is admitted, and paid, on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from hotshotd.brain.ports import AsyncText
from hotshotd.errors import BreakerOpen, InferenceGone, InferenceUnavailable, QuotaExceeded
from hotshotd.inference.base import Candidates, Prompt


class Chain:
    """Text models with one face. Raises what the last of them raised."""

    def __init__(self, models: Sequence[AsyncText]) -> None:
        """Take the models in their order; at least one."""
        self._models = tuple(models)
        self.name = self._models[0].name
        self.metered = any(model.metered for model in models)

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        """Give the candidates of the first model that has any."""
        for place, model in enumerate(self._models):
            rest = self._models[place + 1 :]
            try:
                return await model.generate(prompt, limit_seconds=limit_seconds)
            except (InferenceGone, InferenceUnavailable, BreakerOpen):
                if not rest:
                    raise
            except QuotaExceeded:
                # With the budget used up, a model that costs nothing is still there for us.
                if all(other.metered for other in rest):
                    raise
        raise AssertionError("a chain has at least one model")
