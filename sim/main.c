/* surefoot-sim: a fleet of virtual ESP32s against a real server. Composes options, flash image,
 * fleet and report; decides when a run is over and with which exit status. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/progress.h"
#include "ports/host/crypt.h"
#include "ports/host/crypto_psa.h"
#include "ports/host/port.h"
#include "ports/host/sbv2_psa.h"
#include "sim/flash_image.h"
#include "sim/fleet.h"
#include "sim/options.h"
#include "sim/powercut/command.h"
#include "sim/report.h"
#include "surefoot/record.h"

enum {
    EXIT_GOOD = 0,
    EXIT_SOME_NOT = 1,
    EXIT_USAGE = 2,
    EXIT_NO_SERVER = 3,
    CHECK_MS = 100,          /* how often it is asked whether the run is over */
    PROGRESS_TTY_MS = 500,   /* one updating line */
    PROGRESS_FILE_MS = 5000, /* a line each */
    NO_SERVER_AFTER_MS = 15000,
    FDS_BESIDES = 64,
    PATH_SIZE = 512,
};

/* A real chip makes one of its own, which nobody can read. With one for all they share the pages of
 * the flash they start with. */
static const uint8_t flash_key[SF_HOST_CRYPT_KEY_SIZE] = "surefoot-sim: no secret at all";

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

static void say(const char *what, const char *name, const char *why)
{
    fprintf(stderr, "surefoot-sim: %s '%s': %s\n", what, name, why);
}

/* ---- files ---- */

/* Reads a file of at most `size` bytes; its length or -1 after telling why. */
static ssize_t read_file(const char *path, uint8_t *out, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        say("cannot open", path, strerrordesc_np(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    ssize_t got = -1;
    if (st.st_size > (off_t)size) {
        say("cannot use", path, "it is larger than the flash it is to go into");
    } else {
        got = read(fd, out, size);
        if (got != st.st_size) {
            say("cannot read", path, got < 0 ? strerrordesc_np(errno) : "it changed meanwhile");
            got = -1;
        }
    }
    close(fd);
    return got;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0) {
            return SF_ERR_IO;
        }
        data += done;
        len -= (size_t)done;
    }
    return SF_OK;
}

static int say_bad_image(const char *path, int err, const struct sf_diag *diag)
{
    fprintf(stderr, "surefoot-sim: cannot use '%s': %s at byte %zu (%s)\n", path, sf_err_str(err),
            diag->offset, diag->why ? diag->why : sf_err_name(err));
    return err;
}

/* The flash with which devices start, in `out` of `size` bytes. */
static int load_flash(const struct options *o, uint8_t *out, uint32_t size)
{
    struct sf_diag diag = {0};
    const char *path = o->firmware ? o->firmware : o->flash;
    memset(out, 0xff, size);
    uint8_t *app = o->firmware ? malloc(FLASH_IMAGE_SLOT_SIZE) : NULL;
    if (o->firmware && !app) {
        return SF_ERR_NOMEM;
    }
    ssize_t len = read_file(path, app ? app : out, app ? FLASH_IMAGE_SLOT_SIZE : size);
    int err = len < 0 ? SF_ERR_IO : SF_OK;
    if (err == SF_OK && app) {
        err = flash_image_build(app, (size_t)len, out, &diag);
        if (err < 0) {
            say_bad_image(path, err, &diag);
        }
    }
    free(app);
    return err;
}

static int make_flash(const struct options *o)
{
    uint8_t *flash = malloc(FLASH_IMAGE_SIZE);
    if (!flash) {
        say("cannot make", o->output, sf_err_str(SF_ERR_NOMEM));
        return EXIT_USAGE;
    }
    int status = EXIT_USAGE;
    int fd = -1;
    if (load_flash(o, flash, FLASH_IMAGE_SIZE) < 0) {
        goto out;
    }
    fd = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || write_all(fd, flash, FLASH_IMAGE_SIZE) < 0) {
        say("cannot write", o->output, strerrordesc_np(errno));
        goto out;
    }
    status = EXIT_GOOD;
