"""What `tests_xen` says and leaves behind when something that it needs is missing, hangs or dies."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_xen import apt, qemu
from tests_xen.errors import LabError, UnavailableError
from tests_xen.hosts import Host
from tests_xen.packages import Hypervisor, Kernel

TOP = Path(__file__).parent.parent
STUCK = "sleep 600 & echo $! > {place}/child\necho $$ > {place}/parent\n"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a shell script on PATH under a program's name, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def place(name, text):
        script = folder / name
        script.write_text("#!/bin/sh\n" + text.format(place=tmp_path))
        script.chmod(0o755)

    return place


def machine(place):
    (place / "xen").write_bytes(b"")
    (place / "vmlinuz").write_bytes(bytes(1024))
    return Host("one"), Hypervisor("4.17.5", place / "xen"), Kernel("6.1.0", place / "vmlinuz", place), {}


def assert_nothing_left(place):
    for name in ("parent", "child"):
        stat = Path(f"/proc/{int((place / name).read_text())}/stat")
        for _ in range(100):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if stat.read_text().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.05)
                    continue
            break
        else:
            pytest.fail(f"{name} still runs")


def test_a_boot_that_hangs_is_ended_and_says_where(program, tmp_path):
    program("qemu-system-x86_64", STUCK + "echo 'dom0 does nothing'\nwait\n")
    came = qemu.boot(*machine(tmp_path), limit=1.5)
    assert came.outcome == "no end"
    assert came.why_not.endswith("after: dom0 does nothing")
    assert_nothing_left(tmp_path)


def test_a_dom0_that_halts_does_not_keep_the_machine(program, tmp_path, monkeypatch):
    monkeypatch.setattr(qemu, "_GRACE_SECONDS", 0.1)
    program("qemu-system-x86_64", STUCK + "echo '(XEN) Dom0 halted: halting machine'\nwait\n")
    assert qemu.boot(*machine(tmp_path), limit=300).outcome == "dom0 halted"
    assert_nothing_left(tmp_path)


def test_an_emulator_that_refuses_is_quoted(program, tmp_path):
    program("qemu-system-x86_64", "echo 'qemu: cannot set up guest memory' >&2; exit 1\n")
    assert qemu.boot(*machine(tmp_path)).why_not.endswith("after: qemu: cannot set up guest memory")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_emulator_ends_with_whoever_started_it(program, tmp_path, number):
    program("qemu-system-x86_64", "echo $$ > {place}/child\necho $$ > {place}/parent\nexec sleep 600\n")
    text = f"""if True:
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path[:0] = [{str(TOP)!r}, {str(TOP / "tests")!r}]
        from pathlib import Path
        from tests_xen import qemu
        from test_boot_harness import machine
        qemu.boot(*machine(Path({str(tmp_path)!r})), limit=300)"""
    with subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.DEVNULL) as run:
        while not (tmp_path / "parent").exists() or not (tmp_path / "parent").read_text():
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(number)
    assert_nothing_left(tmp_path)


def test_what_is_missing_is_named_to_those_who_may_not_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"^missing: apt-get install qemu-system-x86 gcc libc6-dev .*zstd$"):
        apt.install_tools()


@pytest.mark.parametrize(
    ("status", "said"), [(0, "all is well, and yet"), (100, "E: Unable to locate package$")]
)
def test_an_installation_that_fails_is_one_line(program, monkeypatch, status, said):
    program("apt-get", f"echo 'W: one'; echo 'E: Unable to locate package' >&2; exit {status}\n")
    monkeypatch.setattr(apt, "_missing", lambda: ["qemu-system-x86"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LabError, match=f"^apt-get install qemu-system-x86: {said}"):
        apt.install_tools()


def test_a_mirror_that_does_not_answer_is_given_up(program, monkeypatch, tmp_path):
    program("apt-get", STUCK + "wait\n")
    monkeypatch.setattr(apt, "mirror", lambda: ("http://mirror.invalid/debian", apt.KEYRING))
    monkeypatch.setattr(apt, "_APT_SECONDS", 1)
    with pytest.raises(UnavailableError, match=r"^suite sid: no answer from the mirror in 1 seconds$"):
        apt.Suite("sid").show("bash")
    assert_nothing_left(tmp_path)


def test_an_address_that_is_not_to_be_had_is_named(program, monkeypatch):
    program("apt-get", "echo 'E: Failed to fetch http://a/b' >&2; echo 'E: Some index files' >&2; exit 100\n")
    monkeypatch.setattr(apt, "mirror", lambda: ("http://mirror.invalid/debian", apt.KEYRING))
    with pytest.raises(UnavailableError, match=r"^suite sid: E: Failed to fetch http://a/b$"):
        apt.Suite("sid").show("bash")


def test_a_package_that_is_not_there_is_named(program, monkeypatch):
    program("apt-get", "exit 0\n")
    program("apt-cache", "echo 'E: No packages found' >&2; exit 100\n")
    monkeypatch.setattr(apt, "mirror", lambda: ("http://mirror.invalid/debian", apt.KEYRING))
    with pytest.raises(UnavailableError, match=r"^suite sid, xen-system-amd64: E: No packages found$"):
        apt.Suite("sid").depends("xen-system-amd64", ".*")


def test_two_runs_do_not_share_a_cache_and_a_killed_one_leaves_nothing(program):
    (apt.scratch_dir() / "of a killed run").mkdir(parents=True)
    with apt.only_run():
        assert not apt.scratch_dir().exists()
        with pytest.raises(LabError, match="another run is at work"), apt.only_run():
            pass
