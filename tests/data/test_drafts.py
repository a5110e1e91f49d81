"""Folders of what is being made: they go with their makers, however those end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from datadriver.data.drafts import draft_folder

_MAKER = """
import pathlib, sys
from datadriver.data.drafts import draft_folder
with draft_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_draft_lies_beside_its_place_and_goes_in_the_end(tmp_path):
    place = tmp_path / "reports" / "new"
    with draft_folder(place) as folder:
        assert folder.parent == place.parent
        assert not list(folder.iterdir())
        (folder / "page").touch()
    assert not list(place.parent.iterdir())


def test_the_draft_of_a_killed_maker_goes_when_the_next_one_is_made_and_that_of_a_living_one_stays(tmp_path):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", _MAKER, str(tmp_path / "report")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    folders = [os.fsdecode(maker.stdout.readline()).strip() for maker in makers]
    makers[0].kill()
    makers[0].wait()
    for folder in folders:
        os.utime(folder, (time.time() - 60,) * 2)
    try:
        with draft_folder(tmp_path / "report") as ours:
            assert {str(path) for path in tmp_path.iterdir()} == {folders[1], str(ours)}
    finally:
        for maker in makers:
            maker.communicate()
    assert not list(tmp_path.iterdir())
