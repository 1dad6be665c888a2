"""Roles against machines as a bipartite graph: how many each role can have, and which machines, with no dead ends.

Theory
* Machines that roles can have together form a transversal matroid. Filling role after role along augmenting paths
  (Berge 1957) gives each as many as it can have beside those before it, and all together the most there can be.
* Those numbers stand from then on. A machine is settled in a role if all roles can still have their numbers round it,
  which one augmenting path shows. So the outcome depends on which settlements exist, never on the order in which the
  search happened to meet them.
* Machines of one role are alike to the other roles, so paths run over the few roles, not over their places.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from appliance.model.ids import MachineName
from appliance.roles.role import RoleName


class _Claim(NamedTuple):
    role: RoleName
    machine: MachineName


class Matching:
    """`edges`: which machines each role could have."""

    def __init__(self, edges: Mapping[RoleName, Iterable[MachineName]]) -> None:
        self._edges = {role: dict.fromkeys(machines) for role, machines in edges.items()}
        self._holder: dict[MachineName, RoleName] = {}
        self._settled: set[MachineName] = set()
        self._loose = Counter[RoleName]()

    def fill(self, role: RoleName, wanted: int) -> int:
        """How many of `wanted` the role gets; no other role gets fewer than before."""
        got = next((n for n in range(wanted) if not self._gain(role)), wanted)
        self._loose[role] += got
        return got

    def settle(self, role: RoleName, machine: MachineName) -> bool:
        """True: the role has the machine for good. False: some role would have one machine fewer for it."""
        if machine in self._settled or machine not in self._edges[role] or not self._loose[role]:
            return False
        loser = self._holder.get(machine)
        self._holder[machine] = role
        self._settled.add(machine)
        if not self._balance(role, loser):
            self._settled.remove(machine)
            self._holder[machine] = loser or role
            return False
        self._loose[role] -= 1
        return True

    def _balance(self, gainer: RoleName, loser: RoleName | None) -> bool:
        """`gainer` has one machine too many now, and `loser`, if any, one too few."""
        if loser == gainer:
            return True
        if loser is None:
            self._drop(gainer)
            return True
        return self._gain(loser, gainer)

    def _drop(self, role: RoleName) -> None:
        held = (m for m in self._edges[role] if self._holder.get(m) == role and m not in self._settled)
        del self._holder[next(held)]

    def _gain(self, role: RoleName, rich: RoleName | None = None) -> bool:
        """One machine more for `role`, from `rich` if there is one, which has to lose one."""
        claims: dict[RoleName, _Claim] = {}
        queue = deque([role])
        while queue:
            claimant = queue.popleft()
            for machine in self._edges[claimant]:
                holder = self._holder.get(machine)
                if machine in self._settled or holder == claimant:
                    continue
                if holder is None or holder == rich:
                    self._shift(_Claim(claimant, machine), claims)
                    if holder is None and rich is not None:
                        self._drop(rich)
                    return True
                if holder != role and holder not in claims:
                    claims[holder] = _Claim(claimant, machine)
                    queue.append(holder)
        return False

    def _shift(self, last: _Claim, claims: Mapping[RoleName, _Claim]) -> None:
        """Each role along the path takes the machine that it claimed of the next."""
        claim: _Claim | None = last
        while claim is not None:
            self._holder[claim.machine] = claim.role
            claim = claims.get(claim.role)
