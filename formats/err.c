#include "formats/err.h"

const char *sf_err_str(int err)
{
    switch ((enum sf_err)err) {
    case SF_OK:
        return "ok";
#define X(value, name, text) \
    case SF_ERR_##name:      \
        return text;
        SF_ERR_MAP(X)
#undef X
    }
    return "unknown error";
}

const char *sf_err_name(int err)
{
    switch ((enum sf_err)err) {
    case SF_OK:
        return "OK";
#define X(value, name, text) \
    case SF_ERR_##name:      \
        return #name;
        SF_ERR_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

int(sf_fail)(struct sf_diag *diag, int err, size_t offset, const char *why)
{
    if (diag != NULL) {
        *diag = (struct sf_diag){.offset = offset, .why = why};
    }
    return err;
}
