"""The dom0_mem= grammar by version, and the clamping: real boots, edges, and slow twins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.dom0_mem import Amount, Dom0Mem, estimate_available, from_command_line, parse
from xenp2m.e820 import RAM, RESERVED, Entry
from xenp2m.errors import InputError
from xenp2m.kernel import Version

OLD, NEW = Version(4, 11), Version(4, 12)
MIB = 256
"""Pages in a MiB."""
GIB = 1024 * MIB
UNLIMITED = 0xFFFFFFFF
BIG = 1 << 30


def plain(text, xen=NEW):
    result = parse(text, xen, strict=True)
    assert (result.min, result.max) == (None, None)
    return result.plain


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "pages"),
        [
            ("1024M", GIB),
            ("1g", GIB),
            ("1T", 1024 * GIB),
            ("2t", 2048 * GIB),
            ("4096K", 4 * MIB),
            ("4096k", 4 * MIB),
            ("8192B", 2),
            ("8191b", 1),
            ("1048576", GIB),  # no unit: KiB
            ("3", 0),
            ("0x400M", GIB),
            ("0X400m", GIB),
            ("0xag", 10 * GIB),
            ("010M", 8 * MIB),  # octal
            ("0512M", 330 * MIB),
            ("1" + "0" * 60 + "B", 1 << 48),
            ("1" + "0" * 64 + "B", 0),
            ("0", 0),
            ("00", 0),
            ("0x10b", 0x10B * 1024 // 4096),  # b is a digit here
        ],
    )
    @pytest.mark.parametrize("xen", [OLD, NEW])
    def test_sizes(self, text, pages, xen):
        assert plain(text, xen) == Amount(pages)

    @pytest.mark.parametrize(
        ("text", "amount"),
        [
            ("10%", Amount(0, 10)),
            ("0%", Amount(0, 0)),
            ("99%", Amount(0, 99)),
            ("0x10%", Amount(0, 16)),
            ("010%", Amount(0, 8)),
            ("50b%", Amount(0, 50)),
            ("1G+10%", Amount(GIB, 10)),
            ("-1G+10%", Amount(GIB, 10, True)),
            ("-10%", Amount(0, 10, True)),
            ("-1G", Amount(GIB, 0, True)),
            ("-0", Amount(0, 0, True)),
        ],
    )
    def test_signs_and_percentages(self, text, amount):
        assert plain(text) == amount

    BAD = (
        "foo - --1G +1G 1GB 1GiB 1.5G 1G+ 1G+2G 10%+1G 1G+10%+1G % 100% 1k% 1G+100% -min:1G Max:1G min: max:,1G"
        " 1G, ,1G 1G,,2G 08M 0xg 10%% min:max:1G no 1G\0 \N{FULLWIDTH DIGIT ONE}G \N{ARABIC-INDIC DIGIT THREE}G"
    )

    @pytest.mark.parametrize("text", ["", "1 G", "9" * 110 + "X", *BAD.split(" ")])
    def test_bad_items(self, text):
        with pytest.raises(InputError, match=r"expected .*, got "):
            parse(f"dom0_mem={text}" if " " not in text else text, NEW, strict=True)
        lenient = parse(text, NEW)
        assert lenient.pages(8 * GIB)[0] in (GIB, 8 * GIB - 32768)

    @pytest.mark.parametrize("text", ["10%", "1G+10%", "foo", "1GB", "max:", "-", "1G,", "M"])
    def test_bad_items_before_percentages(self, text):
        with pytest.raises(InputError):
            parse(text, OLD, strict=True)

    @pytest.mark.parametrize("base", ["{:d}", "{:#x}", "0{:o}"])
    @given(number=st.integers(0, 1 << 270), letter=st.sampled_from("TGMKBtgmkb"))
    def test_numbers_wrap_at_64_bits(self, base, number, letter):
        shift = "BKMGT".index(letter.upper()) * 10
        text = base.format(number) + letter
        if base == "{:#x}" and letter in "Bb":
            text, shift = text[:-1], 10
        assert plain(text).pages == (number << shift & (1 << 64) - 1) >> 12

    def test_numbers_of_any_length(self):
        assert parse("dom0_mem=" + "7" * 100_000).options == ("7" * 118,)
        assert plain("7" * 110 + "K").pages == (int("7" * 110) << 10 & (1 << 64) - 1) >> 12
        with pytest.raises(InputError, match="at most 118 characters"):
            parse("1" * 400, strict=True)


class TestItems:
    def test_words_and_order(self):
        result = parse("min:1G,max:4G,2G", strict=True)
        assert (result.min, result.max, result.plain) == (Amount(GIB), Amount(4 * GIB), Amount(2 * GIB))

    def test_the_last_of_each_word_counts(self):
        result = parse("1G,max:3G,2G,max:4G", strict=True)
        assert (result.plain, result.max) == (Amount(2 * GIB), Amount(4 * GIB))

    def test_repeated_options_are_put_together(self):
        line = "placeholder console=none dom0_mem=min:1024M dom0_mem=max:4096M iommu=no-igfx"
        result = parse(line)
        assert (result.min, result.max, result.plain) == (Amount(GIB), Amount(4 * GIB), None)
        assert result.options == ("min:1024M", "max:4096M")
        assert result == from_command_line(line)

    def test_an_error_keeps_what_came_before_and_ends_its_option(self):
        result = parse("dom0_mem=1G,max:1.5G,min:3G dom0_mem=max:2G")
        assert (result.plain, result.max, result.min) == (Amount(GIB), Amount(2 * GIB), None)
        assert len(result.ignored) == 1
        assert result.ignored[0].startswith("'max:1.5G,min:3G': expected a comma or the end")

    def test_before_percentages_every_item_counts_as_far_as_it_is_read(self):
        result = parse("1GB,max:2G", OLD)
        assert (result.plain, result.max) == (Amount(GIB), None)
        result = parse("max:10%,1G", OLD)
        assert (result.max, result.plain) == (Amount(2), None)
        assert "percentages came with Xen 4.12" in result.ignored[0]
        assert parse("max:foo", OLD).pages(GIB) == (0, 0)
        assert parse("foo", OLD).pages(GIB) == parse("", OLD).pages(GIB)
        result = parse("1G,,min:2G", OLD)
        assert (result.plain, result.min) == (Amount(0), Amount(2 * GIB))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("max:1.5G", "a comma or the end behind '1', got 'max:1.5G'"),
            ("120%", "a percentage below 100%, got '120%'"),
            ("1G+1G", "a percentage behind the plus, such as 512M[+]10%, got '1G[+]1G'"),
            ("1G,lots", "or 512M[+]10%, got 'lots'"),
        ],
    )
    def test_an_error_says_what_was_expected(self, text, expected):
        with pytest.raises(InputError, match=f"^dom0_mem=: expected .*{expected}$"):
            parse(text, NEW, strict=True)

    def test_ways_to_give_it(self):
        assert parse("1024M,max:1536M", strict=True) == parse(" dom0_mem=1024M,max:1536M\n", strict=True)
        assert parse("loglvl=all dom0_mem=1G", strict=True).plain == Amount(GIB)

    def test_options_of_the_kernel_and_other_options_do_not_count(self):
        line = "loglvl=all xdom0_mem=3G dom0_memory=1G DOM0_MEM=2G dom0_max_vcpus=1 -- dom0_mem=4G"
        assert from_command_line(line) == Dom0Mem()
        with pytest.raises(InputError, match="expected dom0_mem= with"):
            parse(line, strict=True)

    @pytest.mark.parametrize(
        "line", ["x dom0_mem", "dom0_mem=", "no-dom0_mem", "no-dom0_mem=1G", "dom0_mem= 1G"]
    )
    def test_options_without_a_value(self, line):
        result = from_command_line(line, NEW)
        assert result.plain is None
        assert len(result.options) == len(result.ignored) == 1
        with pytest.raises(InputError):
            parse(line, NEW, strict=True)

    def test_a_command_line_of_one_word_is_no_value(self):
        assert from_command_line("placeholder") == Dom0Mem()
        assert from_command_line("") == Dom0Mem()

    def test_what_the_hypervisor_does_not_read(self):
        result = from_command_line("dom0_mem=" + "1G," * 39 + "max:2G", NEW)
        assert result.plain == Amount(GIB)
        assert result.max is None
        assert "at most 118 characters" in result.ignored[0]

    def test_remarks(self):
        assert parse("0512M", strict=True).remarks == ("0512M: a leading 0 makes it octal, 337920 KiB",)
        assert parse("max:1024", strict=True).remarks == ("1024: without a unit it is in KiB, 256 pages",)
        assert parse("-1024+10%").remarks == ("1024+10%: without a unit it is in KiB, 256 pages",)
        assert parse("1024M,max:0x10000,min:10%,0").remarks == ()

    @given(st.text(max_size=300), st.sampled_from([None, OLD, NEW]), st.integers(0, (1 << 64) - 1))
    def test_any_text(self, text, xen, available):
        for result in (parse(text, xen), parse(f"dom0_mem={text}", xen), from_command_line(text, xen)):
            nr_pages, max_pages = result.pages(available)
            assert 0 <= nr_pages <= available
            assert 0 <= max_pages <= UNLIMITED
        try:
            strict = parse(text, xen, strict=True)
        except InputError:
            return
        assert not strict.ignored


class TestClamping:
    @pytest.mark.parametrize(
        ("text", "available", "expected"),
        [
            # Our own boots: host RAM, the option, Dom0 alloc. + pages to be allocated + initrd.
            ("1024M,max:1536M", 1037262, (262144, 393216)),
            ("1024M,max:3072M", 1037262, (262144, 786432)),
            ("1310560K,max:1310560K", 1037262, (327640, 327640)),
            ("3000M,max:3500M", 1016487, (768000, 896000)),
            ("1024M,max:2364M", 1555407, (262144, 605184)),
            ("4500M,max:4500M", 1556430, (1152000, 1152000)),
            ("", 1037262, (1004494, UNLIMITED)),
            # The default: a sixteenth, at most 128 MiB.
            ("", 517425, (485086, UNLIMITED)),
            ("", 16 * MIB, (15 * MIB, UNLIMITED)),
            ("", 15, (15, UNLIMITED)),
            ("0", 8 * GIB, (8 * GIB - 32768, UNLIMITED)),
            ("-0", GIB, (GIB, UNLIMITED)),
            ("-8G", 8 * GIB, (8 * GIB - 32768, UNLIMITED)),  # nothing left counts as not given
            # max alone: the default, cut; so it starts at max.
            ("max:3G", 8 * GIB, (3 * GIB, 3 * GIB)),
            ("max:1G,2G", 8 * GIB, (GIB, GIB)),
            ("min:2G,1G", 8 * GIB, (2 * GIB, UNLIMITED)),
            ("min:2G,max:1G", 8 * GIB, (GIB, GIB)),
            ("min:9G", 8 * GIB, (8 * GIB, UNLIMITED)),
            ("9G,max:10G", 8 * GIB, (8 * GIB, 10 * GIB)),
            ("max:0", 8 * GIB, (0, 0)),
            ("-2G", 8 * GIB, (6 * GIB, UNLIMITED)),
            ("-9G", 8 * GIB, (8 * GIB, UNLIMITED)),  # below zero is huge
            ("max:-9G,1G", 8 * GIB, (GIB, UNLIMITED)),
            ("max:-2G", 8 * GIB, (6 * GIB, 6 * GIB)),
            ("max:-8G,1G", 8 * GIB, (0, 0)),
            ("25%", 8 * GIB, (2 * GIB, UNLIMITED)),
            ("1G+25%,max:50%", 8 * GIB, (3 * GIB, 4 * GIB)),
            ("-1G+25%", 8 * GIB, (5 * GIB, UNLIMITED)),
            ("99%", 101, (99, UNLIMITED)),
            ("max:16T", BIG, (BIG - 32768, 0xFFFFFFFF)),  # 2^32 pages do not fit
            ("max:16383G", BIG, (BIG - 32768, 16383 * GIB)),
        ],
    )
    def test_examples(self, text, available, expected):
        assert parse(text, NEW).pages(available) == expected

    def test_the_older_rules_differ_at_nothing(self):
        assert parse("-0", OLD).pages(8 * GIB) == (8 * GIB - 32768, UNLIMITED)
        assert parse("-1G", OLD).pages(GIB) == (0, UNLIMITED)
        assert parse("", OLD).pages(15) == (0, UNLIMITED)
        assert parse("min:-0,max:-0,1G", OLD).pages(8 * GIB) == (0, 0)
        assert parse("min:-0,max:-0,1G", NEW).pages(8 * GIB) == (8 * GIB, 8 * GIB)

    amounts = (
        st.builds(Amount, st.integers(0, 1 << 52) | st.integers(0, 5000), st.integers(0, 99), st.booleans())
        | st.none()
    )
    available = st.integers(0, 5000) | st.integers(0, 1 << 40)

    @given(amounts, amounts, amounts, available)
    def test_against_a_slow_twin(self, plain, low, high, available):
        assert Dom0Mem(plain, low, high).pages(available) == twin(plain, low, high, available)

    @given(st.tuples(amounts, amounts, amounts), available)
    def test_against_a_slow_twin_of_the_older_rules(self, amounts, available):
        sizes = [a and Amount(a.pages, 0, a.minus and a.pages > 0) for a in amounts]
        assert Dom0Mem(*sizes, loose=True).pages(available) == old_twin(*sizes, available)


def twin(plain, low, high, available):
    """Word by word, with every wrap written out."""
    wrap = 1 << 64

    def pages(amount):
        share = amount.percent * available % wrap // 100
        total = (amount.pages + share) % wrap
        if not amount.minus:
            return total
        rest = available - total
        return rest if rest >= 0 else rest + wrap

    nr = pages(plain) if plain else 0
    if nr == 0:
        nr = available - (available // 16 if available // 16 < 32768 else 32768)
    least = pages(low) if low else 0
    most = pages(high) if high else 2**63 - 1
    if nr < least:
        nr = least
    if nr > most:
        nr = most
    if nr > available:
        nr = available
    return nr, most if most < 2**32 - 1 else 2**32 - 1


def old_twin(plain, low, high, available):
    """Signed amounts; what is negative gets all that is available added, once."""
    wrap = 1 << 64

    def signed(amount, absent):
        return absent if amount is None else -amount.pages if amount.minus else amount.pages

    values = [signed(plain, 0), signed(low, 0), signed(high, 2**63 - 1)]
    if values[0] == 0:
        values[0] = -min(available // 16, 32768)
    nr, least, most = ((v + available if v < 0 else v) % wrap for v in values)
    return min(max(nr, least), most, available), min(most, 2**32 - 1)


class TestEstimate:
    # Xen 4.17 in QEMU with 4 GiB, no option: 0x8000 + 970779 + 947 pages (q35-4g-nodom0mem).
    Q35 = (
        Entry(0x0, 0x9FC00, RAM),
        Entry(0x9FC00, 0xA0000, RESERVED),
        Entry(0x100000, 0x7FFDC000, RAM),
        Entry(0x100000000, 0x180000000, RAM),
    )
    # Xen 4.1.1 on a laptop with 2 GiB, no option: 0x4000 + 458958 + 9744 pages (a public log of 2012).
    LAPTOP = (Entry(0x0, 0x9F000, RAM), Entry(0x100000, 0x7FE6D800, RAM))

    def test_real_boots_without_the_option(self):
        q35 = estimate_available(self.Q35, iommu=False)
        assert parse("").pages(q35.pages)[0] - 1004494 == 91
        laptop = estimate_available(self.LAPTOP, iommu=False, vcpus=2, compat=True)
        assert parse("", OLD).pages(laptop.pages)[0] - 485086 == -112
        assert q35.low < 1037262 < q35.high
        assert laptop.low < 517425 < laptop.high
        assert "about 1037353 of the host's 1048443 pages" in q35.why

    def test_an_iommu_takes_its_page_tables(self):
        unknown, without, with_ = (estimate_available(self.Q35, iommu=i) for i in (None, False, True))
        assert unknown.pages == without.pages
        assert without.pages - with_.pages == (0x180000 >> 9) + (0x180000 >> 18)
        assert unknown.low <= with_.low < without.low

    @given(st.lists(st.tuples(st.integers(0, 1 << 46), st.integers(0, 1 << 40)), max_size=8))
    def test_bounds(self, pieces):
        host = [Entry(start, start + size, RAM) for start, size in pieces]
        total = sum(size for _, size in pieces) // 4096
        for iommu in (None, False, True):
            estimate = estimate_available(host, iommu=iommu)
            assert 0 <= estimate.low <= estimate.pages <= estimate.high <= total

    def test_nothing(self):
        assert estimate_available([])[:3] == (0, 0, 0)
