/*
 * A multiboot program between QEMU and Xen that gives Xen another memory map.
 *
 * Modules: 0 Xen's ELF image, 1 the map as multiboot memory map records, from 2 on what Xen shall
 * see as its own modules. Linked above the place where Xen's image goes.
 */
#include <stdint.h>

#define SERIAL 0x3f8
#define HAS_MEMORY_MAP (1u << 6)
#define PT_LOAD 1

struct multiboot_info {
	uint32_t flags, memory[2], boot_device, command_line, module_count, modules, symbols[4];
	uint32_t map_length, map_address;
};

struct module {
	uint32_t start, end, text, reserved;
};

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version, entry, segments, sections, flags;
	uint16_t header_size, segment_size, segment_count;
};

struct segment {
	uint32_t type, offset, virtual_address, address, file_size, memory_size;
};

static void say(const char *text)
{
	for (; *text; text++)
		__asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)SERIAL));
}

/* Copy Xen to where it wants to be; return its entry. */
static uint32_t load(const uint8_t *image)
{
	const struct elf_header *header = (const void *)image;

	for (int i = 0; i < header->segment_count; i++) {
		const struct segment *s = (const void *)(image + header->segments + i * header->segment_size);
		volatile uint8_t *to = (volatile uint8_t *)s->address;
		if (s->type != PT_LOAD)
			continue;
		for (uint32_t k = 0; k < s->memory_size; k++)
			to[k] = k < s->file_size ? image[s->offset + k] : 0;
	}
	return header->entry;
}

uint32_t shim(struct multiboot_info *info)
{
	struct module *modules = (void *)info->modules;

	if (info->module_count < 3) {
		say("LAB shim: three modules expected\r\n");
		for (;;)
			__asm__ volatile("hlt");
	}
	uint32_t entry = load((const uint8_t *)modules[0].start);
	info->map_address = modules[1].start;
	info->map_length = modules[1].end - modules[1].start;
	info->flags |= HAS_MEMORY_MAP;
	info->modules = (uint32_t)&modules[2];
	info->module_count -= 2;
	say("LAB shim: map replaced\r\n");
	return entry;
}
