"""Sets Open WebUI's switches for the second factor, as its admin settings do.

Standard input: the keys and their values, as JSON. Open WebUI's interface changes them only for the
session of a person. As there, a change ends all sessions.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile

switches = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    # See defaults.py.
    os.environ |= {"ENABLE_DB_MIGRATIONS": "false", "STATIC_DIR": folder}
    import open_webui.config  # noqa: F401  configures Config
    from open_webui.internal.db import get_async_db
    from open_webui.models.auths import Auths
    from open_webui.models.config import Config
    from open_webui.utils.mfa import (
        MFA_CONFIG_KEYS,
        get_mfa_config,
        validate_mfa_configuration,
    )


async def set_switches() -> None:
    present = await get_mfa_config()
    fields = {field: switches[key] for field, key in MFA_CONFIG_KEYS.items() if key in switches}
    wanted = present.model_copy(update=fields)
    # Refuses, for example, if the factors that users have cannot be decrypted.
    await validate_mfa_configuration(wanted)
    async with get_async_db() as database:
        await Config.upsert(switches, db=database)
        if wanted != present:
            await Auths.revoke_all_sessions(db=database)
        await database.commit()


asyncio.run(set_switches())
