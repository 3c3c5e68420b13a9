"""Parts of networks: blocks, whole networks, losses, and the counting of their cost."""
