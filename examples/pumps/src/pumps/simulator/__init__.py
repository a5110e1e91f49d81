"""A seeded fleet of electric submersible pumps, with the faults of real pumps and the dirt of real historians.

Read in the order of the flow: `plates` (what is installed), `operation` (what the operators do), `faults` (what
wears out), `physics` (what the sensors would read), `dirt` (what the historian makes of it), `tables` (what people
write down), `historian` (the export).
"""
