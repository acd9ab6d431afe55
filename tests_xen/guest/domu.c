/*
 * A PV guest that does nothing but own a P2M worth reading: published as a frame list tree and as a
 * linear list, with identity, foreign and ballooned entries, and an end inside a page. It can be
 * saved and restored; it knows 64 bits only.
 */
#include <stdint.h>

#define PAGE 4096ul
#define WORDS 512ul
#define INVALID (~0ul)
#define IDENTITY (1ul << 62)
#define FOREIGN (1ul << 63)
#define BASE 0xffffffff80000000ul
#define LEAVES 5
#define CUT 100 /* entries short of the last page */
#define RETURNED 40
#define SELF 0x7ff0

enum { MEMORY_OP = 12, UPDATE_VA_MAPPING = 14, SCHED_OP = 29, EVENT_CHANNEL_OP = 32 };
enum { DECREASE_RESERVATION = 1, ALLOC_UNBOUND = 6, SHUTDOWN = 2, POLL = 3, SUSPEND = 2 };

struct start_info {
	char magic[32];
	uint64_t nr_pages, shared_info;
	uint32_t flags, pad0;
	uint64_t store_mfn;
	uint32_t store_event, pad1;
	uint64_t console_mfn;
	uint32_t console_event, pad2;
	uint64_t page_tables, page_table_frames, mfn_list;
};

struct shared_info {
	uint8_t vcpus[32][64];
	uint64_t pending[64], mask[64];
	uint8_t clock[16];
	uint64_t max_pfn, frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation;
};

extern char hypercalls[];
extern struct shared_info shared;

static uint64_t list[LEAVES * WORDS] __attribute__((aligned(4096)));
static uint64_t top[WORDS] __attribute__((aligned(4096)));
static uint64_t middle[WORDS] __attribute__((aligned(4096)));

static long call(int number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("call *%[entry]"
			 : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(fourth)
			 : [entry] "r"(hypercalls + number * 32)
			 : "memory", "rcx", "r8", "r9", "r11");
	return result;
}

static uint64_t frame_of(const void *address)
{
	return list[((uint64_t)address - BASE) / PAGE];
}

static void map_shared_info(uint64_t entry)
{
	call(UPDATE_VA_MAPPING, (uint64_t)&shared, entry, 2, 0);
}

/* Tell the toolstack where the list is; again after every restore, which changes all frames. */
static void publish(const struct start_info *info)
{
	for (unsigned long i = 0; i < LEAVES; i++)
		middle[i] = frame_of(&list[i * WORDS]);
	top[0] = frame_of(middle);
	shared.p2m_generation |= 1;
	shared.max_pfn = LEAVES * WORDS - CUT;
	shared.frame_list_list = frame_of(top);
	shared.p2m_vaddr = (uint64_t)list;
	shared.p2m_cr3 = frame_of((void *)info->page_tables) * PAGE;
	shared.p2m_generation++;
}

static void make_list(const struct start_info *info)
{
	const uint64_t *built = (const uint64_t *)info->mfn_list;
	uint64_t nr = info->nr_pages, out[RETURNED];
	struct {
		uint64_t *frames, count;
		uint32_t order, flags;
		uint16_t domain;
	} request = {out, RETURNED, 0, 0, SELF};

	for (unsigned long i = 0; i < LEAVES * WORDS; i++)
		list[i] = i < nr ? built[i] : INVALID;
	for (unsigned long i = 0; i < RETURNED; i++) {
		out[i] = list[nr - RETURNED + i];
		list[nr - RETURNED + i] = INVALID;
	}
	call(MEMORY_OP, DECREASE_RESERVATION, (uint64_t)&request, 0, 0);
	list[nr - RETURNED] = (nr - RETURNED) | IDENTITY;
	list[nr - RETURNED + 1] = (nr - RETURNED + 1) | IDENTITY;
	for (unsigned long i = nr + 8; i < nr + 16; i++)
		list[i] = i | IDENTITY;
	list[nr + 20] = 0x1000 | FOREIGN;
}

/* The record of a saved domain holds PFNs where a running one has MFNs. */
static uint64_t pfn_of(uint64_t mfn)
{
	for (unsigned long i = 0; i < LEAVES * WORDS; i++)
		if (list[i] == mfn)
			return i;
	return mfn;
}

static void suspend(struct start_info *info)
{
	uint32_t reason = SUSPEND;

	map_shared_info(0);
	info->store_mfn = pfn_of(info->store_mfn);
	info->console_mfn = pfn_of(info->console_mfn);
	call(SCHED_OP, SHUTDOWN, (uint64_t)&reason, frame_of(info), 0);
	map_shared_info(info->shared_info | 7);
	publish(info);
}

void guest(struct start_info *info)
{
	struct {
		uint16_t domain, remote;
		uint32_t port;
	} channel = {SELF, 0, 0};

	map_shared_info(info->shared_info | 7);
	make_list(info);
	publish(info);
	call(EVENT_CHANNEL_OP, ALLOC_UNBOUND, (uint64_t)&channel, 0, 0);
	shared.mask[0] &= ~(1ul << channel.port);
	for (;;) {
		struct {
			uint32_t *ports, count;
			uint64_t timeout;
		} wait = {&channel.port, 1, 0};
		volatile uint64_t *pending = &shared.pending[0];

		if (*pending & (1ul << channel.port)) {
			*pending = 0;
			suspend(info);
		}
		shared.vcpus[0][0] = 0;
		call(SCHED_OP, POLL, (uint64_t)&wait, 0, 0);
	}
}
