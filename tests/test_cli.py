"""The command as its user meets it: answers, errors in one line, exit statuses."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xenp2m.cli import VERBS, main

BOOTS = Path(__file__).parent / "boots"
Q35 = str(BOOTS / "q35-4g-1024_max1536" / "console.log.xz")
MAP = "0 9fc00 usable\nf0000 100000 reserved\n100000 80000000 usable\n"
ROW = {"nr_pages": 0x10000, "e820": [[0, 0x9FC00, 1], [0x100000, 1 << 31, "usable"]]}


@pytest.fixture
def xenp2m(capsys, monkeypatch):
    """Run the command in this process; returns status, output, error output."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", _Stdin(stdin))
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


class _Stdin:
    """Standard input with these bytes."""

    def __init__(self, data):
        import io

        self.buffer = io.BytesIO(data if isinstance(data, bytes) else data.encode())


def one_line(err):
    return err.startswith("xenp2m: ") and err.count("\n") == 1 and "Traceback" not in err


def test_help_names_every_verb(xenp2m):
    status, out, _ = xenp2m("--help")
    assert status == 0
    assert all(verb in out for verb in VERBS)
    assert all(len(line) <= 80 for line in out.splitlines())
    assert xenp2m()[0] == 2


def test_help_loads_neither_numpy_nor_click():
    probe = (
        "import sys\nfrom xenp2m.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n"
        "    sys.exit(bool({'numpy', 'click'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0


def test_version(xenp2m):
    assert xenp2m("--version") == (0, "xenp2m 0.1.0\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(xenp2m, verb):
    status, out, _ = xenp2m(verb, "--help")
    assert status == 0
    assert out.startswith(f"Usage: xenp2m {verb}")


def test_plan_without_input_shows_the_bundled_host(xenp2m):
    status, out, err = xenp2m("plan")
    assert (status, err) == (0, "")
    assert "Xen 4.17.7 · Linux 6.1.192 · PV dom0 · dom0_mem=1024M,max:1536M   from the\n  bundled host" in out
    assert "0x40000  - 0x40061      388 KiB  mfn       97 frames moved from 0x9f - 0x100" in out
    assert all(len(line) <= 90 for line in out.splitlines())


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_plan_fits_the_terminal(xenp2m, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = xenp2m("plan")
    assert max(map(len, out.splitlines()[1:])) <= max(columns, 88)


def test_plan_is_plain_when_piped(xenp2m):
    assert "\x1b" not in xenp2m("plan")[1]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_packed_input(xenp2m, tmp_path, pack):
    plain = lzma.decompress(Path(Q35).read_bytes())
    path = tmp_path / "console"
    path.write_bytes(pack(plain))
    assert json.loads(xenp2m("plan", "--json", path)[1])["remapped"] == 97


def test_standard_input_and_bare_maps(xenp2m):
    status, out, _ = xenp2m(
        "plan", "-", "--dom0-mem", "256M,max:512M", "--kernel", "6.1", "--json", stdin=MAP
    )
    answer = json.loads(out)
    assert status == 0
    assert answer["e820"][0] == [0, 0x9F000, 1]
    assert sum(end - start for start, end in answer["extra"]) == 256 << 20
    assert any("as the firmware gave it" in line for line in answer["assumed"])


def test_hypervisor_and_dom0_in_two_files(xenp2m, tmp_path):
    lines = lzma.decompress(Path(Q35).read_bytes()).decode("utf-8", "replace").splitlines()
    xen, linux = tmp_path / "xen.txt", tmp_path / "linux.txt"
    xen.write_text("\n".join(line for line in lines if line.startswith("(XEN)")))
    linux.write_text("\n".join(line for line in lines if line.startswith("[")))
    together, apart = (json.loads(xenp2m("plan", "--json", *files)[1]) for files in ([Q35], [xen, linux]))
    assert together["p2m"] == apart["p2m"]
    assert apart["kernel"] == "6.1.192"


def test_json_lines_answer_bad_rows_and_go_on(xenp2m):
    rows = [
        json.dumps(ROW | {"id": 1}),
        "{broken",
        json.dumps(ROW | {"id": 2, "colour": 3}),
        json.dumps(ROW | {"id": 4}),
    ]
    status, out, err = xenp2m("plan", "--json", "-", stdin="\n".join(rows))
    answers = [json.loads(line) for line in out.splitlines()]
    assert status == 2
    assert [answer["id"] for answer in answers] == [1, None, 2, 4]
    assert ["error" in answer for answer in answers] == [False, True, True, False]
    assert err == ""


def test_a_list_and_one_object(xenp2m):
    assert len(xenp2m("plan", "--json", "-", stdin=json.dumps([ROW, ROW]))[1].splitlines()) == 2
    status, out, _ = xenp2m("plan", "--json", "-", stdin=json.dumps(ROW, indent=1))
    assert (status, json.loads(out)["id"]) == (0, None)


def test_options_win_over_rows(xenp2m):
    _, out, _ = xenp2m(
        "plan",
        "--json",
        "-",
        "--kernel",
        "4.19.9",
        "--nr-pages",
        "64M",
        "--max-pages",
        "128M",
        stdin=json.dumps(ROW),
    )
    answer = json.loads(out)
    assert answer["kernel"] == "4.19.9"
    assert any(entry[2] == 5 for entry in answer["e820"])
    assert not {"kernel 7.3.4", "max_res unlimited"} & set(answer["assumed"])


def test_warnings_and_errors_set_the_status(xenp2m):
    boots = BOOTS / "grub-kernelhole-4g-1024" / "console.log.xz"
    status, out, _ = xenp2m("plan", boots)
    assert status == 1
    assert "outcome: HALTS" in out
    assert xenp2m("plan", "--mem", "1G")[0] == 1


def test_kernel_config(xenp2m, tmp_path):
    path = tmp_path / "config"
    path.write_text(
        "# Linux/x86 6.12.107 Kernel Configuration\nCONFIG_XEN_PV=y\n# CONFIG_XEN_MEMORY_HOTPLUG_LIMIT is not set\n"
    )
    answer = json.loads(xenp2m("plan", "--json", "--kernel-config", path)[1])
    assert answer["kernel"] == "6.12.107"
    assert answer["p2m_size"] == 0x80000
    assert not any("512 GiB" in line or "IBFT" in line for line in answer["assumed"])


BAD = {
    "empty": (b"", "an empty file"),
    "noise": (bytes(range(256)) * 64, "bytes that are no text"),
    "no map": (b"Nov 22 host kernel: nothing of interest\n", "no map"),
    "nested": (b'{"a":' * 100_000, "nested too deep"),
    "list nested": (b"[{" * 100_000, "JSON"),
    "digits": (b'{"nr_pages": ' + b"9" * 400 + b', "e820": [[0, 4096, 1]]}', "1329 bits"),
    "many digits": (b'{"nr_pages": ' + b"9" * 5000 + b"}", "JSON"),
    "wrap": (b"0 9fc00 usable\nffffffffffffff00 1ffffffffffffffff usable\n", "end 0x1ffffffffffffffff"),
    "wrap, inclusive": (b"BIOS-e820: [mem 0x0000000000001000-0xffffffffffffffff] usable\n", "end 0x10000000000000000"),
    "negative": (b'{"nr_pages": 9, "e820": [[4096, 0, 1]]}', "start <= end"),
    "float": (b'{"nr_pages": 9.5, "e820": [[0, 4096, 1]]}', "9.5"),
    "not an object": (b'[{"nr_pages": 7}]', "e820"),
    "gzip cut": (gzip.compress(MAP.encode())[:-9], None),
    "bomb": (lzma.compress(b"\0" * (80 << 20)), None),
    "elf": (b"\x7fELF" + bytes(200), "ELF"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "hint"), BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("verb", [("plan",), ("plan", "--json"), ("explain", "0x9f")])
def test_bad_input_gets_one_line_and_status_2(xenp2m, data, hint, verb):
    status, out, err = xenp2m(*verb, "-", stdin=data)
    assert status == 2
    said = out + err
    assert (hint or "") in said
    assert "expected" in said
    assert "--json" in verb or (one_line(err) and not out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kernel", "2.6.32"],
        ["--kernel", "new"],
        ["--dom0-mem", "lots"],
        ["--dom0-mem", "0512M,max:"],
        ["--nr-pages", "-5"],
        ["--nr-pages", "9" * 400],
        ["--max-pages", "some"],
        ["--variant", "leftover=purple"],
        ["--variant", "colour=red"],
        ["--initrd", "0x100"],
        ["--image", "0x200-0x100"],
        ["--hotplug-limit", "-1"],
        ["--kernel-config", "/nonexistent"],
        ["--nonsense"],
        ["/nonexistent"],
        ["/"],
    ],
)
def test_bad_arguments_get_one_line_and_status_2(xenp2m, arguments):
    status, out, err = xenp2m("plan", *arguments)
    assert (status, out) == (2, "")
    assert one_line(err)


def test_unknown_verb(xenp2m):
    status, _, err = xenp2m("plane")
    assert status == 2
    assert one_line(err)


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m xenp2m plan --verbose | head -1"
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--help",
        "--version",
        "plan",
        "plan --json",
        "explain",
        "sweep --dom0-mem 1G",
        "report -o -",
        "show --help",
    ],
)
def test_a_reader_that_was_never_there_is_no_error(words):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "xenp2m", *words.split()]
    run = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (run.returncode, run.stderr) == (0 if words else 2, "")


