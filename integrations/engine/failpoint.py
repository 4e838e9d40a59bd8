"""Named places where a fault test may end or delay this very process. In service they do nothing.

`WAYBILL_FAILPOINTS` holds comma-separated rules: `name=kill`, `name:3=kill` (the third time), `name=sleep:2` (seconds).
"""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    action: str
    turn: int = 1


def parse(text: str) -> dict[str, Rule]:
    """Read the rules. An unreadable one raises `ValueError`: a fault test that injects nothing would prove nothing."""
    rules = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        place, equals, action = part.partition("=")
        name, _, turn = place.partition(":")
        if not equals or not (action == "kill" or action.startswith("sleep:")):
            raise ValueError(f"“{part}” is no fail point: write name=kill, name:3=kill or name=sleep:2.")
        rules[name] = Rule(action, int(turn or 1))
    return rules


RULES = parse(os.environ.get("WAYBILL_FAILPOINTS", ""))
_seen: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Do what the rule for `name` says when its turn has come."""
    if not RULES or name not in RULES:
        return
    _seen[name] += 1
    rule = RULES[name]
    if rule.action == "kill":
        if _seen[name] == rule.turn:
            os.kill(os.getpid(), signal.SIGKILL)
    elif _seen[name] >= rule.turn:
        time.sleep(float(rule.action.removeprefix("sleep:")))
