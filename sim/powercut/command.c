#include "sim/powercut/command.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"
#include "sim/powercut/cost.h"
#include "sim/powercut/sweep.h"

/* The command line, the jobs and the report. A job is a process of its own with a share of the
 * steps; what it finds stands in memory that all share. */

enum {
    EXIT_HOLDS = 0,
    EXIT_VIOLATION = 1,
    EXIT_USAGE = 2,
    JOBS_MAX = 64,
    DEPTH_DEFAULT = 5,
    RANDOM_DEFAULT = 640,
    RANDOM_FULL = 64000,
    RANDOM_MAX = 100000000,
    PAIRS_DEFAULT = 96,
    PAIRS_FULL = 1,
    TEXT_SIZE = 128,
    POLL_MS = 100,
    BAR = 24,
    ERROR_STATUS = 3,
};

static const char help_text[] =
    "usage: surefoot-sim powercut [options]\n"
    "       surefoot-sim powercut --replay 'LINE'\n"
    "       surefoot-sim powercut --cost\n"
    "\n"
    "Plays whole updates of the real engine on flash that loses power: before, inside and after\n"
    "each step, in the application, in the bootloader and in the record store; then lets the\n"
    "device recover and checks that it runs a complete image, old or new, byte for byte, that no\n"
    "image stays that is not confirmed, that the server was told the truth, and that the device\n"
    "takes the next update. docs/unbrickable.md says what is promised, and under which "
    "assumptions.\n"
    "\n"
    "  --depth N        most cuts in one schedule, 1 to 5 (default 5): 1 tries each step alone,\n"
    "                   2 also pairs of cuts in otadata, records and eFuse, more also at random\n"
    "  --full           everything: each byte of small writes, all pairs, 64000 schedules at "
    "random\n"
    "  --seed N         of what is chosen at random (default 1)\n"
    "  --jobs N         processes (default: one a CPU)\n"
    "  --scenario NAME  only this one; --scenario list shows them\n"
    "  --sweep KIND     only single, pairs, faults, net or random; may be given again\n"
    "  --first          end at the first violation\n"
    "  --replay LINE    only this schedule, as a violation printed it\n"
    "  --cost           no power cuts: what each update costs the flash, beside the least that "
    "any\n"
    "                   update can cost (docs/flashwear.md)\n"
    "  --json           the summary as one JSON object; of --cost an array\n"
    "\n"
    "examples:\n"
    "  surefoot-sim powercut --scenario crash --depth 1\n"
    "  surefoot-sim powercut --sweep pairs --pairs 8 --json | jq .violations\n"
    "\n"
    "exit status: 0 every invariant held, 1 at least one violation, 2 usage\n";

const char *powercut_help(void)
{
    return help_text;
}

struct command {
    struct sweep_options sweep;
    const char *replay;
    long random; /* < 0 = not said */
    int json;
    int cost;
    struct tally *tally; /* of each job, shared */
    double cpu_s;
};

static int usage(const char *what, const char *value)
{
    fprintf(stderr, "surefoot-sim: powercut: %s '%s'; see surefoot-sim powercut --help\n", what,
            value);
    return EXIT_USAGE;
}

/* ---- options ---- */

enum {
    OPT_DEPTH = 256,
    OPT_FULL,
    OPT_SEED,
    OPT_JOBS,
    OPT_SCENARIO,
    OPT_SWEEP,
    OPT_FIRST,
    OPT_REPLAY,
    OPT_COST,
    OPT_PAIRS,
    OPT_RANDOM,
    OPT_JSON,
    OPT_HELP
};

static const struct option known[] = {
    {.name = "depth", .has_arg = required_argument, .val = OPT_DEPTH},
    {.name = "full", .has_arg = no_argument, .val = OPT_FULL},
    {.name = "seed", .has_arg = required_argument, .val = OPT_SEED},
    {.name = "jobs", .has_arg = required_argument, .val = OPT_JOBS},
    {.name = "scenario", .has_arg = required_argument, .val = OPT_SCENARIO},
    {.name = "sweep", .has_arg = required_argument, .val = OPT_SWEEP},
    {.name = "first", .has_arg = no_argument, .val = OPT_FIRST},
    {.name = "replay", .has_arg = required_argument, .val = OPT_REPLAY},
    {.name = "cost", .has_arg = no_argument, .val = OPT_COST},
    {.name = "pairs", .has_arg = required_argument, .val = OPT_PAIRS},
    {.name = "random", .has_arg = required_argument, .val = OPT_RANDOM},
    {.name = "json", .has_arg = no_argument, .val = OPT_JSON},
    {.name = "help", .has_arg = no_argument, .val = OPT_HELP},
    {.name = NULL},
};

