"""Starts a checkout's server with dynamic VRAM on, which it leaves off without a card.

Run by the checkout's own Python, in its folder, with main.py's options. Where the flag is on, comfy.ops leaves the
weights of linear layers None until they are loaded. That is all it does to a pack on a CPU: core's own models keep the
patcher that they have there, since the dynamic one needs a card.
"""

import main  # it reads the options and imports comfy, as when it is run itself

main.comfy.memory_management.aimdo_enabled = True  # before any pack is imported

if __name__ == "__main__":
    loop, _, start = main.start_comfyui()
    loop.run_until_complete(start())
