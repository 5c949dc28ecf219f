#ifndef SF_ENGINE_PRIVATE_H
#define SF_ENGINE_PRIVATE_H

#include <assert.h>

#include "device/engine.h"
#include "device/records.h"
#include "formats/manifest.h"
#include "formats/root.h"
#include "surefoot/surefoot.h"

/* The engine's memory, its states and events; device/steps.h has the functions. */

/* States; docs/engine-states.md shows the table as a picture. */
#define SF_STATE_MAP(X)                                                       \
    X(START, WORK)         /* load the records, find out what this boot is */ \
    X(MEASURE, WORK)       /* length and digest of the running image */       \
    X(IDLE, WAIT)          /* until the next contact */                       \
    X(ENROL, REQUEST)      /* tell the server our secret's digest */          \
    X(CHECKIN, REQUEST)    /* on the interval */                              \
    X(CHECKIN_JUDGE, WORK) /* verify status and manifest */                   \
    X(GATE, WORK)          /* what can be judged before the first byte */     \
    X(FETCH, REQUEST)      /* image bytes into the other slot */              \
    X(FETCH_WAIT, WAIT)    /* backoff before the download goes on */          \
    X(FETCH_ASK, REQUEST)  /* check-in between two ranges */                  \
    X(FETCH_JUDGE, WORK)   /* does the server still want it? */               \
    X(HASH, WORK)          /* the whole slot, read back */                    \
    X(ASK, REQUEST)        /* check-in right before the commit */             \
    X(ASK_JUDGE, WORK)     /* the last word, at most ten minutes old */       \
    X(ASK_WAIT, WAIT)      /* no answer, or the application says not now */   \
    X(COMMIT, WORK)        /* floor, trial record, otadata */                 \
    X(REBOOT, REBOOT)      /* whenever the caller likes */                    \
    X(TRIAL, WAIT)         /* between two polls of the self-tests */          \
    X(TRIAL_STEP, WORK)    /* poll, judge, ask */                             \
    X(TRIAL_ASK, REQUEST)  /* check-in of the trial */                        \
    X(TRIAL_JUDGE, WORK)   /* is it an answer to us? */                       \
    X(CONFIRM, WORK)       /* otadata VALID, known good, outcome */           \
    X(GO_BACK, WORK)       /* end the trial by switching back */

enum sf_state {
#define X(name, kind) SF_STATE_##name,
    SF_STATE_MAP(X)
#undef X
        SF_STATE_COUNT,
};

enum sf_event {
    SF_EVENT_NONE, /* nothing yet: stay */
    SF_EVENT_OK,
    SF_EVENT_FAILED, /* core.error says why */
    SF_EVENT_TIMER,
    SF_EVENT_ENROL,   /* the server does not know our secret yet */
    SF_EVENT_TRIAL,   /* this boot is a trial */
    SF_EVENT_INSTALL, /* the status names an image to install or to go back to */
    SF_EVENT_REFUSED, /* what the status names does not pass verification */
    SF_EVENT_HELD,    /* the other slot holds the image already */
    SF_EVENT_LOST,    /* the connection broke: go on later where it stopped */
    SF_EVENT_ASK,     /* a check-in is due */
    SF_EVENT_DROP,    /* server or application withdraw the update */
    SF_EVENT_BACK,    /* the trial failed */
};

enum { SF_SOURCE_PATH_MAX = 52 }; /* "/manifests/<class uuid>.suit" */

struct sf_core;

/* Times and sizes of one request. */
struct sf_exchange {
    const char *path;
    const char *authorization;
    const char *if_none_match;
    const uint8_t *body;
    uint32_t root_to; /* the request is for a trust root, on the way to this one; 0 = it is not */
    uint16_t body_len;
    uint16_t received; /* bytes of a check-in's answer */
    int16_t got_head;
    int16_t http_status;
    int err;              /* why we stopped it */
    int64_t left;         /* bytes of the body still announced; -1 = not known */
    uint64_t deadline_ms; /* of the whole request */
    uint64_t stall_at_ms;
    uint32_t retry_after_s;
};

