/* Entry of the small PV guest, its notes for the domain builder, and two pages for Xen. */
#define NOTE(type, body...)		\
	.pushsection .note.Xen, "a", @note; \
	.balign 4;			\
	.long 4, 2f - 1f, type;		\
	.asciz "Xen";			\
1:	body;				\
2:	.balign 4;			\
	.popsection

	.section .text.start, "ax"
	.globl _start, hypercalls, shared
_start:
	cld
	lea stack(%rip), %rsp
	mov %rsi, %rdi
	call guest
	ud2

	.balign 4096
hypercalls:
	.skip 4096
shared:
	.skip 4096

	.bss
	.balign 16
	.skip 8192
stack:

	NOTE(6, .asciz "xenp2m-guest")
	NOTE(7, .asciz "1")
	NOTE(5, .asciz "xen-3.0")
	NOTE(8, .asciz "generic")
	NOTE(1, .quad _start)
	NOTE(2, .quad hypercalls)
	NOTE(3, .quad 0xffffffff80000000)
	NOTE(4, .quad 0xffffffff80000000)
	NOTE(9, .asciz "yes")

	.section .note.GNU-stack, "", @progbits
