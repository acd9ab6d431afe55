"""Many plans: a grid of hosts, `dom0_mem=` values, kernels and rules, worked off in chunks."""
