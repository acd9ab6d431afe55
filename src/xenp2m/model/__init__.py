"""The P2M as the guest keeps it: the tree up to Linux 3.18, the linear list since 3.19."""