out:
    if (fd >= 0 && close(fd) != 0 && status == EXIT_GOOD) {
        say("cannot write", o->output, strerrordesc_np(errno));
        status = EXIT_USAGE;
    }
    free(flash);
    return status;
}

static int encrypt_flash(uint8_t *flash, uint32_t size)
{
    static const struct sf_flash none = {0};
    struct sf_host_crypt crypt;
    sf_host_crypt_init(&crypt, &none, flash_key, SF_HOST_CRYPT_BLOCK);
    return sf_host_crypt_first_boot(&crypt, flash, size);
}

/* A file in memory with the first flash content, for private mappings. Its chip in `chip_id`. */
static int make_base(const struct options *o, uint32_t size, uint16_t *chip_id)
{
    struct sf_diag diag = {0};
    uint8_t *flash = malloc(size);
    int fd = memfd_create("surefoot-sim flash", MFD_CLOEXEC);
    int ok = flash && fd >= 0 && load_flash(o, flash, size) == SF_OK;
    if (ok) {
        int chip = flash_image_chip(flash, size, &diag);
        if (chip < 0) {
            say_bad_image(o->flash ? o->flash : o->firmware, chip, &diag);
            ok = 0;
        }
        *chip_id = (uint16_t)chip;
    }
    if (ok && o->flash_encryption) {
        const int err = encrypt_flash(flash, size);
        ok = err == SF_OK;
        if (!ok) {
            say("cannot encrypt", o->flash ? o->flash : o->firmware, sf_err_str(err));
        }
    }
    if (ok && write_all(fd, flash, size) < 0) {
        say("cannot hold", "flash in memory", strerrordesc_np(errno));
        ok = 0;
    }
    free(flash);
    if (!ok && fd >= 0) {
        close(fd);
    }
    return ok ? fd : -1;
}

/* The seed of the ids: as given, as kept in the state folder, or random; kept there if new. */
static int settle_seed(const struct options *o, uint32_t *seed)
{
    char path[PATH_SIZE];
    char text[16] = "";
    *seed = o->seed;
    if (!o->has_seed && getrandom(seed, sizeof(*seed), 0) != (ssize_t)sizeof(*seed)) {
        return SF_ERR_IO;
    }
    *seed &= 0xffffff;
    if (!o->state_dir) {
        return SF_OK;
    }
    if (mkdir(o->state_dir, 0777) != 0 && errno != EEXIST) {
        say("cannot create the state folder", o->state_dir, strerrordesc_np(errno));
        return SF_ERR_IO;
    }
    snprintf(path, sizeof(path), "%s/seed", o->state_dir);
    FILE *file = o->has_seed ? NULL : fopen(path, "re");
    if (file) {
        char *end = NULL;
        int got = fgets(text, sizeof(text), file) != NULL;
        fclose(file);
        *seed = (uint32_t)strtoul(text, &end, 10) & 0xffffff;
        if (!got || end == text) {
            say("cannot use", path, "it holds no number");
            return SF_ERR_FORMAT;
        }
        return SF_OK;
    }
    file = fopen(path, "we");
    int ok = file && fprintf(file, "%u\n", *seed) > 0;
    ok &= file && fclose(file) == 0;
    if (!ok) {
        say("cannot write", path, strerrordesc_np(errno));
    }
    return ok ? SF_OK : SF_ERR_IO;
}

/* ---- the run ---- */

/* Each open request needs a descriptor, each flash file only while it is opened. */
static unsigned request_limit(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return wanted;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < (rlim_t)2 * FDS_BESIDES) {
        return FDS_BESIDES;
    }
    rlim_t room = limit.rlim_cur - FDS_BESIDES;
    return wanted < room ? wanted : (unsigned)room;
}

static const char *place_of(const struct options *o)
{
    return o->static_tree ? o->static_tree : o->server;
}

struct run {
    const struct options *options;
    struct fleet fleet;
    uint64_t start_ms;
    uint64_t progress_at_ms;
    int tty;
    int no_server;
};

