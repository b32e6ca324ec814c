"""How an agent (agent.py) shows where its worker hangs.

Laws
1. The agent's thread sends the signals, and goes on. The answer is awaited by the thread of who calls `show`.
2. It is over within two seconds: so long has the agent's thread to begin (SHOWN), and then the worker (asking.py).
3. It never raises: on some clusters a call that does is a lost agent.
"""

from __future__ import annotations

from concurrent.futures import Future

from procession.driver.agent_hand import Hand
from procession.driver.agent_loop import AgentLoop, answer
from procession.driver.agent_wire import Report
from procession.driver.asking import SHOWN, Asked, claimed, close


class Showing(AgentLoop):
    """The part of `Agent` for that."""

    _hand: Hand | None

    def show(self, wid: int) -> str:
        """Worker `wid`'s Python stacks, or why they cannot be had; empty if it is not there, or waits for work."""
        found: list[tuple[Hand, Asked]] = []
        claims = [None]

        def ask(done: Future[Report]) -> None:
            hand = self._hand
            if hand is not None and hand.wid == wid and not hand.ended:
                found.append((hand, hand.ask_for_stacks()))
                if not claimed(claims):
                    close([found.pop()[1]])
            answer(done, Report(0, []))

        try:
            try:
                self.ask_for(ask).result(SHOWN)
            except TimeoutError:
                if claimed(claims):
                    return "no stack: the thread of its agent hangs"
            return "".join(hand.stacks_of(asked, self.leave) for hand, asked in found)
        except Exception as error:
            return f"no stack: {type(error).__name__}: {error}"


__all__ = ["Showing"]
