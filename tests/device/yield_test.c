/* How much flash work one call of the engine does: at most one sector erased, one programmed and
 * three read, whatever goes on. Between two calls the caller feeds its watchdog and its radio. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

enum { READ_MAX = 3 * SF_SECTOR_SIZE };

/* Counts the work of the call under way. Time moves between any two calls that the rig makes. */
struct meter {
    struct rig *rig;
    struct sf_flash ops; /* stands before the rig's flash */
    uint64_t at_ms;
    unsigned erases;
    uint32_t written;
    uint32_t read;
    unsigned most_erases; /* of any call */
    uint32_t most_written;
    uint32_t most_read;
    unsigned calls_with_work;
    uint32_t erased_at; /* last sector erased in a slot */
    unsigned sectors;   /* of slots, erased */
};

static void begin_call(struct meter *m)
{
    m->calls_with_work += m->erases > 0 || m->written > 0;
    m->erases = 0;
    m->written = 0;
    m->read = 0;
    m->at_ms = m->rig->now_ms;
}

static void look(struct meter *m)
{
    if (m->at_ms != m->rig->now_ms) {
        begin_call(m);
    }
}

static void note_most(struct meter *m)
{
    m->most_erases = m->erases > m->most_erases ? m->erases : m->most_erases;
    m->most_written = m->written > m->most_written ? m->written : m->most_written;
    m->most_read = m->read > m->most_read ? m->read : m->most_read;
}

static int meter_read(void *ctx, uint32_t address, void *out, size_t len)
{
    struct meter *m = ctx;
    look(m);
    m->read += (uint32_t)len;
    note_most(m);
    return m->rig->chip.ops.read(m->rig->chip.ops.ctx, address, out, len);
}

/* otadata, or a slot that does not run; nothing of bootloader, table, factory or foreign data. */
static void check_place(const struct meter *m, uint32_t address, size_t len)
{
    const struct sf_config *c = &m->rig->config;
    int is_there = address >= RIG_OTADATA && address + len <= RIG_OTADATA + SF_OTADATA_SIZE;
    for (unsigned i = 0; i < c->slot_count; i++) {
        is_there |= (int)i != c->running_slot && address >= c->slot[i].offset &&
                    address + len <= c->slot[i].offset + c->slot[i].size;
    }
    assert_true(is_there);
}

static int meter_write(void *ctx, uint32_t address, const void *data, size_t len)
{
    struct meter *m = ctx;
    look(m);
    check_place(m, address, len);
    m->written += (uint32_t)len;
    note_most(m);
    if (address >= RIG_SLOT_0) { /* a sector is erased right before it is written, no earlier */
        assert_int_equal(address, m->erased_at);
    }
    return m->rig->chip.ops.write(m->rig->chip.ops.ctx, address, data, len);
}

static int meter_erase(void *ctx, uint32_t address, size_t len)
{
    struct meter *m = ctx;
    look(m);
    check_place(m, address, len);
    m->erases += (unsigned)(len / SF_SECTOR_SIZE);
    note_most(m);
    if (address >= RIG_SLOT_0) {
        m->erased_at = address;
        m->sectors++;
    }
    return m->rig->chip.ops.erase(m->rig->chip.ops.ctx, address, len);
}

static void tick(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    reply->chunk_ms = 1;
}

static struct meter meter;