static int list_scenarios(void)
{
    for (const struct scenario *s = scenarios; s->name; s++) {
        printf("%-14s %s\n", s->name, s->what);
    }
    return EXIT_HOLDS;
}

/* A number of an option; < 0 after telling what is wrong. */
static long number(const char *option, long min, long max)
{
    char *end = NULL;
    const long value = strtol(optarg, &end, 10);
    if (end == optarg || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "surefoot-sim: powercut: --%s takes a number from %ld to %ld, not '%s'\n",
                option, min, max, optarg);
        return -1;
    }
    return value;
}

/* Takes one option. < 0 to go on, else the exit status. */
static int take_option(struct command *c, int option)
{
    struct sweep_options *o = &c->sweep;
    long value = 0;
    switch (option) {
    case OPT_DEPTH:
        value = number("depth", 1, SCHEDULE_CUTS_MAX);
        o->depth = (unsigned)value;
        break;
    case OPT_SEED:
        value = number("seed", 0, INT32_MAX);
        o->seed = (uint32_t)value;
        break;
    case OPT_JOBS:
        value = number("jobs", 1, JOBS_MAX);
        o->jobs = (unsigned)value;
        break;
    case OPT_PAIRS:
        value = number("pairs", 1, RANDOM_MAX);
        o->pair_every = (unsigned)value;
        break;
    case OPT_RANDOM:
        value = number("random", 0, RANDOM_MAX);
        c->random = value;
        break;
    case OPT_FULL:
        o->is_full = 1;
        break;
    case OPT_SCENARIO:
        if (strcmp(optarg, "list") == 0) {
            return list_scenarios();
        }
        o->only = scenario_find(optarg);
        if (!o->only) {
            return usage("there is no scenario", optarg);
        }
        break;
    case OPT_SWEEP:
        if (sweep_kind_find(optarg) == SWEEP_KINDS) {
            return usage("there is no sweep (single, pairs, faults, net, random) of the name",
                         optarg);
        }
        o->kinds |= 1U << sweep_kind_find(optarg);
        break;
    case OPT_FIRST:
        o->is_first = 1;
        break;
    case OPT_REPLAY:
        c->replay = optarg;
        break;
    case OPT_COST:
        c->cost = 1;
        break;
    case OPT_JSON:
        c->json = 1;
        break;
    case OPT_HELP:
        fputs(help_text, stdout);
        return EXIT_HOLDS;
    default:
        return usage(option == ':' ? "a value is missing after" : "unknown option", "");
    }
    return value < 0 ? EXIT_USAGE : -1;
}

static void settle_amounts(struct command *c)
{
    struct sweep_options *o = &c->sweep;
    if (o->pair_every == 0) {
        o->pair_every = o->is_full ? PAIRS_FULL : PAIRS_DEFAULT;
    }
    if (c->random < 0) {
        c->random = o->is_full ? RANDOM_FULL : RANDOM_DEFAULT;
    }
    o->random_count = o->depth < 3 ? 0 : (unsigned)c->random;
}

static int parse(struct command *c, int argc, char **argv)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    c->sweep = (struct sweep_options){.depth = DEPTH_DEFAULT, .seed = 1};
    c->sweep.jobs = cpus < 1 ? 1 : cpus > JOBS_MAX ? (unsigned)JOBS_MAX : (unsigned)cpus;
    optind = 1;
    for (;;) {
        /* one thread, at the program's start */
        const int got =
            getopt_long(argc, argv, ":", known, NULL); /* NOLINT(concurrency-mt-unsafe) */
        if (got == -1) {
            break;
        }
        if (got == ':' || got == '?') {
            return usage(got == ':' ? "a value is missing after" : "unknown option",
                         argv[optind - 1]);
        }
        const int status = take_option(c, got);
        if (status >= 0) {
            return status;
        }
    }
    if (optind != argc) {
        return usage("unexpected argument", argv[optind]);
    }
    settle_amounts(c);
    return -1;
}

