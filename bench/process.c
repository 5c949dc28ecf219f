#include "bench/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double process_cpu_seconds(int pid)
{
    char path[64];
    char text[1024] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    char *field = strrchr(text, ')'); /* the name may contain spaces; utime is field 14 */
    for (int i = 2; i < 14 && field != NULL; i++) {
        field = strchr(field + 1, ' ');
    }
    if (field == NULL) {
        return 0;
    }
    char *end = NULL;
    const unsigned long long user = strtoull(field + 1, &end, 10);
    const unsigned long long kernel = strtoull(end, NULL, 10);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

long process_pss_kib(int pid)
{
    char path[64];
    char line[128];
    long kib = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0) {
            kib = strtol(line + 4, NULL, 10);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}
