"""What a file is that no reader of pictures takes, told by its first bytes: for the sentence that refuses it."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
SAVE_AGAIN = "save it again as PNG or JPEG"
SMALLER = "make it smaller first"
RAW = "it is a camera's raw picture", "develop it first, and save it as PNG or JPEG"
HEIC = "it is HEIC, as iPhones write it", f"pip install 'svd-nodes[heif]' here, or {SAVE_AGAIN}"
AVIF = "it is AVIF", f"install Pillow 11.3 or newer here, or {SAVE_AGAIN}"
FILM = "it is a film", "give a picture, such as one of its frames"
PAGE = "it is a web page", "download the picture itself"

KINDS: tuple[tuple[int, bytes, tuple[str, str]], ...] = (
    (0, b"\xff\x0a", ("it is JPEG XL", SAVE_AGAIN)),
    (4, b"JXL \r\n\x87\n", ("it is JPEG XL", SAVE_AGAIN)),
    (0, b"v/1\x01", ("it is OpenEXR", SAVE_AGAIN)),
    (0, b"#?RADIANCE", ("it is Radiance HDR", SAVE_AGAIN)),
    (0, b"%PDF", ("it is a PDF", SAVE_AGAIN)),
    (0, b"%!PS", ("it is PostScript", SAVE_AGAIN)),
    (0, b"<svg", ("it is a drawing, SVG", SAVE_AGAIN)),
    (0, b"<?xml", ("it is XML, such as a drawing, SVG", SAVE_AGAIN)),
    (0, b"<!doctype", PAGE),
    (0, b"<html", PAGE),
    (0, b"PK\x03\x04", ("it is a ZIP archive", "unpack it, and give a picture in it")),
    (0, b"\x1aE\xdf\xa3", FILM),
    (8, b"AVI ", FILM),
    (8, b"crx ", RAW),
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIRO", RAW),
    (0, b"IIU\0", RAW),
    *((8, brand, ("it is AVIF, but damaged", SAVE_AGAIN)) for brand in AVIF_BRANDS),
    (4, b"ftyp", FILM),  # the last: raw pictures come in such boxes too
)
"""(where, what stands there, what it is and what to do)"""


def is_heic(data: bytes) -> bool:
    """Whether this is HEIC, or HEIF of another codec but AVIF."""
    return any(brand in HEIF_BRANDS for brand in _brands(data)) and not is_avif(data)


def is_avif(data: bytes) -> bool:
    return any(brand in AVIF_BRANDS for brand in _brands(data))


def kind_and_remedy(data: bytes) -> tuple[str, str]:
    """What a file seems to be that is no picture to Pillow, and what to do."""
    if not data:
        return "it is empty", "save or copy it again"
    start = data[:64].lstrip().lower() if data[:64].lstrip().startswith(b"<") else data[:64]
    found = (sentence for at, mark, sentence in KINDS if start[at:].startswith(mark))
    return next(found, ("it is of no kind that is known here", SAVE_AGAIN))


def _brands(data: bytes) -> list[bytes]:
    """The main and the compatible brands of a file made of ISO boxes; of another file, none."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    return [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
