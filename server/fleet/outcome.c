/* Outcomes in words. A table and two exceptions. */
#include "server/fleet/outcome.h"

#include <stdio.h>

#include "formats/err.h"

int outcome_is_rollback(const struct sf_outcome *o)
{
    switch (o->error) {
    case SF_OK:
    case SF_ERR_ROLLBACK_FAILED:
        return 0;
    case SF_ERR_CRASHED:
    case SF_ERR_SELF_TEST:
    case SF_ERR_SELF_TEST_DEADLINE:
    case SF_ERR_NO_SERVER:
    case SF_ERR_TRIAL_DEADLINE:
    case SF_ERR_WATCHDOG:
    case SF_ERR_POWER:
    case SF_ERR_FELL_BACK:
        return 1;
    default:
        return o->reset_reason != SF_RESET_UNKNOWN;
    }
}

static const char *beginning(const struct sf_outcome *o)
{
    const int error = o->error;
    if (error == SF_OK) {
        return "confirmed";
    }
    if (error == SF_ERR_CANCELLED || error == SF_ERR_SUPERSEDED) {
        return ""; /* it says it all */
    }
    if (error == SF_ERR_ROLLBACK_FAILED) {
        return "did not go back: ";
    }
    return outcome_is_rollback(o) ? "rolled back: " : "not installed: ";
}

/* The cause of the reset, where that is what happened and the error does not say it. */
static const char *cause(const struct sf_outcome *o)
{
    const int reset_ended_it = o->error == SF_ERR_CRASHED || o->error == SF_ERR_POWER ||
                               o->error == SF_ERR_ROLLBACK_FAILED;
    const int says_something =
        o->reset_reason != SF_RESET_UNKNOWN &&
        (o->error != SF_ERR_ROLLBACK_FAILED || o->reset_reason != SF_RESET_SOFTWARE);
    return reset_ended_it && says_something ? sf_reset_reason_str(o->reset_reason) : NULL;
}

void outcome_words(const struct sf_outcome *o, char *out, size_t size)
{
    const char *reset = cause(o);
    const char *between = o->text[0] == '\0'             ? ""
                          : o->error == SF_ERR_NO_SERVER ? ", " /* "nor does the image before it" */
                                                         : ": ";
    (void)snprintf(out, size, "%s%s%s%s%s%s%s", beginning(o),
                   o->error == SF_OK ? "" : sf_err_str(o->error), reset != NULL ? " (" : "",
                   reset != NULL ? reset : "", reset != NULL ? ")" : "", between, o->text);
}
