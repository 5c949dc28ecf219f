/* A real surefootd for tests of the command line. */

#include "tests/cli/served.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/run.h"

static char url[128];
static pid_t server_pid;
static int server_out = -1;

/* Takes `url` from the line that names the port. */
static int wait_for_port(int fd)
{
    char line[256] = "";
    for (size_t n = 0; n + 1 < sizeof line && !strstr(line, "listening on "); n = 0) {
        while (n + 1 < sizeof line && read(fd, line + n, 1) == 1 && line[n] != '\n') {
            n++;
        }
        line[n] = '\0';
        if (n == 0) {
            return -1; /* it ended */
        }
    }
    const char *at = strstr(line, "https://");
    const char *port = at ? strrchr(at, ':') : NULL;
    if (!port) {
        return -1;
    }
    snprintf(url, sizeof url, "https://localhost%s", port);
    return 0;
}

int served_start(void)
{
    int fds[2];
    static const char program[] = SF_BIN_DIR "/surefootd";
    const char *const args[] = {program,  "--data",    run_path("data"), "--listen", "127.0.0.1:0",
                                "--host", "localhost", "--access-log",   "on",       NULL};
    char *argv[sizeof args / sizeof args[0]]; /* posix_spawn wants it without const */
    memcpy(argv, args, sizeof args);
    posix_spawn_file_actions_t actions;
    if (pipe(fds) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addopen(&actions, 2, run_path("server.log"), O_WRONLY | O_CREAT, 0600);
    int failed = posix_spawn(&server_pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    server_out = fds[0];
    return failed ? -1 : wait_for_port(fds[0]);
}

int served_stop(void)
{
    int status = 0;
    if (server_pid <= 0) {
        return -1;
    }
    kill(server_pid, SIGTERM);
    int failed = waitpid(server_pid, &status, 0) != server_pid || status != 0;
    close(server_out);
    server_pid = 0;
    return failed ? -1 : 0;
}

const char *served_url(void)
{
    return url;
}

int served_login(const char *token_file, const char *config)
{
    return run_surefoot("login", url, "--ca", run_path("data/ca.pem"), "--token-file", token_file,
                        config ? "--config" : NULL, config, NULL)
        ->status;
}

int served_make_lamp(void)
{
    const char *key = run_path("release.pem");
    int status = run_surefoot("key", "new", "--no-passphrase", key, NULL)->status;
    status |= served_login(run_path("data/admin-token"), NULL);
    status |=
        run_surefoot("product", "create", "lamp", "--chip", "esp32c3", "--vendor", "example.com",
                     "--slot-size", "65536", "--hw-revision", "A", "--hw-revision", "B",
                     "--release-key", key, "--enrol-token", run_path("lamp.token"), NULL)
            ->status;
    return status;
}
