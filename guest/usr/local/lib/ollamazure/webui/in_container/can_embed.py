"""Prints whether Open WebUI can embed documents with a model of its own image: true or false.

Standard input: the name of the model, as JSON. Open WebUI's interface accepts any model, and only
its log reports that it loaded none. The slim image has no library for it; and because the first
image fills the volume, a volume from another image may have no model.
"""

import importlib.util
import json
import os
import sys

try:
    from huggingface_hub import snapshot_download

    cache = os.getenv("SENTENCE_TRANSFORMERS_HOME")
    snapshot_download(json.load(sys.stdin), cache_dir=cache, local_files_only=True)
    can = importlib.util.find_spec("sentence_transformers") is not None
except (ImportError, OSError):
    can = False
print(json.dumps(can))
