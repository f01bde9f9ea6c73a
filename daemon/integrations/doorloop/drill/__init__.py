"""A stand-in DoorLoop over real HTTP, for demo, tests, benchmarks and rehearsals (DoorLoop fact sheet §11).

`python -m daemon.integrations.doorloop.drill --help` starts one; `DrillServer` is the same in-process.
"""

from __future__ import annotations

from .catalogue.population import Mutation
from .catalogue.world import ENTITIES
from .faults.model import COMMON, Fault, Parameter
from .faults.table import FAULTS
from .limits import LimitSettings
from .options import DEFAULT_KEY, DrillOptions
from .server import DrillServer

__all__ = [
    "COMMON",
    "DEFAULT_KEY",
    "ENTITIES",
    "FAULTS",
    "DrillOptions",
    "DrillServer",
    "Fault",
    "LimitSettings",
    "Mutation",
    "Parameter",
]
