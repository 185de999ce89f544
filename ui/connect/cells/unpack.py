# @title The engine, packed { display-mode: "form" }
import base64
import hashlib
import io
import sys
import tarfile
from pathlib import Path

HOME = Path.cwd() / "VisionFlux"
DATA = HOME / "data"
KEY = "%KEY%"  # of this engine; treat it like a password
SHA256 = "%SHA256%"
PACK = """
%PACK%
"""
pack = base64.b64decode(PACK)
if hashlib.sha256(pack).hexdigest() != SHA256:
    raise RuntimeError("This notebook is damaged. Download it again on the app's Connection page.")
SOURCE = HOME / f"source-{SHA256[:12]}"
with tarfile.open(fileobj=io.BytesIO(pack)) as archive:
    archive.extractall(SOURCE, filter="data")
for name in [name for name in sys.modules if name.partition(".")[0] == "engine"]:
    del sys.modules[name]  # of another download
sys.path.insert(0, str(SOURCE))
DATA.mkdir(parents=True, exist_ok=True)
print(f"VisionFlux %VERSION% is unpacked in {SOURCE}.")
