"""What costs the objects have that are created several times for every record."""

import gc
from typing import TYPE_CHECKING

__all__ = ["collect_rarely", "value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen, slots, kw_only=False):  # noqa: ANN001, ANN201 - typed above
        """Make a dataclass for which only the type checker enforces `frozen`.

        At run time a frozen one takes four times as long to create: `object.__setattr__` sets each field.
        """
        return dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)


def collect_rarely() -> None:
    """Search for reference cycles more rarely from now on; all other objects are freed by their reference counts.

    With Python's defaults the search took 7 % of the processor time of a second execution over finished records, and
    13 % of that of a sender without signatures: a process creates millions of objects and hardly any reference cycle.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