static int setup(void **state)
{
    struct rig *r = rig_new();
    meter = (struct meter){.rig = r, .ops = {&meter, meter_read, meter_write, meter_erase, 4}};
    r->config.flash = &meter.ops;
    r->server.script = tick;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void assert_bounded(void)
{
    assert_true(meter.most_erases <= 1);
    assert_true(meter.most_written <= SF_SECTOR_SIZE);
    assert_in_range(meter.most_read, SF_SECTOR_SIZE, READ_MAX);
}

/* Steps, each of them a call of its own, until it rests or wants a reboot. */
static enum sf_action_kind settle(struct rig *r)
{
    for (unsigned i = 0; i < 100000; i++) {
        const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
        if (a.kind == SF_ACTION_REBOOT ||
            (a.kind == SF_ACTION_WAIT && sf_engine_may_sleep(&r->engine) &&
             a.wait_until_ms > r->now_ms)) {
            return a.kind;
        }
        begin_call(&meter);
        (void)rig_step(r);
        r->now_ms++;
    }
    fail_msg("the engine does not come to rest");
    return SF_ACTION_WAIT;
}

static void boot_to_rest(struct rig *r)
{
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
}

static void into_trial(struct rig *r, const struct rig_release *release)
{
    rig_target(r, release);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
}

static void an_update_works_a_sector_a_call(void **state)
{
    struct rig *r = *state;
    boot_to_rest(r);
    into_trial(r, &r->v2);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    const unsigned sectors = (RIG_LARGE + SF_SECTOR_SIZE - 1) / SF_SECTOR_SIZE;
    assert_int_equal(meter.sectors, sectors); /* each once, and none beyond the image */
    assert_true(meter.calls_with_work > sectors);
    assert_bounded();
}

static void a_download_that_goes_on_after_a_reset_works_a_sector_a_call(void **state)
{
    struct rig *r = *state;
    boot_to_rest(r);
    rig_target(r, &r->v2);
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    r->chip.has_power = 1;
    while (rig_core(r)->state != SF_STATE_FETCH) {
        begin_call(&meter);
        (void)rig_step(r);
    }
    const struct sf_action a = sf_engine_next(&r->engine, r->now_ms);
    const struct sf_response_head head = {
        .status = 200, .content_len = RIG_LARGE, .range_start = -1, .range_total = -1, .etag = ""};
    assert_int_equal(a.kind, SF_ACTION_REQUEST);
    assert_int_equal(sf_engine_response_head(&r->engine, &head, r->now_ms), SF_OK);
    for (uint32_t at = 0; at < RIG_LARGE - 5000;) { /* a caller that offers all it has */
        r->now_ms++;
        const int32_t taken =
            sf_engine_response_body(&r->engine, r->v2.image + at, RIG_LARGE - at, r->now_ms);
        assert_in_range(taken, 1, SF_SECTOR_SIZE);
        at += (uint32_t)taken;
    }
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(settle(r), SF_ACTION_REBOOT);
    assert_int_equal(r->server.ranges, 1);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    assert_bounded();
}

static void a_rollback_by_the_engine_works_a_sector_a_call(void **state)
{
    struct rig *r = *state;
    for (unsigned old = 0; old < 2; old++) {
        r->without_rollback = (int)old;
        boot_to_rest(r);
        into_trial(r, &r->v3);
        r->test_result[0] = SF_SELF_TEST_FAIL;
        assert_int_equal(settle(r), SF_ACTION_REBOOT);
        rig_boot(r, SF_RESET_SOFTWARE);
        r->test_result[0] = SF_SELF_TEST_PASS;
        assert_int_equal(settle(r), SF_ACTION_WAIT);
        assert_int_equal(r->server.outcome[old].error, SF_ERR_SELF_TEST);
    }
    assert_bounded();
}

static void a_rollback_by_the_early_hook_works_a_sector(void **state)
{
    struct rig *r = *state;
    r->without_rollback = 1;
    boot_to_rest(r);
    into_trial(r, &r->v3);
    begin_call(&meter);
    r->now_ms++;
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    assert_bounded();
}

static void a_rollback_on_the_servers_word_works_a_sector_a_call(void **state)
{
    struct rig *r = *state;
    boot_to_rest(r);
    into_trial(r, &r->v2);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    const unsigned sectors = meter.sectors;
    r->server.target = &r->v1;
    r->server.action = SF_STATUS_ROLL_BACK;
    r->server.counter++;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(settle(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
    assert_int_equal(meter.sectors, sectors); /* no slot is touched for it */
    assert_bounded();
}

/* Each write is checked as it comes; here besides the bytes: a factory image, three slots. */
static void only_the_other_slot_and_otadata_are_ever_written(void **state)
{
    struct rig *r = *state;
    static uint8_t before[RIG_SLOT_0];
    r->config.factory = (struct sf_slot_map){RIG_FACTORY, 0x30000};
    memcpy(r->chip.cells + RIG_FACTORY, r->v1.image, r->v1.image_len);
    memset(r->chip.cells, 0x5a, 0x8000); /* a bootloader, say */
    rig_third_slot(r);
    boot_to_rest(r);
    memcpy(before, r->chip.cells, sizeof(before));
    into_trial(r, &r->v2);
    rig_boot(r, SF_RESET_PANIC);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    into_trial(r, &r->v3);
    assert_int_equal(settle(r), SF_ACTION_WAIT);
    r->v1.manifest.seq = 8;
    rig_sign(r, &r->v1);
    into_trial(r, &r->v1);
    r->test_result[0] = SF_SELF_TEST_FAIL;
    (void)settle(r);
    assert_memory_equal(r->chip.cells, before, RIG_OTADATA);
    assert_memory_equal(r->chip.cells + RIG_OTADATA + SF_OTADATA_SIZE,
                        before + RIG_OTADATA + SF_OTADATA_SIZE,
                        RIG_SLOT_0 - RIG_OTADATA - SF_OTADATA_SIZE);
    assert_int_equal(r->server.outcome[0].error, SF_ERR_CRASHED);
    assert_int_equal(r->server.outcome[1].error, SF_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_update_works_a_sector_a_call),
        TEST(a_download_that_goes_on_after_a_reset_works_a_sector_a_call),
        TEST(a_rollback_by_the_engine_works_a_sector_a_call),
        TEST(a_rollback_by_the_early_hook_works_a_sector),
        TEST(a_rollback_on_the_servers_word_works_a_sector_a_call),
        TEST(only_the_other_slot_and_otadata_are_ever_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
