/*
 * Print the P2M list of the running PV kernel as runs: the words of the list, and which machine
 * frame stands behind each of its pages. Runs inside dom0 as root; reads /proc/kcore and
 * /proc/kallsyms, changes nothing. Output, all numbers hex but counts and steps:
 *
 *   symbol NAME VALUE         what the kernel's own variables say
 *   shared NAME MFN           frame of a page that many places of the list share
 *   tables MISSING IDENTITY OWN   page tables of the list, by kind
 *   leaf INDEX COUNT MFN STEP     pages of the list from INDEX on (512 words each)
 *   word PFN COUNT VALUE STEP     words of the pages that are not shared
 */
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS 512
#define PAGE 4096
#define ADDRESS_BITS 0x000ffffffffff000ull

static int kcore;
static Elf64_Phdr *segments;
static int segment_count;

static uint64_t *list; /* words below max_pfn, to find the frames of page tables */
static uint64_t list_words;
static uint64_t direct_map;

static void die(const char *what, uint64_t at)
{
	fprintf(stderr, "p2mlist: %s at %llx\n", what, (unsigned long long)at);
	exit(1);
}

static void read_kernel(uint64_t address, void *into, size_t size)
{
	for (int i = 0; i < segment_count; i++) {
		const Elf64_Phdr *s = &segments[i];
		if (s->p_type != PT_LOAD || address < s->p_vaddr || address - s->p_vaddr + size > s->p_memsz)
			continue;
		for (size_t done = 0; done < size;) {
			ssize_t n = pread(kcore, (char *)into + done, size - done,
					  s->p_offset + (address - s->p_vaddr) + done);
			if (n <= 0)
				die("read fails", address + done);
			done += n;
		}
		return;
	}
	die("no kcore segment", address);
}

static void open_kcore(void)
{
	Elf64_Ehdr header;

	kcore = open("/proc/kcore", O_RDONLY);
	if (kcore < 0 || pread(kcore, &header, sizeof header, 0) != sizeof header)
		die("cannot read /proc/kcore", 0);
	segment_count = header.e_phnum;
	size_t size = segment_count * sizeof *segments;
	segments = malloc(size);
	if (!segments || pread(kcore, segments, size, header.e_phoff) != (ssize_t)size)
		die("cannot read kcore's program headers", 0);
}

enum {
	P2M_ADDR, P2M_SIZE, MAX_PFN, MISSING, IDENTITY, MISSING_PTE, IDENTITY_PTE,
	TOP_TABLE, DIRECT_MAP, LAST_PFN, START_INFO, SYMBOLS
};
static const char *const names[SYMBOLS] = {
	"xen_p2m_addr", "xen_p2m_size", "max_pfn", "p2m_missing", "p2m_identity",
	"p2m_missing_pte", "p2m_identity_pte",
	"init_top_pgt", "page_offset_base", "xen_p2m_last_pfn", "xen_start_info",
};
static uint64_t where[SYMBOLS], values[SYMBOLS];

static void read_symbols(void)
{
	char line[512], name[256], type;
	unsigned long long address;
	FILE *file = fopen("/proc/kallsyms", "r");

	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%llx %c %255s", &address, &type, name) != 3 || strchr(line, '['))
			continue;
		for (int i = 0; i < SYMBOLS; i++)
			if (!where[i] && !strcmp(name, names[i]))
				where[i] = address;
	}
	for (int i = 0; i < SYMBOLS; i++) {
		if (!where[i])
			die(names[i], 0);
		read_kernel(where[i], &values[i], sizeof values[i]);
		printf("symbol %s %llx\n", names[i], (unsigned long long)values[i]);
	}
	direct_map = values[DIRECT_MAP];
	uint64_t nr_pages;
	read_kernel(values[START_INFO] + 32, &nr_pages, sizeof nr_pages);
	printf("symbol nr_pages %llx\n", (unsigned long long)nr_pages);
}

/* Machine frame behind a pointer into the direct map. */
static uint64_t frame_behind(uint64_t pointer)
{
	uint64_t pfn = (pointer - direct_map) / PAGE;

	if (pfn >= list_words)
		die("pointer outside RAM", pointer);
	return list[pfn];
}

