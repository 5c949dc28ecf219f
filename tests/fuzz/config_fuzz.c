/* libs: sf_options
 * surefootd's configuration file: any bytes are settings or refused with one sentence, and what
 * --print-config would say of them is the text that was given. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "server/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct options o;
    options_init(&o);
    o.config = "fuzz.conf";
    if (options_file(&o, (const char *)data, size) != 0 || options_finish(&o) != 0) {
        assert(o.error[0] != '\0' && memchr(o.error, '\0', sizeof(o.error)) != NULL);
        return 0;
    }
    assert(o.host_count >= 1 && o.host_count <= OPTIONS_HOST_MAX);
    assert(o.loops >= 1 && o.loops <= OPTIONS_LOOPS_MAX);
    for (unsigned i = 0; options_setting(i) != NULL; i++) {
        const struct option_origin *origin = &o.origin[i];
        assert((origin->source == FROM_FILE) == (origin->line > 0));
        assert(origin->text != NULL || options_setting(i)->fallback == NULL);
    }
    return 0;
}
