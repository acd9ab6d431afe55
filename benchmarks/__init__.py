"""Speed and memory, each figure beside a peer or a limit in the same run."""