/* The update in progress. */
struct sf_deployment {
    uint8_t active;
    uint8_t kind;   /* SF_TRIAL_INSTALL or SF_TRIAL_ROLL_BACK */
    uint8_t slot;   /* where to */
    uint8_t erased; /* something of that slot was erased for it */
    uint8_t restarts;
    uint8_t losses;  /* in a row, without a new sector */
    uint8_t resumed; /* it goes on behind bytes that an earlier boot wrote */
    uint8_t tail;    /* enum sf_tail */
    uint32_t image_size;
    uint32_t max_secure_version;
    uint32_t fingerprint;  /* of the image as hashed */
    uint32_t root_version; /* that its manifest verified under */
    uint64_t counter;
    uint64_t give_up_ms; /* total timer */
    struct sf_target target;
};

/* Whether the image's last sector is fetched, and judged, before all the others. */
enum sf_tail { SF_TAIL_IN_ITS_TURN, SF_TAIL_FIRST, SF_TAIL_JUDGED };

/* What the slot that an update goes to holds, as far as this boot knows. */
struct sf_held {
    uint8_t slot; /* SF_NO_WIRE_SLOT = nothing known */
    uint8_t complete;
    uint32_t length; /* of the whole image */
    uint32_t bytes;  /* of it in flash */
    uint8_t digest[SF_SHA256_SIZE];
    char etag[SF_ETAG_MAX + 1];
};

/* What takes the place of the check-in where there is no server to answer one: the three functions
 * of exchange.c and judge.c that know what is asked and what an answer proves. A firmware that does
 * not name a source does not link it. */
struct sf_source {
    /* Begins the request; an error instead if nothing may be asked. */
    int (*ask)(struct sf_core *c);
    /* Of the answer; SF_OK to read its body. */
    int (*head)(struct sf_core *c, const struct sf_response_head *head);
    /* Verifies the answer in the sector buffer and says in `answer.status` what it comes to, as
     * the server's status would. */
    int (*open)(struct sf_core *c);
    uint16_t body_max;
};

/* What exchange.c and judge.c do not know of trust roots. A firmware that names none does not link
 * it. */
struct sf_trust {
    /* Before each check-in: 1 if another root is to be fetched first; that request has begun. */
    int (*ask)(struct sf_core *c);
    int (*head)(struct sf_core *c, const struct sf_response_head *head);
    /* The root in the sector buffer: verified and stored, or an error. */
    int (*open_root)(struct sf_core *c);
    /* Verifies and decodes `answer.parts.status`. On some errors `walk_to` says that the answer may
     * be right, once there is another root. */
    int (*open_status)(struct sf_core *c);
    /* Verifies and decodes the envelope, which lies in the answer's body. */
    int (*open_manifest)(struct sf_core *c, struct sf_bytes envelope);
};

/* What a device asks of an image besides what its manifest says. A firmware that names none does
 * not link it. */
struct sf_image_check {
    /* Before a byte is asked for; `deploy.tail` may be set to SF_TAIL_FIRST. */
    int (*gate)(struct sf_core *c);
    /* The last sector, in the sector buffer; sets SF_TAIL_JUDGED. */
    int (*judge_last)(struct sf_core *c);
    /* The slot, once its hash is right: a bounded step. `step` is 1 at first. */
    enum sf_event (*judge_slot)(struct sf_core *c);
};

struct sf_core {
    const struct sf_config *config;
    uint64_t now_ms; /* as the call under way was told */
    uint64_t start_ms;
    uint64_t wait_until_ms;
    uint8_t state; /* enum sf_state */
    uint8_t step;  /* within a state that does its work in several */
    uint8_t poked_cancel;
    uint8_t runs_boot_slot;
    uint8_t good_known;    /* the running image is in the GOOD record */
    uint8_t wanted;        /* the last status names another image than runs, and it may be tried */
    uint8_t outcome_sent;  /* the check-in under way carries the outcome */
    uint8_t contact_fails; /* in a row */
    uint8_t deploy_fails;  /* in a row, of one counter */
    uint8_t ask_fails;
    uint8_t hashing;
    uint8_t test_passed;    /* bit per self-test */
    uint8_t server_is_busy; /* it has turned a check-in of this trial away: there is a way to it */
    int error;
    int last_error; /* for people */

