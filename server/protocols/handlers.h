#ifndef PROTOCOLS_HANDLERS_H
#define PROTOCOLS_HANDLERS_H

#include "base/exchange.h"

/* The handlers that the route table (routes.c) names. ctx is struct protocols. */
#define HANDLERS_MAP(X)                                                                         \
    /* native.c */ X(checkin) X(enrol) /* files.c */ X(artifact_get)                            \
        X(artifact_put) /* health.c */ X(healthz) X(readyz)                                     \
            X(metrics) /* admin_tokens.c */ X(whoami) X(token_list) X(token_create)             \
                X(token_revoke) /* admin_products.c */ X(product_list) X(product_show)          \
                    X(product_create) X(product_patch) X(product_target) X(enrol_token_list)    \
                        X(enrol_token_create) /* admin_releases.c */ X(seq_reserve)             \
                            X(release_list) X(release_show) X(manifest_get)                     \
                                X(release_publish) /* admin_devices.c */ X(device_list)         \
                                    X(device_show) X(device_history) X(device_target)           \
                                        X(device_approve) X(device_reject) X(device_revoke)     \
                                            X(device_clear_alarms) /* plain.c */                \
        X(plain_firmware) X(plain_version) X(plain_manifest)                                    \
            X(plain_md5) /* admin_plain.c */ X(product_stable) X(plain_token_list)              \
                X(plain_token_create) X(plain_token_revoke) /* admin_freeze.c */ X(freeze_show) \
                    X(freeze_put) /* admin_audit.c */ X(audit_list) /* admin_server.c */ X(     \
                        server_show) /* admin_trust.c */ X(root_get) X(root_list) X(root_upload)

#define X(name) void handle_##name(struct exchange *x, void *ctx);
HANDLERS_MAP(X)
#undef X

#endif
