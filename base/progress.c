/* One line that tells how far something is.
 *
 * 1. It is never longer than a narrow terminal, so going back to its beginning takes it away. */

#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    BAR_WIDTH = 20,
    LABEL_WIDTH = 24,
    DRAW_MS = 100,
    RATE_AFTER_MS = 500, /* before that a rate says little */
};

int progress_has_terminal(void)
{
    const char *term = secure_getenv("TERM");
    return term && term[0] && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

void progress_begin(struct progress *p, enum progress_wish wish)
{
    *p = (struct progress){.is_shown = wish != PROGRESS_NEVER && progress_has_terminal(),
                           .started_ms = clock_mono_ms()};
}

static void put_rate(char *out, size_t size, uint64_t done, uint64_t total, int64_t elapsed_ms)
{
    const uint64_t rate = elapsed_ms >= RATE_AFTER_MS ? done * 1000 / (uint64_t)elapsed_ms : 0;
    if (rate == 0) {
        out[0] = '\0';
        return;
    }
    const int is_large = rate >= 1 << 20;
    const double shown = (double)rate / (is_large ? 1 << 20 : 1 << 10);
    int n = snprintf(out, size, "  %.1f %s", shown, is_large ? "MiB/s" : "KiB/s");
    if (done < total && n > 0 && (size_t)n < size) {
        snprintf(out + n, size - (size_t)n, ", %" PRIu64 " s left", (total - done) / rate + 1);
    }
}

void progress_line(const char *label, uint64_t done, uint64_t total, int64_t elapsed_ms,
                   char out[PROGRESS_LINE_SIZE])
{
    char bar[BAR_WIDTH + 1];
    char rate[48];
    done = done < total ? done : total;
    const unsigned filled = total ? (unsigned)(done * BAR_WIDTH / total) : BAR_WIDTH;
    const unsigned percent = total ? (unsigned)(done * 100 / total) : 100;
    for (unsigned i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < filled ? '#' : ' ';
    }
    bar[BAR_WIDTH] = '\0';
    put_rate(rate, sizeof rate, done, total, elapsed_ms);
    /* The end of a path tells more than its beginning. */
    const size_t len = strlen(label);
    const int is_cut = len > LABEL_WIDTH;
    snprintf(out, PROGRESS_LINE_SIZE, "%s%s [%s] %3u %%%s", is_cut ? "..." : "",
             is_cut ? label + len - (LABEL_WIDTH - 3) : label, bar, percent, rate);
}

static void draw(struct progress *p, const char *line)
{
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    p->is_dirty = 1;
}

static int is_due(struct progress *p, int64_t now_ms)
{
    if (!p->is_shown || (p->is_dirty && now_ms - p->drawn_ms < DRAW_MS)) {
        return 0;
    }
    p->drawn_ms = now_ms;
    return 1;
}

void progress_bytes(struct progress *p, const char *label, uint64_t done, uint64_t total)
{
    const int64_t now_ms = clock_mono_ms();
    char line[PROGRESS_LINE_SIZE];
    if (is_due(p, now_ms) || (p->is_shown && done >= total)) {
        progress_line(label, done, total, now_ms - p->started_ms, line);
        draw(p, line);
    }
}

void progress_text(struct progress *p, const char *text)
{
    char line[PROGRESS_LINE_SIZE];
    if (is_due(p, clock_mono_ms())) {
        snprintf(line, sizeof line, "%s", text);
        draw(p, line);
    }
}

void progress_clear(struct progress *p)
{
    if (p->is_dirty) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->is_dirty = 0;
    }
}

void progress_end(struct progress *p)
{
    if (p->is_dirty) {
        fputc('\n', stderr);
        p->is_dirty = 0;
    }
}
