"""Files come whole or not at all."""

import os
import subprocess
import sys

import pytest
from tests.reliability.kills import leaves_nothing

from xenp2m import InputError
from xenp2m.cli import main
from xenp2m.cli.outfile import write_file, written


@pytest.fixture(autouse=True, params=["no name at first", "beside the target"])
def way(request, monkeypatch):
    """Both ways of writing: that of Linux, and that of where there are no files without a name."""
    if request.param == "beside the target":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return request.param


def test_nothing_is_replaced_by_accident(tmp_path):
    target = tmp_path / "map.svg"
    write_file(str(target), b"one")
    with pytest.raises(InputError, match="--force"):
        write_file(str(target), b"two")
    assert target.read_bytes() == b"one"
    write_file(str(target), b"two", force=True)
    assert target.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]


def test_a_file_may_be_read_as_any_other(tmp_path):
    (tmp_path / "other").touch()
    write_file(str(tmp_path / "new"), b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_what_replaces_a_private_file_is_private(tmp_path):
    target = tmp_path / "map"
    target.touch(mode=0o600)
    with written(str(target), force=True) as file:
        (new,) = {os.fstat(file.fileno()).st_mode & 0o777}
    assert (new, target.stat().st_mode & 0o777) == (0o600, 0o600)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "map", tmp_path / "link"
    link.symlink_to("far/map")
    if there:
        target.write_bytes(b"old")
    write_file(str(link), b"new", force=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "link", "map"]


_BLIND = """
import os, sys
os.chdir(sys.argv[1])
from xenp2m.cli.outfile import write_file
if not os.getuid():
    os.setgid(65534)
    os.setuid(65534)
write_file("map", b"new")
"""


def test_a_directory_that_may_not_be_listed(tmp_path):
    if not os.getuid():
        os.chown(tmp_path, 65534, 65534)
    tmp_path.chmod(0o300)
    subprocess.run([sys.executable, "-c", _BLIND, str(tmp_path)], check=True)
    tmp_path.chmod(0o700)
    assert (tmp_path / "map").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["", "missing/map.svg", "a\0b", "x" * 300])
def test_a_place_that_cannot_be_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        write_file(name, b"", force=True)
    assert not list(tmp_path.iterdir())


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(InputError, match="a directory"):
        write_file(str(tmp_path), b"", force=True)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "map.svg"
    target.write_bytes(b"old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        write_file(str(target), b"new", force=True)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]


@pytest.mark.parametrize("force", [False, True])
def test_a_file_has_no_name_before_it_is_whole(tmp_path, way, force):
    with written(str(tmp_path / "map"), force=force) as file:
        file.write(b"half")
        names = [path.name for path in tmp_path.iterdir()]
    assert "map" not in names
    if way == "no name at first" and leaves_nothing(tmp_path):
        assert names == []
    assert (tmp_path / "map").read_bytes() == b"half"
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_came_meanwhile_stays(tmp_path, force):
    target = tmp_path / "map"

    def late():
        with written(str(target), force=force) as file:
            file.write(b"ours")
            target.write_bytes(b"theirs")

    if force:
        late()
    else:
        with pytest.raises(InputError, match="--force"):
            late()
    assert target.read_bytes() == (b"ours" if force else b"theirs")
    assert [path.name for path in tmp_path.iterdir()] == ["map"]


def test_plot_from_the_command(tmp_path, capsys):
    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["plan", *map(str, words)])
        return stop.value.code, capsys.readouterr().err

    target = tmp_path / "map.png"
    assert run("--plot", target, "--picture", "e820") == (0, "")
    assert target.read_bytes().startswith(b"\x89PNG")
    status, err = run("--plot", target)
    assert (status, err.count("\n")) == (2, 1)
    assert "--force" in err
    assert run("--plot", target, "--picture", "extents", "--force") == (0, "")
    assert run("--plot", tmp_path / "map.gif")[0] == 2
