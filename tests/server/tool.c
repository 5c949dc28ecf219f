#include "tests/server/tool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int tool_is_there(const char *path)
{
    if (access(path, X_OK) == 0) {
        return 1;
    }
    (void)printf("skipped: %s is not installed; script/bootstrap test installs it\n", path);
    return 0;
}

pid_t tool_start(const char *const args[], const char *log)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        union { /* execv() takes what it does not change */
            const char *const *in;
            char *const *out;
        } words = {args};
        (void)execv(args[0], words.out);
        _exit(127);
    }
    return pid;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int tool_poll(pid_t pid)
{
    int status = 0;
    const pid_t ended = waitpid(pid, &status, WNOHANG);
    assert_true(ended == 0 || ended == pid);
    return ended == 0 ? -1 : exit_code(status);
}

int tool_wait(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return exit_code(status);
}

int tool_full(void)
{
    const char *full = secure_getenv("SF_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0;
}
