/* Passphrases and PINs. */

#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

static const char variable[] = "SUREFOOT_PASSPHRASE_FILE";

/* Reads up to the end of a line, without it. -1: nothing came, or more than fits. */
static int read_line(int fd, struct passphrase *out)
{
    size_t len = 0;
    char c = '\0';
    ssize_t n = 0;
    errno = 0;
    while ((n = read(fd, &c, 1)) == 1 && c != '\n') {
        if (len == PASSPHRASE_MAX) {
            errno = EFBIG;
            return -1;
        }
        out->text[len++] = c;
    }
    if (len > 0 && out->text[len - 1] == '\r') {
        len--;
    }
    out->text[len] = '\0';
    return n < 0 || (n == 0 && len == 0) || strlen(out->text) != len ? -1 : 0;
}

static int from_file(struct passphrase *out, const char *path)
{
    const int is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fail(CLI_LOCAL, "cannot read the passphrase from '%s': %s", path,
                        strerrordesc_np(errno));
    }
    const int failed = read_line(fd, out) != 0;
    const int why = errno;
    if (!is_stdin) {
        close(fd);
    }
    if (failed) {
        return cli_fail(CLI_LOCAL, "cannot read the passphrase from '%s': %s", path,
                        why ? strerrordesc_np(why) : "its first line is empty or no text");
    }
    return CLI_OK;
}

/* One question, without echo. */
static int ask(int tty, struct passphrase *out, const char *question, const char *what)
{
    struct termios before;
    if (tcgetattr(tty, &before) != 0) {
        return -1;
    }
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ECHONL;
    if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0) {
        return -1;
    }
    dprintf(tty, "%s%s: ", question, what);
    const int failed = read_line(tty, out);
    return tcsetattr(tty, TCSAFLUSH, &before) != 0 ? -1 : failed;
}

static int from_terminal(int tty, struct passphrase *out, enum passphrase_use use, const char *what)
{
    struct passphrase again = {{0}};
    int status = CLI_OK;
    if (ask(tty, out, use == PASSPHRASE_NEW ? "new " : "", what) != 0) {
        return cli_fail(CLI_LOCAL, "no %s was typed", what);
    }
    if (use == PASSPHRASE_NEW && strlen(out->text) >= PASSPHRASE_MIN) {
        if (ask(tty, &again, "once more, ", what) != 0 || strcmp(again.text, out->text) != 0) {
            status = cli_fail(CLI_REFUSED, "the two differ; nothing was made");
        }
    }
    passphrase_wipe(&again);
    return status;
}

static int get(struct passphrase *out, enum passphrase_use use, const char *file, const char *what)
{
    const char *path = file ? file : secure_getenv(variable);
    if (path && path[0]) {
        return from_file(out, path);
    }
    const int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0) {
        return cli_fail(CLI_USAGE,
                        "there is no terminal to ask for the %s: put it into a file and name that "
                        "with --passphrase-file or %s%s",
                        what, variable,
                        use == PASSPHRASE_NEW
                            ? "; --no-passphrase leaves the key open to whoever reads its file"
                            : "");
    }
    const int status = from_terminal(tty, out, use, what);
    close(tty);
    return status;
}

int passphrase_get(struct passphrase *out, enum passphrase_use use, const char *file,
                   const char *what)
{
    memset(out, 0, sizeof *out);
    const int status = get(out, use, file, what);
    if (status == CLI_OK && use == PASSPHRASE_NEW && strlen(out->text) < PASSPHRASE_MIN) {
        return cli_fail(CLI_REFUSED,
                        "the %s is shorter than %d characters; nothing was made. Several words in "
                        "a row are easy to keep",
                        what, PASSPHRASE_MIN);
    }
    return status;
}

void passphrase_wipe(struct passphrase *p)
{
    explicit_bzero(p, sizeof *p);
}
