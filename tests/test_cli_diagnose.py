import json
import os
import stat

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from consoles import BOOTS, HALTED, Q35, SEVEN, console, split
from xenp2m.cli.app import run

TOP = BOOTS.parent.parent
MEM = BOOTS / "mem-800M-1024_max1536" / "console.log.xz"


def validator(name):
    folder = TOP / "docs" / "schema"
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    names = [path.name for path in folder.glob("*.json")]
    registry = Registry().with_resources(
        (name, Resource.from_contents(schema)) for name, schema in zip(names, found, strict=True)
    )
    schema = json.loads((folder / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=registry)


def asked(capsys, *words):
    status = run([str(word) for word in words])
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.parametrize(("host", "status"), [(Q35, 0), (SEVEN, 0), (HALTED, 1), (MEM.parent.name, 1)])
def test_status_and_schema(capsys, host, status):
    code, out, err = asked(capsys, "diagnose", BOOTS / host / "console.log.xz", "--json")
    assert (code, err) == (status, "")
    validator("diagnosis.schema.json").validate(json.loads(out))


def test_text_fits_the_terminal(capsys):
    for host in (Q35, HALTED, MEM.parent.name):
        _, out, _ = asked(capsys, "diagnose", os.path.relpath(BOOTS / host / "console.log.xz", TOP))
        assert max(len(line) for line in out.splitlines()) <= 80


def test_two_files_in_any_order(capsys, tmp_path):
    xen, kernel = split(console(Q35))
    first, second = tmp_path / "xl-dmesg.txt", tmp_path / "dmesg.txt"
    first.write_text(xen)
    second.write_text(kernel)
    answers = []
    for order in ((first, second), (second, first)):
        code, out, _ = asked(capsys, "diagnose", *order, "--json")
        assert code == 0
        answers.append(json.loads(out))
    assert answers[0]["checks"] == answers[1]["checks"]
    _, out, _ = asked(capsys, "diagnose", first, second)
    assert "dmesg.txt:" in out


def test_several_boots_in_a_file(capsys, tmp_path):
    path = tmp_path / "both.log"
    path.write_text(console(HALTED) + "\n" + console(Q35))
    code, out, _ = asked(capsys, "diagnose", path)
    assert code == 0
    assert "other boots: boot 1" in out
    assert "ends before its time" in out
    code, out, _ = asked(capsys, "diagnose", path, "--boot", "1")
    assert code == 1
    assert "image-conflict" in out
    code, _, err = asked(capsys, "diagnose", path, "--boot", "3")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("text", ["", "hello\nworld\n", "\0\0\0", "x" * 100_000])
def test_what_is_no_log_is_refused_in_one_line(capsys, tmp_path, text):
    path = tmp_path / "log"
    path.write_text(text)
    code, out, err = asked(capsys, "diagnose", path)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_bytes_replaced_anywhere(capsys, tmp_path):
    text = console(Q35)
    path = tmp_path / "log"
    for step in range(7, 60, 9):
        path.write_text("".join("?" if not n % (step * 11) and c != "\n" else c for n, c in enumerate(text)))
        code, _, err = asked(capsys, "diagnose", path)
        assert code in (0, 1, 2)
        assert err.count("\n") == (code == 2)


SECRETS = ("alicebox", "alice", "00:16:3e:aa:bb:cc", "192.168.7.9", "1234abcd-12ab-34cd-56ef-1234567890ab", "hunter2",
           "cryptroot", "fe80::216:3eff:feaa:bbcc", "SN99887766")  # fmt: skip


def with_names():
    words = (
        f"Command line: console=hvc0 mem=800M root=UUID={SECRETS[4]} rd.luks.name={SECRETS[6]}"
        f" ip={SECRETS[3]} password={SECRETS[5]}"
    )
    xen, kernel = split(console(MEM.parent.name))
    kernel = kernel.replace("Command line: console=hvc0 earlyprintk=xen ignore_loglevel mem=800M", words)
    lines = [f"Nov 22 18:00:01 alicebox kernel: {line}" for line in kernel.splitlines()]
    more = [
        f"Nov 22 18:00:02 alicebox kernel: [    3.0] WARNING: CPU: 0 PID: 1 at /home/alice/x.c:1 f+0x1/0x2 {text}"
        for text in (
            f"mac {SECRETS[2]} serial: {SECRETS[8]}",
            f"peer {SECRETS[3]} {SECRETS[7]} alice@alicebox",
        )
    ]
    return xen + "\n".join([*lines, *more]) + "\n"


@pytest.mark.parametrize("form", [(), ("--json",), ("--verbose",)])
def test_nothing_that_names_anybody_is_left(capsys, tmp_path, form):
    folder = tmp_path / "alice"
    folder.mkdir()
    path = folder / "alicebox.log"
    path.write_text(with_names())
    _, plainly, _ = asked(capsys, "diagnose", path, *form)
    assert "alice" in plainly
    code, out, err = asked(capsys, "diagnose", path, "--redact", *form)
    assert code == 1
    for secret in SECRETS:
        assert secret not in out + err
    numbers = {"262144", "0x40000", "mem-below-allocation", "dom0_mem=1024M,max:1536M", "0x32000"}
    joined = " ".join(out.split())
    assert all(number in joined for number in numbers)


def test_errors_are_redacted_as_well(capsys, tmp_path):
    path = tmp_path / "alicebox.log"
    path.write_text("nothing\n")
    _, _, err = asked(capsys, "diagnose", path, "--redact")
    assert "alicebox" not in err
    _, _, err = asked(capsys, "diagnose", tmp_path / "alice-is-not-here", "--redact")
    assert "alice" not in err
    _, _, err = asked(capsys, "diagnose", tmp_path / "alice-is-not-here")
    assert "alice" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything: run the tests as a user")
def test_a_file_that_cannot_be_read(capsys, tmp_path):
    path = tmp_path / "log"
    path.write_text(console(Q35))
    path.chmod(stat.S_IWUSR)
    code, _, err = asked(capsys, "diagnose", path)
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("words", [("plan",), ("plan", "--json"), ("explain", "0x100"), ("bars",)])
def test_other_verbs_redact_as_well(capsys, tmp_path, words):
    folder = tmp_path / "alice smith"
    folder.mkdir()
    path = folder / "alicebox.log"
    path.write_text(with_names() + "[ 4.1] pci 0000:00:01.0: BAR 0 [mem 0xfd000000-0xfdffffff pref]\n")
    given = ("--host", path, "--guest", path, "--memory", "1G") if words == ("bars",) else (path,)
    for redact in ((), ("--redact",)):
        code, out, err = asked(capsys, *words, *given, *redact)
        assert code in (0, 1)
        assert err == ""
    assert all(secret not in out for secret in SECRETS)
    (folder / "alicebox.none").write_text("")
    _, _, err = asked(capsys, *words[:1], "--redact", *(("0x1",) if words[0] == "explain" else ()),
                      *(("--host", folder / "alicebox.none", "--guest", folder / "alicebox.none")
                        if words == ("bars",) else (folder / "alicebox.none",)))  # fmt: skip
    assert err
    assert "alice" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", "--dom0-mem", "512M..1G:256M", "-v"),
        ("sweep", "--dom0-mem", "512M..1G:256M", "--json"),
        ("sweep", "--dom0-mem", "512M..1G:256M", "-o", "-"),
        ("sweep", "--dom0-mem", "512M..1G:256M", "--find"),
        ("report", "-o", "-"),
    ],
)
def test_files_of_a_fleet_and_of_a_report_are_not_named(capsys, tmp_path, words):
    folder = tmp_path / "alice"
    folder.mkdir()
    (folder / "alicebox.log").write_text(with_names())
    (folder / "alicebox2.log").write_text("of alicebox at 192.168.7.9: nothing\n")
    given = folder / "alicebox.log" if words[0] == "report" else folder
    _, plainly, _ = asked(capsys, *words, given)
    assert "alice" in plainly
    code, out, err = asked(capsys, *words, given, "--redact")
    assert code in (0, 1)
    assert all(secret not in out + err for secret in SECRETS)
    assert "[file" in out
    assert "mem-below-allocation" in out


