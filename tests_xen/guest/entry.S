/* Multiboot header and entry of the shim: information in, Xen's entry out, and off to it. */
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.globl _start
_start:
	cli
	mov $stack, %esp
	mov %ebx, %esi		/* survives the call */
	push %ebx
	call shim
	mov %esi, %ebx
	mov %eax, %ecx
	mov $0x2badb002, %eax
	jmp *%ecx

	.bss
	.balign 16
	.skip 4096
stack:

	.section .note.GNU-stack, "", @progbits
