#ifndef LOOP_H
#define LOOP_H

#include <event2/event.h>
#include <pthread.h>

/* A thread with an event base of its own and a queue through which other threads hand it work. The
 * base has no locks: only its thread touches it and what is registered on it. */

struct task {
    void (*run)(void *arg);
    void *arg;
    struct task *next;
};

struct loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd; /* an eventfd, written when the queue becomes non-empty */
    pthread_t thread;
    int running; /* the thread exists; touched by the owner only */
    pthread_mutex_t lock;
    struct task *first; /* under lock, like last */
    struct task *last;
};

/* Errors: SF_ERR_NOMEM. Release also after an error. */
int loop_init(struct loop *l) __attribute__((warn_unused_result));
int loop_start(struct loop *l, const char *name) __attribute__((warn_unused_result));

/* Runs task->run(task->arg) on the loop's thread, in the order of the calls. From any thread; the
 * task belongs to the loop until run is called, and may be freed or posted again by it. */
void loop_post(struct loop *l, struct task *task);

/* 1 if the caller is on the loop's thread. */
int loop_is_current(const struct loop *l);

/* Runs what is queued, ends the thread and waits for it. Tasks posted later never run. */
void loop_stop(struct loop *l);
void loop_release(struct loop *l);

#endif
