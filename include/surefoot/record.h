#ifndef SUREFOOT_RECORD_H
#define SUREFOOT_RECORD_H

/* Puts the updater record into a firmware image. Needs no libc, works in C and C++.
 *
 *     SUREFOOT_RECORD(0x5a, 0x11, ...16 bytes of the class uuid...);
 *
 * in one source file; the linker places section .rodata_custom_desc behind app_desc, at file offset
 * 0x120 (ESP-IDF's place for an application's own record). The crc field stays 0 here: `surefoot
 * image from-elf` fills it in, and so does the CMake step of the ESP-IDF component. */

#define SUREFOOT_RECORD_MAGIC     0x52554653u /* "SFUR", little-endian */
#define SUREFOOT_RECORD_VERSION   1u
#define SUREFOOT_PROTOCOL_VERSION 1u
#define SUREFOOT_LIBRARY_VERSION  0x00000100u /* 0.1.0: major << 16 | minor << 8 | patch */

struct surefoot_record {
    unsigned int magic;
    unsigned short record_version;
    unsigned short protocol_version;
    unsigned char class_uuid[16];
    unsigned int library_version;
    unsigned int flags;
    unsigned char zero[28];
    unsigned int crc; /* CRC-32 (zlib) of the 60 bytes before it */
};

#define SUREFOOT_RECORD(...)                                                   \
    __attribute__((used, section(".rodata_custom_desc")))                      \
    const struct surefoot_record surefoot_record = {SUREFOOT_RECORD_MAGIC,     \
                                                    SUREFOOT_RECORD_VERSION,   \
                                                    SUREFOOT_PROTOCOL_VERSION, \
                                                    {__VA_ARGS__},             \
                                                    SUREFOOT_LIBRARY_VERSION,  \
                                                    0u,                        \
                                                    {0},                       \
                                                    0u}

#endif
