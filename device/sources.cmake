# One list for every build: CMake here, the ESP-IDF component, the Arduino package.
set(SF_DEVICE_SOURCES
    device/commit.c
    device/engine.c
    device/exchange.c
    device/fetch.c
    device/install.c
    device/judge.c
    device/memory.c
    device/outcome.c
    device/pace.c
    device/records.c
    device/root.c
    device/secure_boot.c
    device/static_tree.c
    device/trial.c
    device/trust.c)