/* ---- report ---- */

static void add_up(const struct tally *jobs, unsigned count, struct tally *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (unsigned i = 0; i < count; i++) {
        const struct tally *t = &jobs[i];
        sum->schedules += t->schedules;
        sum->steps += t->steps;
        sum->boots += t->boots;
        sum->cuts += t->cuts;
        sum->outside += t->outside;
        sum->violations += t->violations;
        sum->real += t->real;
        sum->messages += t->messages;
        sum->units_done += t->units_done;
        for (int k = 0; k < SWEEP_KINDS; k++) {
            sum->by_kind[k] += t->by_kind[k];
        }
        for (unsigned f = 0; f < t->finding_count && sum->finding_count < SWEEP_FINDINGS; f++) {
            sum->finding[sum->finding_count++] = t->finding[f];
        }
    }
}

static json_t *findings_json(const struct tally *t)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < t->finding_count; i++) {
        json_array_append_new(
            all, json_pack("{s:s, s:s}", "replay", t->finding[i].line, "what", t->finding[i].what));
    }
    return all;
}

static int report_json(const struct command *c, const struct tally *t)
{
    json_t *kinds = json_object();
    for (int k = 0; k < SWEEP_KINDS; k++) {
        json_object_set_new(kinds, sweep_kind_name((enum sweep_kind)k),
                            json_integer((json_int_t)t->by_kind[k]));
    }
    json_t *all =
        json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:f, s:o}", "schedules",
                  (json_int_t)t->schedules, "schedules_by_sweep", kinds, "steps",
                  (json_int_t)t->steps, "cuts", (json_int_t)t->cuts, "boots", (json_int_t)t->boots,
                  "violations", (json_int_t)t->violations, "outside_the_promise",
                  (json_int_t)t->outside, "messages", (json_int_t)t->messages,
                  "schedules_with_ecdsa", (json_int_t)t->real, "depth", (int)c->sweep.depth, "seed",
                  (int)c->sweep.seed, "cpu_s", c->cpu_s, "findings", findings_json(t));
    const int bad = !all || json_dumpf(all, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF;
    json_decref(all);
    return bad ? SF_ERR_IO : SF_OK;
}

static void report_text(const struct command *c, const struct tally *t)
{
    for (unsigned i = 0; i < t->finding_count; i++) {
        printf("violation: %s\n  surefoot-sim powercut --replay '%s'\n", t->finding[i].what,
               t->finding[i].line);
    }
    if (t->violations > t->finding_count) {
        printf("... and %llu more\n", (unsigned long long)(t->violations - t->finding_count));
    }
    printf("%llu schedules (", (unsigned long long)t->schedules);
    for (int k = 0; k < SWEEP_KINDS; k++) {
        printf("%s%llu %s", k > 0 ? ", " : "", (unsigned long long)t->by_kind[k],
               sweep_kind_name((enum sweep_kind)k));
    }
    printf("), %llu power cuts, %llu boots, %llu flash steps\n", (unsigned long long)t->cuts,
           (unsigned long long)t->boots, (unsigned long long)t->steps);
    if (t->messages > 0) {
        printf("%llu messages, each broken in every way\n", (unsigned long long)t->messages);
    }
    printf("signatures: a keyed MAC in place of ECDSA, but for %llu schedules with ECDSA\n",
           (unsigned long long)t->real);
    printf("outside the promise: %llu (an image that dies before our early hook, where the\n"
           "bootloader cannot roll back or its own write of ota_state was torn)\n",
           (unsigned long long)t->outside);
    if (c->cpu_s > 0) {
        printf("%.1f s of CPU, %.0f schedules a CPU second\n", c->cpu_s,
               (double)t->schedules / c->cpu_s);
    }
    printf("%llu violations\n", (unsigned long long)t->violations);
}

/* ---- jobs ---- */

