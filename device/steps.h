#ifndef SF_STEPS_H
#define SF_STEPS_H

#include "device/engine_private.h"

/* What the files of device/ call of each other: the steps that the table of engine.c names, and
 * their helpers. `int` is SF_OK or an error where nothing else is said. */

/* engine.c */
void sf_core_event(struct sf_core *c, enum sf_event event);
int sf_core_note(struct sf_core *c, int err); /* remembers last_error; returns err */
enum sf_phase sf_core_phase(const struct sf_core *c);

/* memory.c: the records in memory */
int sf_memory_load(struct sf_core *c) __attribute__((warn_unused_result));
int sf_memory_load_floor(struct sf_core *c) __attribute__((warn_unused_result));
int sf_memory_save(struct sf_core *c, enum sf_record key) __attribute__((warn_unused_result));

/* pace.c: how long to wait */
struct sf_pace {
    uint32_t base_ms;
    uint32_t cap_ms;
};
uint32_t sf_pace_random(const struct sf_core *c, uint32_t max);
/* Full jitter: between a small minimum and min(cap, base * 2^fails). */
uint32_t sf_pace_backoff_ms(const struct sf_core *c, const struct sf_pace *pace, unsigned fails);
uint32_t sf_pace_retry_after_ms(struct sf_core *c);
uint32_t sf_pace_interval_ms(const struct sf_core *c);
uint32_t sf_pace_config(uint32_t value, uint32_t fallback, uint32_t max);
uint32_t sf_pace_interval_bound_s(uint32_t seconds);
uint32_t sf_pace_stall_ms(const struct sf_core *c);
uint32_t sf_pace_request_ms(const struct sf_core *c);
uint32_t sf_pace_download_ms(const struct sf_core *c);
uint32_t sf_pace_trial_ms(const struct sf_config *config);
int sf_pace_contact_now(struct sf_core *c);
int sf_pace_contact_on_interval(struct sf_core *c);
int sf_pace_contact_later(struct sf_core *c);
int sf_pace_ask_later(struct sf_core *c);

/* exchange.c: enrolment and check-in */
void sf_exchange_begin(struct sf_core *c, const char *path, uint32_t timeout_ms);
int sf_exchange_identity(struct sf_core *c) __attribute__((warn_unused_result));
int sf_exchange_build_enrol(struct sf_core *c);
int sf_exchange_ask(struct sf_core *c); /* a check-in, or what the source has in its place */
int sf_exchange_http_error(const struct sf_response_head *head) __attribute__((warn_unused_result));
int sf_exchange_head(struct sf_core *c, const struct sf_response_head *head)
    __attribute__((warn_unused_result));
