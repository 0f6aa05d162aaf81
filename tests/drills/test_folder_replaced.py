"""A data folder that is deleted under a live server, and made anew: the new one stays whole."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from entente.ledger.rollups.schema import USAGE_NAME
from tests.support.server import EntenteServer, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = """
[providers.fake]
kind = "scripted"
script = "script.toml"

[models."m"]
targets = [{ provider = "fake", model = "m" }]
price = { currency = "USD", per = "1M tokens", input = "1", output = "1" }
"""
SCRIPT: Final = (
    '[[replies]]\npieces = ["w"]\nusage = { prompt_tokens = 1, completion_tokens = 1 }\n'
)


def _server(folder: Path) -> EntenteServer:
    return EntenteServer(folder, CONFIG)


def _delete(server: EntenteServer) -> None:
    """Delete the folder of a live server, once it has opened all that it opens there."""
    wait_until((server.data_dir / USAGE_NAME).exists, "the sums of usage")
    # Under another name, where the server makes and deletes nothing meanwhile.
    shutil.rmtree(server.data_dir.rename(server.folder / "deleted"), ignore_errors=True)


def test_the_old_server_leaves_the_new_folder_alone(tmp_path: Path) -> None:
    """It stops orderly, and no checkpoint of its journal comes into the other one."""
    (tmp_path / "script.toml").write_text(SCRIPT, encoding="utf-8")
    with _server(tmp_path) as old:
        assert old.chat().status == 200
        _delete(old)
        with _server(tmp_path) as new:
            assert new.chat().status == 200
            assert new.chat().status == 200
            assert old.stop() == 0
            new.kill()
            new.start()
            assert new.chat().status == 200
            assert new.stop() == 0
            new.verify_at_rest()


def test_a_server_whose_folder_is_gone_stops_orderly(tmp_path: Path) -> None:
    """And makes no empty database in its place."""
    (tmp_path / "script.toml").write_text(SCRIPT, encoding="utf-8")
    with _server(tmp_path) as server:
        assert server.chat().status == 200
        _delete(server)
        server.data_dir.mkdir()
        assert server.stop() == 0
        assert not list(server.data_dir.iterdir())
