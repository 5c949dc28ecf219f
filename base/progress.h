#ifndef PROGRESS_H
#define PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* One line at the bottom of a terminal that tells how far something is: on stderr, only if that is
 * a terminal that can go back to the line's beginning (TERM is neither unset nor dumb), without
 * colours. In pipes and logs there is none. */

enum progress_wish { PROGRESS_IF_TERMINAL, PROGRESS_NEVER };

struct progress {
    int is_shown;
    int is_dirty; /* something stands on the line */
    int64_t started_ms;
    int64_t drawn_ms;
};

/* Whether stderr is such a terminal. */
int progress_has_terminal(void);

void progress_begin(struct progress *p, enum progress_wish wish);

/* Draws at most ten times a second, and when it is done. */
void progress_bytes(struct progress *p, const char *label, uint64_t done, uint64_t total);
/* The same with a text of one's own. */
void progress_text(struct progress *p, const char *text);

/* Before something else is printed: takes the line away. */
void progress_clear(struct progress *p);
/* Leaves the line as it is, and begins a new one. */
void progress_end(struct progress *p);

/* What progress_bytes() draws: "app.bin [####    ]  50 %  1.2 MiB/s, 3 s left", at most 79
 * characters. Pure; up to 2^50 bytes. */
enum { PROGRESS_LINE_SIZE = 80 };
void progress_line(const char *label, uint64_t done, uint64_t total, int64_t elapsed_ms,
                   char out[PROGRESS_LINE_SIZE]);

#endif