int32_t sf_exchange_body(struct sf_core *c, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
int sf_exchange_end(struct sf_core *c, int err) __attribute__((warn_unused_result));
int sf_exchange_enrolled(struct sf_core *c);

/* judge.c: what an answered check-in means here */
enum sf_event sf_judge_checkin(struct sf_core *c);
enum sf_event sf_judge_same(struct sf_core *c);
enum sf_event sf_judge_trial(struct sf_core *c);
int sf_judge_missed(struct sf_core *c); /* a check-in failed */

/* trust.c */
/* Verifies the envelope, which lies in the sector buffer, and decodes it to `answer.manifest`. */
int sf_trust_envelope(struct sf_core *c, struct sf_bytes envelope)
    __attribute__((warn_unused_result));
int sf_trust_status(const struct sf_core *c, const struct sf_status *status)
    __attribute__((warn_unused_result));
int sf_trust_seq(const struct sf_core *c, const struct sf_manifest *manifest)
    __attribute__((warn_unused_result));
int sf_trust_expired(const struct sf_core *c, const struct sf_status *status);
int sf_trust_manifest(const struct sf_core *c, const struct sf_target *target,
                      const struct sf_manifest *manifest) __attribute__((warn_unused_result));
uint32_t sf_trust_efuse(const struct sf_core *c); /* its secure_version */
int sf_trust_head(const struct sf_core *c, const struct sf_image_head *head)
    __attribute__((warn_unused_result));

/* outcome.c: what is told about a deployment, and what it means for the next attempt */
int sf_outcome_failed(struct sf_core *c);  /* core.error ended the deployment */
int sf_outcome_dropped(struct sf_core *c); /* withdrawn */
int sf_outcome_store(struct sf_core *c, const struct sf_outcome *outcome)
    __attribute__((warn_unused_result));
uint32_t sf_outcome_attempt(const struct sf_core *c, uint64_t counter);
int sf_outcome_refused(const struct sf_core *c, uint64_t counter);

/* install.c: the slot's bytes */
const struct sf_slot_map *sf_install_map(const struct sf_config *config, int slot);
int sf_install_read_head(const struct sf_core *c, int slot) __attribute__((warn_unused_result));
int sf_install_judge_head(const struct sf_core *c) __attribute__((warn_unused_result));
int sf_install_sector(struct sf_core *c, uint32_t offset, uint32_t len)
    __attribute__((warn_unused_result));
int sf_install_fingerprint(const struct sf_core *c, int slot, uint32_t length, uint32_t *out)
    __attribute__((warn_unused_result));
int sf_install_length(const struct sf_core *c, int slot, uint32_t *length_out)
    __attribute__((warn_unused_result));
enum sf_event sf_install_gate(struct sf_core *c);
int sf_install_hash_begin(struct sf_core *c);
/* One step; SF_EVENT_OK once `digest` is there. */
enum sf_event sf_install_hash_step(struct sf_core *c, int slot, uint8_t digest[SF_SHA256_SIZE]);
void sf_install_hash_abandon(struct sf_core *c);
enum sf_event sf_install_hash(struct sf_core *c);
enum sf_event sf_install_measure(struct sf_core *c);
const struct sf_good_image *sf_install_good(const struct sf_core *c, int slot);
int sf_install_remember_good(struct sf_core *c) __attribute__((warn_unused_result));

/* fetch.c */
int sf_fetch_build(struct sf_core *c);
int sf_fetch_head(struct sf_core *c, const struct sf_response_head *head)
    __attribute__((warn_unused_result));
int32_t sf_fetch_body(struct sf_core *c, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));
int sf_fetch_check(struct sf_core *c) __attribute__((warn_unused_result));
uint64_t sf_fetch_deadline(const struct sf_core *c);
enum sf_event sf_fetch_end(struct sf_core *c, int err);
int sf_fetch_back_off(struct sf_core *c);

/* commit.c: otadata */
int sf_commit_read(const struct sf_config *config, struct sf_otadata_entry entry[2])
    __attribute__((warn_unused_result));
int sf_commit_runs_boot_slot(const struct sf_config *config,
                             const struct sf_otadata_entry entry[2]);
uint32_t sf_commit_running_state(const struct sf_config *config,
                                 const struct sf_otadata_entry entry[2]);
int sf_commit_target(const struct sf_config *config); /* slot for the next update, or NO_SLOT */
/* Before the first erase of `target`, and where there is no way back from a failed trial: what runs
 * now is what boots next, not `target`. */
int sf_commit_hold(const struct sf_config *config, unsigned target)
    __attribute__((warn_unused_result));
enum sf_event sf_commit_step(struct sf_core *c);
/* From now on nothing older than `target` is installed. */
int sf_commit_floor(struct sf_core *c, const struct sf_target *target)
    __attribute__((warn_unused_result));
int sf_commit_mark_valid(const struct sf_config *config) __attribute__((warn_unused_result));
int sf_commit_fell_aside(const struct sf_config *config, unsigned failed)
    __attribute__((warn_unused_result));
int sf_commit_clear(const struct sf_config *config, unsigned sector)
    __attribute__((warn_unused_result));
/* Switches away from the running slot. SF_ERR_ROLLBACK_FAILED: there is no way back. */
enum sf_back { SF_BACK_INVALIDATE, SF_BACK_SWITCH };
int sf_commit_go_back(const struct sf_config *config, enum sf_back how)
    __attribute__((warn_unused_result));

/* trial.c */
enum sf_event sf_trial_start(struct sf_core *c);
int sf_trial_begin(struct sf_core *c);
int sf_trial_wait(struct sf_core *c);
int sf_trial_poll(struct sf_core *c) __attribute__((warn_unused_result));
enum sf_event sf_trial_step(struct sf_core *c);
int sf_trial_missed(struct sf_core *c);
enum sf_event sf_trial_confirm(struct sf_core *c);
enum sf_event sf_trial_go_back(struct sf_core *c);

#endif
