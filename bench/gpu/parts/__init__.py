"""The parts of prove_gpu.py: each a module with a function of its name, which measures items by `Session.item`."""

#: In the order in which they run: what costs least and tells most comes first.
PARTS = ("facts", "tests", "decoders", "faults", "sweep", "side_by_side", "under_load", "stages", "mps", "memory")