/* Whether it is time to stop. */
static int is_over(struct run *r, uint64_t now)
{
    const struct options *o = r->options;
    uint64_t elapsed = now - r->start_ms;
    if (stop_signal || o->until == UNTIL_FOREVER) {
        return stop_signal != 0;
    }
    if (o->until == UNTIL_SECONDS) {
        return elapsed >= (uint64_t)o->until_s * 1000;
    }
    struct fleet_counts c = fleet_count(&r->fleet);
    r->no_server = c.silent == o->devices && c.last_net_error < 0 &&
                   elapsed >= o->ramp_ms + (uint64_t)NO_SERVER_AFTER_MS;
    return c.at_rest + c.boot_fails == o->devices || r->no_server ||
           elapsed >= (uint64_t)o->timeout_s * 1000;
}

static void show_progress(struct run *r, uint64_t now)
{
    if ((!r->options->progress && !r->tty) || now < r->progress_at_ms) {
        return;
    }
    r->progress_at_ms = now + (r->tty ? PROGRESS_TTY_MS : PROGRESS_FILE_MS);
    report_progress(&r->fleet, now - r->start_ms, stderr);
    fputs(r->tty ? "\033[K\r" : "\n", stderr);
}

static int finish(struct run *r)
{
    const struct options *o = r->options;
    uint64_t elapsed = sf_host_now_ms() - r->start_ms;
    struct fleet_counts c = fleet_count(&r->fleet);
    if (r->tty || o->progress) {
        report_progress(&r->fleet, elapsed, stderr);
        fputs(r->tty ? "\033[K\n" : "\n", stderr);
    }
    if (!o->json) {
        report_table(&r->fleet, o->rows, stdout);
    } else if (report_json(&r->fleet, elapsed, stdout) < 0) {
        say("cannot write", "standard output", strerrordesc_np(errno));
        return EXIT_SOME_NOT;
    }
    if (c.silent == o->devices && c.last_net_error < 0) {
        say("no device reached", place_of(o), sf_err_str(c.last_net_error));
        return EXIT_NO_SERVER;
    }
    return c.at_rest == o->devices ? EXIT_GOOD : EXIT_SOME_NOT;
}

static int run_fleet(struct run *r)
{
    uint64_t check_at = 0;
    for (;;) {
        uint64_t now = sf_host_now_ms();
        show_progress(r, now);
        if (now >= check_at) {
            if (is_over(r, now)) {
                return finish(r);
            }
            check_at = now + CHECK_MS;
        }
        if (fleet_run(&r->fleet, check_at) < 0) {
            say("cannot wait for", "the network", strerrordesc_np(errno));
            return EXIT_SOME_NOT;
        }
    }
}

static void fill_secure_boot(const struct options *o, const struct sf_sbv2_verifier *verifier,
                             struct vesp32_options *out)
{
    out->verifier = verifier;
    out->secure_boot = (struct vesp32_secure_boot){
        .enabled = 1, .digest_size = SF_SHA256_SIZE, .block_count = SF_SBV2_BLOCK_MAX, .burnt = 1};
    memcpy(out->secure_boot.digest[0], o->secure_boot_digest, SF_SHA256_SIZE);
}

static void fill_fleet_options(const struct options *o, const struct sf_crypto *crypto,
                               struct fleet_options *out)
{
    out->net = (struct net_options){.server = place_of(o), .cacert = o->cacert};
    out->state_dir = o->state_dir;
    out->count = o->devices;
    out->speed = o->speed;
    out->ramp_ms = o->ramp_ms;
    out->max_requests = request_limit(o->max_requests);
    out->device.crypto = crypto;
    out->device.rollback = !o->no_rollback;
    out->device.anti_rollback = o->anti_rollback != 0;
    out->device.flash_key = o->flash_encryption ? flash_key : NULL;
    struct sf_config *firmware = &out->device.firmware;
    firmware->hw_revision = o->hw_revision;
    firmware->chip_revision = o->chip_revision;
    firmware->enrol_token = o->enrol_token[0] ? o->enrol_token : NULL;
    firmware->checkin_interval_s = o->interval_s;
    firmware->trial_deadline_ms = o->trial_s * 1000;
    memcpy(firmware->release_key, o->release_key, SF_P256_KEY_SIZE);
    memcpy(firmware->status_key, o->status_key, SF_P256_KEY_SIZE);
    if (o->static_tree) {
        firmware->source = &sf_static_tree;
        firmware->policy = SF_POLICY_ALLOW_OFFLINE;
    }
}

