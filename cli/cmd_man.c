/* surefoot man: the manual pages. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/file.h"
#include "cli/groups.h"
#include "cli/man_pages.h"

/* `group` NULL: surefoot(1). */
static void print_page(FILE *to, const struct cli_group *group)
{
    if (group) {
        man_page_group(to, group, SUREFOOT_VERSION);
    } else {
        man_page_top(to, SUREFOOT_VERSION);
    }
}

static int write_page(const char *folder, const struct cli_group *group)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t len = 0;
    int n = snprintf(path, sizeof path, "%s/surefoot%s%s.1", folder, group ? "-" : "",
                     group ? group->name : "");
    if (n < 0 || (size_t)n >= sizeof path) {
        return cli_fail(CLI_LOCAL, "cannot write '%s': the path is too long", folder);
    }
    FILE *to = open_memstream(&text, &len);
    if (!to) {
        return cli_fail(CLI_LOCAL, "out of memory");
    }
    print_page(to, group);
    int status = fclose(to) != 0 ? cli_fail(CLI_LOCAL, "out of memory")
                                 : file_write(path, text, len, 0644, FILE_REPLACE);
    free(text);
    return status;
}

static int run_man(const struct cli_args *args)
{
    const char *folder = args->operand_count ? args->operand[0] : NULL;
    if (!folder) {
        print_page(stdout, NULL);
        return CLI_OK;
    }
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        return cli_fail(CLI_LOCAL, "cannot make the folder '%s': %s", folder,
                        strerrordesc_np(errno));
    }
    int status = write_page(folder, NULL);
    for (const struct cli_group *g = cli_groups; status == CLI_OK && g->name; g++) {
        status = write_page(folder, g);
    }
    return status;
}

const struct cli_command cmd_man[] = {
    {.name = "",
     .operands = "[DIR]",
     .summary =
         "write a manual page for each command into a folder; without one, print surefoot(1)",
     .details = "The pages say what --help says. Packages have them installed already.\n",
     .examples = "  surefoot man | man -l -\n"
                 "  surefoot man ~/.local/share/man/man1\n",
     .operand_max = 1,
     .run = run_man},
    {.name = NULL},
};
