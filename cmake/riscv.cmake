# Toolchain of preset `riscv`: rv32imc, the ISA of the ESP32-C3, freestanding. Only formats/ and
# device/ are built, for their size (bench/footprint).
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_FLAGS_INIT
    "-march=rv32imc -mabi=ilp32 -ffreestanding -ffunction-sections -fdata-sections -fstack-usage -DSF_NO_DIAG \
-isystem ${CMAKE_CURRENT_LIST_DIR}/../ports/template/libc")
set(CMAKE_C_FLAGS_MINSIZEREL_INIT "-Os")