static void say_no_start(const struct options *o, int device, int err)
{
    if (err == SF_ERR_EXISTS) {
        fprintf(stderr,
                "surefoot-sim: the flash of device %d in '%s' was made with%s --flash-encryption: "
                "go on with it so, or take another folder\n",
                device, o->state_dir, o->flash_encryption ? "out" : "");
        return;
    }
    fprintf(stderr, "surefoot-sim: cannot start device %d: %s%s%s\n", device, sf_err_str(err),
            err == SF_ERR_IO ? ": " : "", err == SF_ERR_IO ? strerrordesc_np(errno) : "");
}

static int run(const struct options *o)
{
    struct sf_crypto crypto;
    struct sf_sbv2_verifier verifier;
    struct fleet_options options = {0};
    const struct sf_trust_root root = {
        .walk = &sf_walk_roots, .file = o->trust_root, .len = o->trust_root_len};
    struct run r = {.options = o, .tty = progress_has_terminal()};
    int failed = -1;
    options.flash_size = o->firmware ? FLASH_IMAGE_SIZE : o->flash_size;
    if (crypto_psa_init(&crypto) < 0) {
        say("cannot start", "PSA", sf_err_str(SF_ERR_CRYPTO));
        return EXIT_USAGE;
    }
    fill_fleet_options(o, &crypto, &options);
    options.device.firmware.root = root.len > 0 ? &root : NULL;
    if (o->secure_boot) {
        sbv2_psa_init(&verifier);
        fill_secure_boot(o, &verifier, &options.device);
    }
    options.base_fd = make_base(o, options.flash_size, &options.device.firmware.chip_id);
    if (options.base_fd < 0 || settle_seed(o, &options.seed) < 0) {
        return EXIT_USAGE;
    }
    int err = fleet_open(&r.fleet, &options, &failed);
    if (err < 0) {
        say_no_start(o, failed, err);
        close(options.base_fd);
        return EXIT_USAGE;
    }
    r.start_ms = sf_host_now_ms();
    int status = run_fleet(&r);
    fleet_close(&r.fleet);
    close(options.base_fd);
    return status;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

static int act(const struct options *o)
{
    switch (o->command) {
    case OPTIONS_HELP:
        fputs(options_help(), stdout);
        return EXIT_GOOD;
    case OPTIONS_VERSION:
        printf("surefoot-sim %u.%u.%u\n", SUREFOOT_LIBRARY_VERSION >> 16,
               SUREFOOT_LIBRARY_VERSION >> 8 & 0xff, SUREFOOT_LIBRARY_VERSION & 0xff);
        return EXIT_GOOD;
    case OPTIONS_RUN:
        return run(o);
    case OPTIONS_MAKE_FLASH:
        return make_flash(o);
    }
    return EXIT_USAGE;
}

/* A full disk behind a redirected stdout must not look like success. */
static int finish_output(int status)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_GOOD) {
        say("cannot write", "standard output", strerrordesc_np(errno));
        status = EXIT_SOME_NOT;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    char error[OPTIONS_ERROR_SIZE];
    if (argc > 1 && strcmp(argv[1], "powercut") == 0) {
        return finish_output(powercut_command(argc - 1, argv + 1));
    }
    if (options_parse(argc, argv, &options, error) < 0) {
        fprintf(stderr, "surefoot-sim: %s\n", error);
        return EXIT_USAGE;
    }
    handle_signals();
    return finish_output(act(&options));
}