def test_output_that_cannot_be_written_is_one_line():
    for arguments in (["plan"], ["plan", "--json"], ["explain"], ["--help"], ["--version"]):
        with Path("/dev/full").open("wb") as full:
            command = [sys.executable, "-m", "xenp2m", *arguments]
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert run.returncode == 2
        assert one_line(run.stderr)


def test_bad_lines_first_do_not_hide_good_rows(xenp2m):
    status, out, _ = xenp2m("plan", "--json", "-", stdin="nonsense\n" + json.dumps(ROW | {"id": 2}))
    answers = [json.loads(line) for line in out.splitlines()]
    assert (status, [a["id"] for a in answers]) == (2, [None, 2])


def test_a_version_newer_than_the_newest_known_is_said(xenp2m):
    assert "Linux 99.1 boots as" in xenp2m("plan", "--kernel", "99.1")[1].replace("\n  ", "")
    row = {"kernel": "8.1", "in": ROW}
    assert any(
        "Linux 8.1 boots as" in line
        for line in json.loads(xenp2m("plan", "--json", "-", stdin=json.dumps(row))[1])["assumed"]
    )


@pytest.mark.parametrize(
    ("closed", "words", "status"),
    [
        ("<&-", "plan", 0),
        ("<&-", "plan -", 2),
        ("<&-", "show -", 2),
        ("<&-", "report -o -", 0),
        (">&-", "plan", 2),
        ("2>&-", "plan", 0),
        ("2>&-", "plan missing.log", 2),
    ],
)
def test_streams_that_are_closed(closed, words, status):
    run = subprocess.run(
        ["sh", "-c", f'"$0" -m xenp2m {words} {closed}', sys.executable], capture_output=True, check=False
    )
    assert run.returncode == status
    assert run.stderr.count(b"\n") == (status == 2 and "2>" not in closed)


