/* Writes the man page of a program from the text of its --help: only the build runs this.
 *
 *     surefootd --help | manual_of_help surefootd 8 "the update server" 0.1.0 > surefootd.8 */

#include <stdio.h>

#include "base/manual.h"

enum { HELP_MAX = 65536 };

int main(int argc, char **argv)
{
    static char help[HELP_MAX + 1];
    if (argc != 5) {
        fputs("usage: manual_of_help NAME SECTION SUMMARY VERSION < help\n", stderr);
        return 2;
    }
    const size_t len = fread(help, 1, HELP_MAX, stdin);
    if (len == 0 || len == HELP_MAX) {
        fputs("manual_of_help: no help on stdin, or too much of it\n", stderr);
        return 1;
    }
    const struct manual manual = {argv[1], argv[2][0] - '0', argv[3], argv[4]};
    manual_of_help(stdout, &manual, help);
    return fflush(stdout) != 0 || ferror(stdout);
}