def test_errors_name_one_thing_expected_and_one_got(capsys, tmp_path):
    path = tmp_path / "log.txt"
    lines = console(Q35).split("\n")
    linux = next(n for n, line in enumerate(lines) if "Linux version" in line)
    for text in (
        "nothing\n",
        "\n".join(lines[:20]) + "\n",
        "\n".join(lines[linux : linux + 8]) + "\n",
        "(XEN) Xen-e820 RAM map:\n(XEN)  [0000000000100000, 0000000000000fff] (usable)\n",
    ):
        path.write_text(text)
        for verb in ("diagnose", "plan"):
            code, out, err = asked(capsys, verb, path)
            assert code in (0, 2)
            assert (err.count("expected"), err.count(", got ")) == ((1, 1) if code else (0, 0))
            assert out.count("expected") <= 1


def test_a_map_that_makes_no_sense_is_not_added_up(capsys, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(
        "(XEN) Xen version 4.17.1 (x)\n(XEN) Xen-e820 RAM map:\n"
        "(XEN)  [0000000000100000, 0000000000000fff] (usable)\n(XEN) System\n[    0.0] Linux version 6.1.0\n"
    )
    _, out, _ = asked(capsys, "diagnose", path)
    assert "installed RAM" not in out


def test_bars_of_one_device(capsys):
    given = (
        "--host",
        BOOTS / Q35 / "console.log.xz",
        "--guest",
        BOOTS / Q35 / "console.log.xz",
        "--memory",
        "1G",
    )
    _, with_domain, _ = asked(capsys, "bars", *given, "--device", "0000:00:02.0")
    _, without, _ = asked(capsys, "bars", *given, "--device", "00:02.0")
    assert with_domain == without
    assert "00:01.0" not in without
    code, _, err = asked(capsys, "bars", *given, "--device", "07:00.0")
    assert code == 2
    assert "0000:00:02.0" in err
