"""As much of the editor's own modules as `nodes/host/comfyui.py` uses, so that it runs without a checkout.

It is put on the path of a process of its own (test_dynamic_vram.py). What matters here is true to the editor: how its
layers are built with dynamic VRAM, what its memory manager is asked, what a result shows of its weights.
"""
