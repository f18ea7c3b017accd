"""The cores, alive on Ray: one file for each actor, each a thin shell. The only room that imports ray."""
