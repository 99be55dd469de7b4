"""Python's collector of cycles, in a process that makes millions of things and hardly any cycle."""

import gc


def collect_rarely() -> None:
    """Look for cycles more rarely from now on: what records and attempts leave behind dies by reference counts.

    It took 7 % of the processor time of a second pass, and 13 % of a sender's without signatures.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
