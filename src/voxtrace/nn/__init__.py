"""Parts that networks share: blocks, the U-Net, losses, and the counting of cost."""
