"""Who does what next: the frontier of trials, the driver's loop over ports, the client's core, the local runtime."""