static void show(struct progress *p, const struct command *c, uint64_t units)
{
    char text[TEXT_SIZE];
    char bar[BAR + 1];
    struct tally sum;
    add_up(c->tally, c->sweep.jobs, &sum);
    const uint64_t done = units > 0 && sum.units_done < units ? sum.units_done : units;
    const unsigned percent = units > 0 ? (unsigned)(done * 100 / units) : 0;
    for (unsigned i = 0; i < BAR; i++) {
        bar[i] = i * 100 < percent * BAR ? '#' : ' ';
    }
    bar[BAR] = '\0';
    snprintf(text, sizeof(text), "[%s] %3u %%  %llu schedules, %llu violations", bar, percent,
             (unsigned long long)sum.schedules, (unsigned long long)sum.violations);
    progress_text(p, text);
}

static void run_job(struct command *c, unsigned job)
{
    struct sweep_options o = c->sweep;
    o.job = job;
    const int err = sweep_run(&o, &c->tally[job]);
    if (err != SF_OK) {
        fprintf(stderr, "surefoot-sim: powercut: cannot go on: %s\n", sf_err_str(err));
    }
    _exit(err == SF_OK ? 0 : ERROR_STATUS);
}

/* Until every job has ended; 1 if all of them got through. */
static int wait_for_jobs(const struct command *c, unsigned running, int ok)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    struct progress progress;
    progress_begin(&progress, PROGRESS_IF_TERMINAL);
    const uint64_t units = progress.is_shown ? sweep_units(&c->sweep) : 0;
    while (running > 0) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            running--;
            ok &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
        } else if (pid < 0 && errno != EINTR) {
            ok = 0;
            break;
        } else {
            show(&progress, c, units);
            nanosleep(&pause, NULL);
        }
    }
    progress_clear(&progress);
    return ok;
}

static int run_jobs(struct command *c)
{
    unsigned running = 0;
    int ok = 1;
    fflush(stdout);
    for (unsigned i = 0; i < c->sweep.jobs; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            run_job(c, i);
        }
        running += pid > 0;
        ok &= pid > 0;
    }
    return wait_for_jobs(c, running, ok);
}

static double cpu_seconds(void)
{
    struct rusage own;
    struct rusage jobs;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &jobs);
    const struct timeval all[] = {own.ru_utime, own.ru_stime, jobs.ru_utime, jobs.ru_stime};
    double s = 0;
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        s += (double)all[i].tv_sec + (double)all[i].tv_usec / 1e6;
    }
    return s;
}

static int replay(struct command *c)
{
    struct schedule plan;
    char bad[SCHEDULE_LINE_SIZE];
    if (schedule_parse(c->replay, &plan, bad) != SF_OK) {
        return usage("cannot replay: this is no schedule, at", bad);
    }
    c->sweep.jobs = 1;
    c->sweep.depth = plan.cut_count;
    return sweep_replay(&plan, c->json ? NULL : stdout, c->tally) == SF_OK ? -1 : ERROR_STATUS;
}

static int act(struct command *c)
{
    struct tally sum;
    int ok = 1;
    if (c->replay) {
        const int status = replay(c);
        if (status >= 0) {
            return status;
        }
    } else {
        ok = run_jobs(c);
    }
    c->cpu_s = cpu_seconds();
    add_up(c->tally, c->sweep.jobs, &sum);
    if (c->json) {
        ok &= report_json(c, &sum) == SF_OK;
    } else {
        report_text(c, &sum);
    }
    if (!ok) {
        fprintf(stderr, "surefoot-sim: powercut: a job ended early: these figures are not all\n");
    }
    return ok && sum.violations == 0 ? EXIT_HOLDS : EXIT_VIOLATION;
}

int powercut_command(int argc, char **argv)
{
    struct command c = {.random = -1};
    int status = parse(&c, argc, argv);
    if (status >= 0) {
        return status;
    }
    if (c.cost) {
        return cost_report(c.sweep.only, c.json) == SF_OK ? EXIT_HOLDS : EXIT_VIOLATION;
    }
    const size_t size = JOBS_MAX * sizeof(struct tally);
    c.tally = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.tally == MAP_FAILED) {
        return usage("no memory for", "the jobs");
    }
    status = act(&c);
    munmap(c.tally, size);
    return status;
}
