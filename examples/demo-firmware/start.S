# Entry, called by the second-stage bootloader with the flash mapped: stack, .bss, then C. .data is
# a segment of its own that the bootloader has copied to RAM already.
    .section .text.start, "ax"
    .global _start
_start:
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, __stack_top
    la t0, __bss_start
    la t1, __bss_end
1:  bgeu t0, t1, 2f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call firmware_main
3:  j 3b

# 24,576 words from a linear congruential generator: incompressible, as real assets mostly are.
    .section .rodata.assets, "a"
    .balign 4
    .global assets, assets_end
assets:
    .set x, 0x5eed
    .rept 24576
    .set x, (x * 1664525 + 1013904223) & 0xffffffff
    .word x
    .endr
assets_end:
