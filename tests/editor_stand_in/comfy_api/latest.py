"""The node API under the name that outlives the numbered ones: the pack's own stand-in for it, loaded by its path."""

import importlib.util
import sys
from pathlib import Path

_path = Path(__file__).resolve().parents[3] / "nodes" / "host" / "standalone_io.py"
_spec = importlib.util.spec_from_file_location("editor_io", _path)
io = sys.modules["editor_io"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(io)


class ComfyExtension: ...
