"""Where locks do not hold between machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atms_cli.system.filesystem import found_among, networked

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = [
    ("/", "ext4"),
    ("/home", "nfs4"),
    ("/home/ann/fast", "xfs"),
    ("/mnt", "ext4"),
    ("/mnt", "cifs"),
    ("/homeless", "nfs"),
]


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/srv/project", None),
        ("/home/ann/project", ("nfs4", "/home")),
        ("/home/ann/fast/project", None),
        ("/mnt/share", ("cifs", "/mnt")),
        ("/homely", None),
        ("/homeless", ("nfs", "/homeless")),
    ],
)
def test_the_nearest_mount_above_counts(directory: str, expected: tuple[str, str] | None) -> None:
    assert found_among(MOUNTS, directory) == expected


def test_a_machine_without_mounts_has_none() -> None:
    assert found_among([], "/srv") is None


def test_a_local_directory_is_no_network(tmp_path: Path) -> None:
    assert networked(str(tmp_path)) is None