def test_output_without_unicode():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    run = subprocess.run(
        [sys.executable, "-m", "xenp2m", "plan"], capture_output=True, env=environment, check=False
    )
    assert run.returncode == 0
    assert b"####" in run.stdout
    assert run.stdout.isascii()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("0x40010", "came from  PFN 0xaf"),
        ("pfn:0x9f", "went to    PFN 0x40000"),
        ("addr:0xfee00000", "host map   reserved 0xfee00000-0xfeefffff"),
        ("2364M", "PFN 0x93c00"),
        ("mfn:0x1700af", "PFN 0x40010"),
        ("0xfffffffff", "beyond the end of the P2M"),
        ("image-conflict", "conflicts with E820 map"),
    ],
)
def test_explain(xenp2m, what, expected):
    status, out, _ = xenp2m("explain", what)
    assert status == 0
    assert expected in out.replace("\n", " ").replace("  ", " ").replace("  ", " ") or expected in out


def test_explain_as_json(xenp2m):
    place = json.loads(xenp2m("explain", "0x40010", "--json")[1])
    assert (place["kind"], place["mfn"], place["moved_from"]) == ("mfn", 0x1700AF, 0xAF)
    assert json.loads(xenp2m("explain", "map-overflow", "--json")[1])["severity"] == "error"


