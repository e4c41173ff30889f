aimdo_enabled = False  # dynamic VRAM, which is on by default on an NVIDIA card
