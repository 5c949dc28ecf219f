/* The signed time and the status counter, as a server whose clock jumped or a thief of the status
 * key would have them: neither may strand a device, and neither may help a replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/device/rig.h"

static const int64_t year_9999 = INT64_C(253402300799);

static int setup(void **state)
{
    struct rig *r = rig_new();
    rig_boot(r, SF_RESET_POWER_ON);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* One answer that says `time`, and asks for nothing. */
static void hear(struct rig *r, int64_t time)
{
    const int64_t honest = r->server.time;
    r->server.time = time;
    r->server.target = NULL;
    sf_engine_poke(&r->engine, SF_POKE_CHECK_IN, r->now_ms);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    r->server.time = honest;
}

/* Check-ins until `release` is ready to boot. */
static unsigned checkins_until_installed(struct rig *r, const struct rig_release *release)
{
    rig_target(r, release);
    const unsigned before = r->server.checkins;
    enum sf_action_kind kind = SF_ACTION_WAIT;
    for (unsigned i = 0; i < 100 && kind == SF_ACTION_WAIT; i++) {
        kind = rig_settle_again(r);
    }
    assert_int_equal(kind, SF_ACTION_REBOOT);
    return r->server.checkins - before;
}

/* ---- time ---- */

static void the_year_9999_does_not_stop_installs_for_ever(void **state)
{
    struct rig *r = *state;
    hear(r, year_9999);
    assert_in_range(checkins_until_installed(r, &r->v2), 2, 8 + 1); /* and one before the commit */
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
}

static void nor_does_the_end_of_time(void **state)
{
    struct rig *r = *state;
    hear(r, INT64_MAX - 600);
    assert_in_range(checkins_until_installed(r, &r->v2), 2, 14 + 1);
}

static void nor_does_a_clock_that_was_an_hour_fast(void **state)
{
    struct rig *r = *state;
    hear(r, r->server.time + 3600);
    assert_in_range(checkins_until_installed(r, &r->v2), 2, 2 + 1);
}

/* What it remembers of the far future comes down in the record, too. */
static void a_device_that_sleeps_between_check_ins_gets_there_too(void **state)
{
    struct rig *r = *state;
    hear(r, year_9999);
    rig_target(r, &r->v2);
    enum sf_action_kind kind = SF_ACTION_WAIT;
    for (unsigned day = 0; day < 12 && kind == SF_ACTION_WAIT; day++) {
        r->server.time += 86400;
        rig_boot(r, SF_RESET_DEEP_SLEEP);
        kind = rig_settle(r);
    }
    assert_int_equal(kind, SF_ACTION_REBOOT);
}

static void in_the_far_future_a_trial_ends_as_ever(void **state)
{
    struct rig *r = *state;
    rig_install(r, &r->v2);
    r->server.time = year_9999;
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(r->server.outcome[0].error, SF_OK);
    r->server.time = 1000;
    r->server.target = &r->v1; /* and so does the server's order to go back */
    r->server.action = SF_STATUS_ROLL_BACK;
    r->server.counter++;
    assert_int_equal(rig_settle_again(r), SF_ACTION_REBOOT);
    rig_boot(r, SF_RESET_SOFTWARE);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    assert_int_equal(rig_slot_runs(r), 0);
}

/* What the release key's owner built says that it is not earlier than that: a status cannot take it
 * back, however often, and asking costs no write. */
static void the_build_time_is_not_forgotten(void **state)
{
    struct rig *r = *state;
    r->config.build_time = r->server.time + 100000;
    rig_boot(r, SF_RESET_POWER_ON);
    rig_target(r, &r->v2);
    assert_int_equal(rig_settle(r), SF_ACTION_WAIT);
    const uint64_t operations = r->nvs.op_count;
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_EXPIRED);
    }
    assert_int_equal(r->nvs.op_count, operations);
    assert_int_equal(r->server.downloads, 0);
    r->server.time = r->config.build_time;
    assert_int_equal(checkins_until_installed(r, &r->v2), 2);
}

static struct rig_reply recorded;

static void record_reply(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    recorded = *reply;
}

static void replay_it(struct rig *r, const struct sf_request *request, struct rig_reply *reply)
{
    (void)r;
    (void)request;
    *reply = recorded;
    reply->body = reply->bytes;
}

static void an_old_answer_again_and_again_takes_no_time_back(void **state)
{
    struct rig *r = *state;
    r->server.script = record_reply;
    hear(r, r->server.time);
    r->server.script = NULL;
    hear(r, r->server.time + 864000);
    const int64_t floor = rig_core(r)->floor.time;
    r->server.script = replay_it;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rig_settle_again(r), SF_ACTION_WAIT);
        assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_NONCE);
    }
    assert_true(rig_core(r)->floor.time == floor);
}

/* ---- counter ---- */

static void a_counter_that_jumps_far_is_refused(void **state)
{
    struct rig *r = *state;
    const uint64_t counter = r->server.counter;
    const uint64_t far[] = {counter + (UINT64_C(1) << 32), INT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        r->server.counter = far[i];
        hear(r, r->server.time);
        assert_int_equal(sf_engine_view(&r->engine).last_error, SF_ERR_COUNTER);
        assert_true(sf_engine_view(&r->engine).status_counter == counter);
    }
    r->server.counter = counter;
    assert_int_equal(checkins_until_installed(r, &r->v2), 2);
}

static void behind_the_farthest_jump_the_server_goes_on(void **state)
{
    struct rig *r = *state;
    r->server.counter += UINT32_MAX;
    hear(r, r->server.time);
    assert_true(sf_engine_view(&r->engine).status_counter == r->server.counter);
    assert_int_equal(checkins_until_installed(r, &r->v2), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_year_9999_does_not_stop_installs_for_ever),
        TEST(nor_does_the_end_of_time),
        TEST(nor_does_a_clock_that_was_an_hour_fast),
        TEST(a_device_that_sleeps_between_check_ins_gets_there_too),
        TEST(in_the_far_future_a_trial_ends_as_ever),
        TEST(the_build_time_is_not_forgotten),
        TEST(an_old_answer_again_and_again_takes_no_time_back),
        TEST(a_counter_that_jumps_far_is_refused),
        TEST(behind_the_farthest_jump_the_server_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
