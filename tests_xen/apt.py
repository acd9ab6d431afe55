"""Debian packages of any suite, downloaded and unpacked, never installed.

Each suite has an apt state of its own, with an empty dpkg status, so that neither this machine's
packages nor its package lists matter. The mirror and the keyring are those that the machine's own
apt configuration names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tests_xen.errors import LabError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Suite", "cache_dir", "install_tools", "only_run", "scratch_dir"]

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN_SUITES = {
    "bullseye", "bookworm", "trixie", "forky", "sid",
    "oldoldstable", "oldstable", "stable", "testing", "unstable",
}  # fmt: skip
_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "gcc": "gcc libc6-dev", "objdump": "binutils",
    "setpriv": "util-linux", "zstd": "zstd",
}  # fmt: skip
LISTS_LAST_SECONDS = 24 * 3600
_APT_SECONDS = 300
APT_CONF = """\
Dir::Etc::SourceList "{here}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{here}/state";
Dir::State::Lists "{here}/state/lists";
Dir::State::status "{here}/status";
Dir::Cache "{here}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
APT::Architecture "amd64";
APT::Sandbox::User "root";
Debug::NoLocking "true";
"""


def cache_dir() -> Path:
    """Where everything that is downloaded or built stays between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "xenp2m-xen"


def scratch_dir() -> Path:
    """Where a run keeps what nobody needs after it."""
    return cache_dir() / "scratch"


@contextlib.contextmanager
def only_run() -> Iterator[None]:
    """Keep a second run away, from the cache and from the processors, and clear up after a killed one.

    Raises:
        LabError: there is one already.
    """
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabError(f"another run is at work ({lock.name})") from error
        shutil.rmtree(scratch_dir(), ignore_errors=True)
        yield


def mirror() -> tuple[str, str]:
    """Address and keyring of the Debian mirror in this machine's apt configuration.

    Raises:
        LabError: there is none.
    """
    etc = Path("/etc/apt")
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.+)$", stanza, re.MULTILINE))
            suites = set(fields.get("Suites", "").split())
            if suites & DEBIAN_SUITES and "main" in fields.get("Components", "").split():
                return fields["URIs"].split()[0], fields.get("Signed-By", KEYRING)
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        text = path.read_text() if path.exists() else ""
        for options, uri, suite in re.findall(r"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s", text, re.MULTILINE):
            if suite in DEBIAN_SUITES:
                signed = re.search(r"signed-by=(\S+)", options)
                return uri, signed[1] if signed else KEYRING
    raise LabError("no Debian mirror in /etc/apt: Xen and Linux come from Debian packages")


def install_tools() -> None:
    """Install the programs that must run on this machine, where they are missing.

    Raises:
        LabError: they are missing and cannot be installed.
    """
    missing = _missing()
    if not missing:
        return
    packages = " ".join(missing).split()
    if os.geteuid() != 0:
        raise LabError(f"missing: apt-get install {' '.join(packages)}")
    patience = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        status, text = _tried(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *patience, *words])
    if status or _missing():
        reason = _reason(text) if status else "all is well, and yet something is not on PATH"
        raise LabError(f"apt-get install {' '.join(packages)}: {reason}")


def _missing() -> list[str]:
    """Packages of the programs that are not on PATH."""
    return [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]


def _tried(command: list[str], cwd: Path | None = None) -> tuple[int, str]:
    """Status and output, errors in its place where it fails; nothing of it is left running."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=_APT_SECONDS)
        except subprocess.TimeoutExpired:
            return 1, f"no answer from the mirror in {_APT_SECONDS} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors if process.returncode else output


def _reason(text: str) -> str:
    """The line that tells why apt failed: its last, where none names an address that was not to be had."""
    lines = text.strip().splitlines() or ["failed without a word"]
    return next((line for line in lines if "Failed to fetch" in line), lines[-1])


def _write_anew(path: Path, text: str) -> None:
    """Write a file unless it says so: apt reads everything again where one is newer than its cache."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


@dataclass(frozen=True)
class Suite:
    """One Debian suite.

    Attributes:
        name: its codename, such as ``trixie``.
    """

    name: str

    @cached_property
    def _conf(self) -> Path:
        """The apt configuration of this suite, with fresh lists behind it."""
        here = cache_dir() / "apt" / self.name
        conf, stamp = here / "apt.conf", here / "updated"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (here / part).mkdir(parents=True, exist_ok=True)
        uri, keyring = mirror()
        _write_anew(here / "sources.list", f"deb [signed-by={keyring}] {uri} {self.name} main\n")
        _write_anew(here / "status", "")
        _write_anew(conf, APT_CONF.format(here=here))
        if not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_LAST_SECONDS:
            words = ["apt-get", "-c", str(conf), "-o", "APT::Update::Error-Mode=any", "update", "-qq"]
            status, text = _tried(words)
            if not status:
                stamp.touch()
            elif not stamp.exists():
                raise UnavailableError(f"suite {self.name}: {_reason(text)}")
        return conf

    def _apt(self, tool: str, *words: str, cwd: Path | None = None) -> str:
        status, text = _tried([tool, "-c", str(self._conf), *words], cwd)
        if status:
            raise UnavailableError(f"suite {self.name}, {words[-1]}: {_reason(text)}")
        return text

    def show(self, package: str) -> dict[str, str]:
        """The fields of a package's newest version, ``Depends`` and ``Version`` among them."""
        text = self._apt("apt-cache", "show", "--no-all-versions", package)
        return dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.MULTILINE))

    def depends(self, package: str, pattern: str) -> list[str]:
        """Names among a package's direct dependencies that match `pattern` as a whole."""
        names = re.findall(r"(?:^|[,|])\s*([a-z0-9.+-]+)", self.show(package).get("Depends", ""))
        return [name for name in dict.fromkeys(names) if re.fullmatch(pattern, name)]

    def closure(self, *packages: str) -> list[Path]:
        """Directories of all packages that an empty system would install for `packages`."""
        text = self._apt("apt-get", "-s", "--no-install-recommends", "install", *packages)
        return self._directories(re.findall(r"^Inst (\S+) \((\S+) ", text, re.MULTILINE))

    def unpacked(self, package: str) -> Path:
        """The files of a package's newest version, in a directory of the cache."""
        version = self.show(package).get("Version")
        if version is None:
            raise UnavailableError(f"suite {self.name}: no package {package}")
        return self._directories([(package, version)])[0]

    def _directories(self, packages: list[tuple[str, str]]) -> list[Path]:
        """A directory for each name and version; those that are not there yet are downloaded in one go."""
        places = {
            name: cache_dir() / "packages" / f"{name}_{version.replace(':', '%')}"
            for name, version in packages
        }
        missing = {name: place for name, place in places.items() if not place.exists()}
        if missing:
            with tempfile.TemporaryDirectory(prefix="partial-", dir=cache_dir()) as partial:
                self._fetch(missing, Path(partial))
        return list(places.values())

    def _fetch(self, places: dict[str, Path], partial: Path) -> None:
        self._apt("apt-get", "download", "-qq", *places, cwd=partial)
        for name, place in places.items():
            try:
                (deb,) = partial.glob(f"{name}_*.deb")
                root = partial / name
                subprocess.run(["dpkg-deb", "-x", deb, root], check=True, capture_output=True)
            except (ValueError, subprocess.CalledProcessError) as error:
                raise UnavailableError(
                    f"package {name} of {self.name} cannot be unpacked: {error}"
                ) from error
            place.parent.mkdir(exist_ok=True)
            root.rename(place)