    /* who */
    uint8_t boot_id[SF_BOOT_ID_SIZE];
    uint8_t nonce[SF_NONCE_SIZE];
    union {
        char authorization[7 + SF_DEVICE_ID_MAX + 1 + SF_SECRET_HEX_SIZE + 1];
        struct { /* a source without a server: nobody to show a credential to */
            char source_path[SF_SOURCE_PATH_MAX + 1];
            char source_etag[SF_ETAG_MAX + 1]; /* of the last manifest; "" = none */
            uint8_t source_quiet; /* that one verified in this boot, and asks for nothing */
        };
    };

    /* what runs */
    uint32_t running_state;
    uint32_t running_length;
    uint32_t running_fingerprint;
    uint8_t running_digest[SF_SHA256_SIZE];

    /* what the server said last */
    uint64_t answered_ms;
    uint32_t answered; /* check-ins in this boot */
    uint32_t interval_s;
    int64_t signed_time;
    uint64_t not_before_ms; /* the next deployment */
    uint64_t ask_at_ms;     /* next check-in of a download or trial */
    uint64_t poll_at_ms;    /* next poll of the self-tests */

    /* the trust root, as last loaded; zeros where there is none */
    int64_t root_issued_at;
    int64_t root_expires;
    uint32_t root_version;
    uint32_t walk_to;   /* the next question is for the root after ours; 0 = it is a check-in */
    uint8_t walk_steps; /* roots stored since the last check-in that was answered */

    /* download */
    uint32_t offset; /* bytes received, the sector buffer's included */
    uint32_t window_bytes;
    uint64_t window_end_ms;

    /* hash of a slot, in steps */
    struct sf_sha256 hash;
    uint32_t hash_offset;
    uint32_t hash_length;

    struct sf_exchange exchange;
    struct sf_deployment deploy;
    struct sf_held held;
    char path[SF_MANIFEST_URI_MAX + 1];

    /* records, as stored */
    struct sf_record_trial trial;
    struct sf_record_failed failed;
    struct sf_record_floor floor;
    struct sf_record_out out;
    struct sf_record_good good;
    struct sf_record_boot boot;
    uint8_t floor_unknown; /* it is there and cannot be read */
    uint8_t trial_unknown;
    uint8_t enrolled;
} __attribute__((may_alias));
_Static_assert(sizeof(struct sf_core) <= sizeof(struct sf_engine), "engine.h's opaque size");

/* The sector buffer's uses; never two at once. */
union sf_scratch {
    uint8_t sector[SF_SECTOR_SIZE];
    struct {
        uint8_t body[SF_CHECKIN_REQUEST_MAX];
        struct sf_checkin checkin;
    } ask;
    struct {
        uint8_t body[SF_CHECKIN_ANSWER_MAX];
        struct sf_checkin_answer parts;
        struct sf_status status;
        struct sf_manifest manifest;
        uint8_t root[SF_ROOT_RECORD_MAX]; /* the trusted one; while one is asked for, its path */
    } answer;
    struct { /* a trust root is judged; the trusted one's bytes are in answer.root */
        uint8_t body[SF_ROOT_MAX];
        struct sf_root trusted;
        struct sf_root next;
    } walk;
    struct {
        uint8_t bytes[SF_IMAGE_HEAD_SIZE];
        struct sf_image_head head;
    } judge;
} __attribute__((may_alias));
_Static_assert(sizeof(union sf_scratch) == SF_SECTOR_SIZE, "everything fits in one sector");
_Static_assert(offsetof(union sf_scratch, walk.next) + sizeof(struct sf_root) <=
                   offsetof(union sf_scratch, answer.root),
               "both decoded roots lie before the trusted one's bytes");

static inline union sf_scratch *sf_scratch(const struct sf_core *c)
{
    return (union sf_scratch *)(void *)c->config->sector_buffer;
}

static inline uint8_t sf_wire_slot(int slot)
{
    return slot < 0 ? (uint8_t)SF_WIRE_SLOT_FACTORY : (uint8_t)slot;
}

/* Counts one more, and no further than a byte goes. */
static inline void sf_count(uint8_t *n)
{
    *n = (uint8_t)(*n < UINT8_MAX ? *n + 1 : *n);
}

/* Bounds, with their reasons in engine.c and pace.c. */
enum {
    SF_PROGRESS_STEP = 64 * 1024, /* bytes between two progress records */
    SF_COMMIT_FRESH_MS = 10 * 60 * 1000,
    SF_SOFT_ATTEMPTS = 3,
    SF_TEXT_TEST_NAME = 24,
};

#endif
