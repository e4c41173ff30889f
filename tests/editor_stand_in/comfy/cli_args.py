class args:
    preview_method = None
    vram_headroom = 0
