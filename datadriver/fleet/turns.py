"""Two engines at once on one fleet: before a job is handed out its instances are leased, and looked at once more."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from datadriver import failpoints
from datadriver.fleet.plan import Due
from datadriver.tracking import leases, queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key

_LOOK_SECONDS = 2.0
_UNITS = 16
"""Units that are leased together: another engine has the rest of the fleet to work on."""


class Turns:
    """What one batch works on, and what it leaves to others.

    Attributes:
        left: why an instance was left to another batch, by its key.
    """

    def __init__(self, ledger: Ledger, batch: str) -> None:
        self._ledger = ledger
        self._batch = batch
        self.left: dict[Key, str] = {}

    def of(self, units: Sequence[Sequence[Due]]) -> Iterator[list[Due]]:
        """Yield, unit by unit, the instances that are this batch's to do.

        Those that another batch holds come once more at the end: it may have been killed since. Whether a batch on
        another host was, as a container that ran out of memory, only its leases tell: they are not renewed.
        """
        held: list[list[Due]] = []
        yield from self._free(units, held)
        limit = time.monotonic() + leases.SECONDS + _LOOK_SECONDS
        while held:
            waiting, held = held, []
            yield from self._free(waiting, held)
            unknown = leases.out_of_sight(self._ledger, [one.key for unit in held for one in unit])
            held = [ours for unit in held if (ours := [one for one in unit if one.key in unknown])]
            if not held or time.monotonic() > limit:
                return
            time.sleep(_LOOK_SECONDS)

    def _free(self, units: Sequence[Sequence[Due]], held: list[list[Due]]) -> Iterator[list[Due]]:
        """Yield what of units is this batch's to do, and add what another one holds to `held`."""
        rest = iter(units)
        while group := list(islice(rest, _UNITS)):
            mine = self._take([one for unit in group for one in unit])
            for unit in group:
                if ours := [one for one in unit if one.key in mine]:
                    yield ours
                if others := [one for one in unit if one.key not in mine]:
                    held.append(others)

    def keep(self, keys: Collection[Key]) -> frozenset[Key]:
        """Return those that are this batch's still, which is asked before their results are recorded."""
        kept = leases.held(self._ledger, keys, self._batch)
        for key in set(keys) - kept:
            self.left[key] = "its lease ran out while this run stood still, and another one may have done it"
        return kept

    def done(self, keys: Collection[Key]) -> None:
        """Let go of instances whose outcome is recorded."""
        leases.release(self._ledger, self._batch, keys)

    def _take(self, wanted: Sequence[Due]) -> frozenset[Key]:
        keys = [one.key for one in wanted]
        granted = leases.take(self._ledger, keys, self._batch)
        failpoints.reach("leases-taken")
        # Only now: whoever held a lease until a moment ago may have done the job.
        last = queries.last_outcomes(self._ledger, fingerprinted=True, keys=granted)
        holders = leases.holders(self._ledger, [key for key in keys if key not in granted])
        mine = set()
        for one in wanted:
            newest = last.get(one.key)
            if one.key not in granted:
                self.left[one.key] = f"batch {holders.get(one.key, 'of another run')} is at work on it"
            elif newest is not None and newest != one.last:
                self.left[one.key] = f"batch {newest.batch} has just done it ({newest.state})"
            else:
                self.left.pop(one.key, None)
                mine.add(one.key)
        if over := granted - mine:
            self.done(over)
        return frozenset(mine)
