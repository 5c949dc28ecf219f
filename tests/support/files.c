#include "tests/support/files.h"

#include <stdio.h>
#include <stdlib.h>

uint8_t *file_load(const char *path, size_t *len_out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        abort();
    }
    const long len = ftell(file);
    rewind(file);
    uint8_t *data = len >= 0 ? malloc((size_t)len + 1) : NULL;
    if (data == NULL || fread(data, 1, (size_t)len, file) != (size_t)len) {
        perror(path);
        abort();
    }
    (void)fclose(file);
    data[len] = 0;
    *len_out = (size_t)len;
    return data;
}