/* Read the page table in a machine frame. */
static void read_table(uint64_t entry, uint64_t table[WORDS])
{
	uint64_t mfn = (entry & ADDRESS_BITS) / PAGE;

	if (!(entry & 1))
		die("page table not present", entry);
	for (uint64_t pfn = 0; pfn < list_words; pfn++)
		if (list[pfn] == mfn) {
			read_kernel(direct_map + pfn * PAGE, table, PAGE);
			return;
		}
	die("page table in no frame of the list", entry);
}

struct run {
	const char *kind;
	uint64_t start, count, value;
	int64_t step;
};

static void flush_run(struct run *run)
{
	if (run->count)
		printf("%s %llx %llu %llx %lld\n", run->kind, (unsigned long long)run->start,
		       (unsigned long long)run->count, (unsigned long long)run->value, (long long)run->step);
	run->count = 0;
}

static void add_to_run(struct run *run, uint64_t at, uint64_t count, uint64_t value)
{
	uint64_t last = run->value + run->step * (run->count - 1);
	int64_t step = value - last;

	if (run->count && at == run->start + run->count && step >= -1 && step <= 1 &&
	    (run->count == 1 || step == run->step) && (count == 1 || !step)) {
		run->step = step;
		run->count += count;
		return;
	}
	flush_run(run);
	run->start = at;
	run->count = count;
	run->value = value;
	run->step = 0;
}

static struct run leaves = {.kind = "leaf"}, words = {.kind = "word"};

static void own_leaf(uint64_t leaf)
{
	uint64_t page[WORDS];

	read_kernel(values[P2M_ADDR] + leaf * PAGE, page, PAGE);
	for (int i = 0; i < WORDS; i++)
		add_to_run(&words, leaf * WORDS + i, 1, page[i]);
}

static void walk(void)
{
	uint64_t shared[2] = {frame_behind(values[MISSING]), frame_behind(values[IDENTITY])};
	uint64_t shared_tables[2] = {frame_behind(values[MISSING_PTE]), frame_behind(values[IDENTITY_PTE])};
	uint64_t top[WORDS], third[WORDS], second[WORDS], first[WORDS];
	uint64_t at_top = -1, at_third = -1, counts[3] = {0};
	int in_own = 0;

	read_kernel(where[TOP_TABLE], top, PAGE);
	for (uint64_t leaf = 0; leaf < values[P2M_SIZE] / WORDS; leaf += WORDS) {
		uint64_t address = values[P2M_ADDR] + leaf * PAGE;
		if (address >> 39 != at_top) {
			at_top = address >> 39;
			read_table(top[at_top % WORDS], third);
		}
		if (address >> 30 != at_third) {
			at_third = address >> 30;
			read_table(third[at_third % WORDS], second);
		}
		uint64_t entry = second[(address >> 21) % WORDS];
		uint64_t table = (entry & ADDRESS_BITS) / PAGE;
		if ((entry & 1) && (table == shared_tables[0] || table == shared_tables[1])) {
			int identity = table == shared_tables[1];
			counts[identity]++;
			if (in_own)
				flush_run(&leaves);
			in_own = 0;
			add_to_run(&leaves, leaf, WORDS, shared[identity]);
			continue;
		}
		counts[2]++;
		read_table(entry, first);
		for (int i = 0; i < WORDS; i++) {
			uint64_t mfn = (first[i] & ADDRESS_BITS) / PAGE;
			if (!(first[i] & 1))
				die("page of the list not present", address + i * PAGE);
			int own = mfn != shared[0] && mfn != shared[1];
			if (own != in_own)
				flush_run(&leaves);
			in_own = own;
			add_to_run(&leaves, leaf + i, 1, mfn);
			if (own)
				own_leaf(leaf + i);
		}
	}
	flush_run(&leaves);
	flush_run(&words);
	printf("shared missing %llx\n", (unsigned long long)shared[0]);
	printf("shared identity %llx\n", (unsigned long long)shared[1]);
	printf("tables %llu %llu %llu\n", (unsigned long long)counts[0], (unsigned long long)counts[1],
	       (unsigned long long)counts[2]);
}

int main(void)
{
	open_kcore();
	read_symbols();
	list_words = (values[MAX_PFN] + WORDS - 1) / WORDS * WORDS;
	list = malloc(list_words * sizeof *list);
	if (!list)
		die("no memory for words", list_words);
	for (uint64_t pfn = 0; pfn < list_words; pfn += WORDS)
		read_kernel(values[P2M_ADDR] + pfn * 8, list + pfn, PAGE);
	walk();
	printf("end\n");
	return 0;
}
