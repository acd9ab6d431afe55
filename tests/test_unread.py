import pytest

from consoles import HOSTS, console
from xenp2m.diagnosis.diagnose import diagnose
from xenp2m.errors import InputError
from xenp2m.logs.oneboot import read_one_boot
from xenp2m.logs.unread import without_unread
from xenp2m.options import Options


@pytest.mark.parametrize("host", HOSTS)
def test_a_log_as_it_was_printed_is_left_alone(host):
    assert without_unread(console(host)) == (console(host), ())


@pytest.mark.parametrize(
    "line",
    [
        "[    O.000000] Released l28 page(s)",
        "[    0.00000l] Released 128 page(s)",
        "(XEM)  0000000000000000 - 000000000009fc00 (usable)",
        "Xen: [mem 0x0000000000O00000-0x000000000009efff] usable",
    ],
)
def test_a_line_read_off_a_photo_is_taken_out(line):
    text, reasons = without_unread(f"one\n{line}\nthree\n")
    assert text == "one\n\nthree\n"
    assert "line 2" in reasons[0]


@pytest.mark.parametrize(
    "line",
    [
        "[    0.000000] Released 128 page(s)",
        "0xcafe|0x1000ul 0x10000000l Oxford [lo] [ol.conf] [Io.socket]",
        "Code: 0f 0b 48 8b 3d 6c e6 fb ff <0f> 0b",
    ],
)
def test_a_line_with_such_letters_elsewhere_stays(line):
    assert without_unread(line) == (line, ())


def test_numbers_of_a_photo_are_not_used(tmp_path):
    text = console("q35-4g-1024_max1536")
    path = tmp_path / "photo.txt"
    path.write_text(text.replace("[    0.000000] Released 0 page(s)", "[    0.00000O] Released 8 page(s)"))
    log, _ = read_one_boot([str(path)])
    assert log.printed.released is None
    diagnosis = diagnose(log, Options())
    assert diagnosis.disagreements == ()
    assert any("letters for digits" in line for line in diagnosis.missing)


def test_only_the_log_of_crash_is_read(tmp_path):
    path = tmp_path / "crash.txt"
    path.write_text("crash 8.0.4\nCopyright\nnr_pages: 1024\n")
    with pytest.raises(InputError, match="xenp2m show"):
        diagnose(read_one_boot([str(path)])[0], Options())
    path.write_text("crash 8.0.4\ncrash> log\n[    0.000000] Linux version 6.1.0-50-amd64 (x)\n"
                    "[    0.5] kernel BUG at arch/x86/xen/setup.c:314!\n")  # fmt: skip
    diagnosis = diagnose(read_one_boot([str(path)])[0], Options())
    assert [each.fault.line for each in diagnosis.faults] == [314]
    assert any("crash" in line for line in diagnosis.missing)
