/* Reads the configuration file for options.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "formats/err.h"
#include "server/config_lines.h"
#include "server/options.h"

static int cannot_read(struct options *o, const char *path, int err)
{
    char text[128];
    const char *why = sf_err_str(err);
    if (err == SF_ERR_RANGE) {
        why = "it is larger than 64 KiB";
    } else if (err == SF_ERR_FORMAT) {
        why = "it is not a file";
    } else if (err == SF_ERR_IO) {
        why = strerror_r(errno, text, sizeof(text));
    } else if (err == SF_ERR_NOTFOUND) {
        why = "there is no such file";
    }
    (void)snprintf(o->error, sizeof(o->error), "cannot read the configuration '%.200s': %s", path,
                   why);
    return -1;
}

static const char *data_of(const struct options *o)
{
    return o->data != NULL ? o->data : options_setting(0)->fallback;
}

/* surefootd.conf in the data folder that flags and environment give, or in its default. */
static int default_path(struct options *o)
{
    const char *data = data_of(o);
    const int len = snprintf(o->path, sizeof(o->path), "%s/surefootd.conf", data);
    return len > 0 && (size_t)len < sizeof(o->path) ? 0 : -1;
}

static int take_file(struct options *o, int asked, const char *text, size_t len)
{
    const char *data = o->data;
    if (options_file(o, text, len) != 0) {
        return -1;
    }
    if (!asked && data != o->data) {
        (void)snprintf(o->error, sizeof(o->error),
                       "'%.200s' was read because it lies in the data folder, and names another "
                       "one with 'data'; take that line out, or give the file with --config",
                       o->config);
        return -1;
    }
    return 0;
}

static int read_file(struct options *o)
{
    const int asked = o->config != NULL;
    if (!asked && access(data_of(o), X_OK) != 0) {
        return 0; /* not made yet, or unusable: opening it says so better */
    }
    if (!asked && default_path(o) != 0) {
        return cannot_read(o, "surefootd.conf", SF_ERR_RANGE);
    }
    o->config = asked ? o->config : o->path;
    struct arena arena;
    arena_init(&arena, CONFIG_FILE_MAX + 256);
    char *text = NULL;
    size_t len = 0;
    int result = 0;
    const int err = disk_read(&arena, o->config, CONFIG_FILE_MAX, &text, &len);
    if (err == SF_OK) {
        result = take_file(o, asked, text, len);
    } else if (err != SF_ERR_NOTFOUND || asked) {
        result = cannot_read(o, o->config, err);
    } else {
        o->config = NULL;
    }
    arena_release(&arena);
    return result;
}

int options_load(struct options *o, int argc, const char *const argv[],
                 const char *const environment[])
{
    options_init(o);
    if (options_flags(o, argc, argv) != 0) {
        return -1;
    }
    if (o->mode >= MODE_PRINT_SETTINGS) {
        return options_finish(o);
    }
    if (options_environment(o, environment) != 0 || read_file(o) != 0) {
        return -1;
    }
    return options_finish(o);
}
