"""Prints Open WebUI's default values of some settings, as a JSON object.

Standard input: the keys, as a JSON list. The values are those of this version with the environment
of this container. A new instance starts with them.
"""

import contextlib
import json
import os
import sys
import tempfile

keys = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    # This module writes to the database and to the files of the page when it is imported, unless
    # these variables say otherwise.
    os.environ |= {"ENABLE_DB_MIGRATIONS": "false", "STATIC_DIR": folder}
    from open_webui.config import DEFAULT_CONFIG
print(json.dumps({key: DEFAULT_CONFIG[key] for key in keys if key in DEFAULT_CONFIG}))
