#ifndef MANUAL_H
#define MANUAL_H

#include <stddef.h>
#include <stdio.h>

/* Manual pages in man(7), as groff and mandoc read them. */

enum { MANUAL_DATE_SIZE = 11 };

struct manual {
    const char *name; /* "surefoot-key" */
    int section;      /* 1, 8 */
    const char *summary;
    const char *version;
};

/* Today as YYYY-MM-DD, or the day of $SOURCE_DATE_EPOCH, so that packages can be built twice alike.
 */
void manual_date(char out[MANUAL_DATE_SIZE]);

/* Title, and the section NAME. */
void manual_begin(FILE *to, const struct manual *manual);
void manual_section(FILE *to, const char *title);
void manual_subsection(FILE *to, const char *title);

/* A piece of text, quoted so that no character of it is a command. Bold text may be copied: its
 * dashes are plain ones. */
void manual_text(FILE *to, const char *text, size_t len);
void manual_bold(FILE *to, const char *text, size_t len);

/* Lines of which those that begin with a space stand as they are, and the others are filled. */
void manual_prose(FILE *to, const char *lines);
/* Lines that stand as they are. */
void manual_verbatim(FILE *to, const char *lines);

/* A page from the text of --help: paragraphs, "usage:" and other headings without indentation,
 * "  --option VALUE   what it does" and the lines that go on with it. */
void manual_of_help(FILE *to, const struct manual *manual, const char *help);

#endif