@pytest.mark.parametrize("what", ["nothing", "mfn:0x5", "0x" + "f" * 16, "-1", "mfn:zz"])
def test_explain_refuses(xenp2m, what):
    status, out, err = xenp2m("explain", "--", what)
    assert (status, out) == (2, "")
    assert one_line(err)


def test_explain_lists_the_codes(xenp2m):
    status, out, _ = xenp2m("explain")
    assert status == 0
    assert "map-overflow" in out


def test_completion_offers_the_verbs():
    environment = os.environ | {
        "_XENP2M_COMPLETE": "bash_complete",
        "COMP_WORDS": "xenp2m pl",
        "COMP_CWORD": "1",
    }
    run = subprocess.run(
        [sys.executable, "-m", "xenp2m"], capture_output=True, text=True, env=environment, check=False
    )
    assert "plan" in run.stdout


@pytest.mark.parametrize("verbose", [[], ["--verbose"]])
def test_the_threads_host(xenp2m, tmp_path, verbose):
    path = tmp_path / "map"
    path.write_text(
        "0 9f000 usable\n100000 93c00000 usable\n93c00000 a2800000 reserved\nfec00000 fec01000 reserved\n"
    )
    asked = [
        "plan",
        path,
        "--kernel",
        "2.6.39",
        "--extra",
        "contiguous",
        "--dom0-mem",
        "1024M,max:2364M",
        *verbose,
    ]
    status, out, _ = xenp2m(*asked, "--rules", "seed")
    said = " ".join(out.split())
    assert status == 1
    assert "80,896 frames of extra memory are identity: PFNs 0x80000 - 0x93c00 (524288, 605184)" in said
    assert "BUG at PFN 0x80000, after 1,024.0 MiB" in said
    assert "begins inside the last GiB with identity in it, as in a map ending at 0xfec01000" in said
    status, out, _ = xenp2m(*asked)
    assert status == 0
    assert "identity-over-extra" not in out


def test_the_threads_premise_on_a_real_host(xenp2m):
    log = BOOTS / "pc2364-6g-1024_max2364" / "console.log.xz"
    status, out, _ = xenp2m("plan", log, "--kernel", "2.6.39", "--extra", "contiguous", "--json")
    codes = {finding["code"] for finding in json.loads(out)["findings"]}
    assert "identity-over-extra" not in codes
    status, out, _ = xenp2m(
        "plan", log, "--kernel", "2.6.39", "--extra", "contiguous", "--rules", "seed", "--json"
    )
    assert status == 1
    assert json.loads(out)["outcome"] == "crashes"
    assert json.loads(out)["verified"] is False
    assert (json.loads(out)["rules"], json.loads(out)["extra_memory"]) == ("seed", "contiguous")


@pytest.mark.parametrize(
    ("module", "package"), [("numpy", "python3-numpy"), ("elftools", "python3-pyelftools")]
)
def test_a_missing_library_is_one_line(tmp_path, module, package):
    core = tmp_path / "a.core"
    core.write_bytes(lzma.decompress((Path(__file__).parent / "cores" / "tiny64-both.core.xz").read_bytes()))
    code = f"import sys; sys.modules[{module!r}] = None; from xenp2m.cli import main; main(['show', {str(core)!r}])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert package in run.stderr


def test_bash_completes_verbs_options_and_files(tmp_path):
    command = tmp_path / "xenp2m"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m xenp2m "$@"\n')
    command.chmod(0o755)
    (tmp_path / "console.log").touch()
    script = (
        'eval "$(_XENP2M_COMPLETE=bash_source xenp2m)"; '
        'complete -p xenp2m; function=$(complete -p xenp2m | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); '
        'for line in "xenp2m dom" "xenp2m plan --dom"; do '
        "COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); "
        '$function xenp2m; echo "$line: ${COMPREPLY[*]}"; done'
    )
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    assert "xenp2m dom: dom0-mem\n" in run.stdout
    assert "xenp2m plan --dom: --dom0-mem" in run.stdout
    assert not run.stderr


def test_an_interruption_while_modules_load_is_one_line(xenp2m, monkeypatch):
    def run(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("xenp2m.cli.app.run", run)
    assert xenp2m("plan") == (2, "", "xenp2m: interrupted\n")
