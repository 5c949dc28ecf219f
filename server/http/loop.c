#include "server/http/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "formats/err.h"

static _Thread_local const struct loop *current;

/* Takes the whole queue at once, so that a task that posts again can't starve the sockets. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    (void)what;
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        log_error("eventfd read failed", LOG_INT("errno", errno));
    }
    (void)pthread_mutex_lock(&l->lock);
    struct task *task = l->first;
    l->first = NULL;
    l->last = NULL;
    (void)pthread_mutex_unlock(&l->lock);
    while (task != NULL) {
        struct task *next = task->next;
        task->run(task->arg);
        task = next;
    }
}

int loop_init(struct loop *l)
{
    memset(l, 0, sizeof(*l));
    l->wake_fd = -1;
    if (pthread_mutex_init(&l->lock, NULL) != 0) {
        return SF_ERR_NOMEM;
    }
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return SF_ERR_NOMEM;
    }
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    /* TLS asks to read and to write in turn: 14 epoll_ctl() a connection without it, 5 with it.
     * Safe as long as no descriptor of a loop is duplicated. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    l->base = event_base_new_with_config(config);
    event_config_free(config);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->base == NULL || l->wake_fd < 0) {
        return SF_ERR_NOMEM;
    }
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    if (l->wake == NULL || event_add(l->wake, NULL) != 0) {
        return SF_ERR_NOMEM;
    }
    return SF_OK;
}

static void *run(void *arg)
{
    struct loop *l = arg;
    current = l;
    (void)event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

int loop_start(struct loop *l, const char *name)
{
    /* No signal is for these threads; SIGPIPE, which a write to a closed socket sends to its
     * thread, stays blocked and the write fails with EPIPE. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int err = pthread_create(&l->thread, NULL, run, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        return SF_ERR_NOMEM;
    }
    l->running = 1;
    (void)pthread_setname_np(l->thread, name);
    return SF_OK;
}

void loop_post(struct loop *l, struct task *task)
{
    task->next = NULL;
    (void)pthread_mutex_lock(&l->lock);
    const int was_empty = l->first == NULL;
    if (was_empty) {
        l->first = task;
    } else {
        l->last->next = task;
    }
    l->last = task;
    (void)pthread_mutex_unlock(&l->lock);
    if (was_empty) {
        const uint64_t one = 1;
        ssize_t n;
        do {
            n = write(l->wake_fd, &one, sizeof(one));
        } while (n < 0 && errno == EINTR);
    }
}

int loop_is_current(const struct loop *l)
{
    return current == l;
}

static void stop(void *arg)
{
    (void)event_base_loopbreak(arg);
}

void loop_stop(struct loop *l)
{
    if (l->running) {
        struct task task = {.run = stop, .arg = l->base};
        loop_post(l, &task);
        (void)pthread_join(l->thread, NULL);
        l->running = 0;
    }
}

void loop_release(struct loop *l)
{
    if (l->wake != NULL) {
        event_free(l->wake);
    }
    if (l->base != NULL) {
        event_base_free(l->base);
    }
    if (l->wake_fd >= 0) {
        (void)close(l->wake_fd);
    }
    (void)pthread_mutex_destroy(&l->lock);
}
