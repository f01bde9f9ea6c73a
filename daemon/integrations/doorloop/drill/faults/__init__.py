"""The drill's faults: the table an operator sees, the switchboard, and what each stage does."""
