/* Every route of the server, in the order of docs/api.md, which is generated from here. */
#include <stdio.h>

#include "server/protocols/handlers.h"
#include "server/protocols/protocols.h"

enum {
    JSON_MAX = 65536,
    PUBLISH_MAX = 131072,                /* 16 envelopes in base64, and notes */
    IMAGE_MAX = 16 * 1024 * 1024 + 8192, /* the largest image, and its signature sector */
};

#define CBOR  "application/cbor"
#define JSON  "application/json"
#define BYTES "application/octet-stream"
#define COSE  "application/cose"

static const struct route routes[] = {
    /* devices */
    {METHOD_POST, "/device/v1/enrol", ROLE_ANYONE, BODY_MEMORY, SF_ENROL_REQUEST_MAX, CBOR,
     handle_enrol, "A device registers its credential with its product's enrolment token"},
    {METHOD_POST, "/device/v1/checkin", ROLE_DEVICE, BODY_MEMORY, SF_CHECKIN_REQUEST_MAX, CBOR,
     handle_checkin, "A device says what it is; the signed answer says what it should be"},
    {METHOD_GET, "/artifacts/:sha256", ROLE_ANYONE, BODY_NONE, 0, NULL, handle_artifact_get,
     "An image by its SHA-256; ranges, ETag, cacheable for ever"},
    {METHOD_GET, "/device/v1/root/:version", ROLE_ANYONE, BODY_NONE, 0, NULL, handle_root_get,
     "A trust root by its version, as signed"},
/* plain devices: docs/plain.md */
#define PLAIN(path, handler, summary)                                                       \
    {METHOD_GET, "/ota/:product" path, ROLE_PLAIN, BODY_NONE, 0, NULL, handler, summary},   \
    {                                                                                       \
        METHOD_GET, "/ota/:product/t/:token" path, ROLE_PLAIN, BODY_NONE, 0, NULL, handler, \
            summary                                                                         \
    }
    PLAIN("/firmware.bin", handle_plain_firmware,
          "The stable release's image; 304 to HTTPUpdate that runs it; ?hw= chooses a revision"),
    PLAIN("/firmware.bin.md5", handle_plain_md5, "Its MD5, 32 hex digits"),
    PLAIN("/version.json", handle_plain_version, "What it is, by the product's template"),
    PLAIN("/manifest.json", handle_plain_manifest, "The same for ESPHome and ESP Web Tools"),
#undef PLAIN
    /* operation */
    {METHOD_GET, "/healthz", ROLE_ANYONE, BODY_NONE, 0, NULL, handle_healthz,
     "200 while the process answers"},
    {METHOD_GET, "/readyz", ROLE_ANYONE, BODY_NONE, 0, NULL, handle_readyz,
     "200 while the database can be written and the server is not draining, else 503"},
    {METHOD_GET, "/metrics", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_metrics,
     "Counters and gauges in Prometheus' text format"},
    {METHOD_GET, "/api/v1/server", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_server_show,
     "Version, start, certificate's end, space, quota, what is kept how many days (0 = for ever)"},
    /* tokens */
    {METHOD_GET, "/api/v1/whoami", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_whoami,
     "The calling token, the server's version, time and status key"},
    {METHOD_GET, "/api/v1/tokens", ROLE_ADMIN, BODY_NONE, 0, NULL, handle_token_list,
     "API tokens, without their secrets"},
    {METHOD_POST, "/api/v1/tokens", ROLE_ADMIN, BODY_MEMORY, JSON_MAX, JSON, handle_token_create,
     "Make a token: name, scope, days (90); the answer shows its secret, once"},
    {METHOD_DELETE, "/api/v1/tokens/:name", ROLE_ADMIN, BODY_NONE, 0, NULL, handle_token_revoke,
     "Revoke a token, at once and for good"},
    /* products */
    {METHOD_GET, "/api/v1/products", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_product_list,
     "Products"},
    {METHOD_POST, "/api/v1/products", ROLE_ADMIN, BODY_MEMORY, JSON_MAX, JSON,
     handle_product_create,
     "Make a product: name, kind, chip, vendor_domain, slot_size, hw_revisions, release_key, "
     "checkin_interval_s; the answer shows its first enrolment token, once"},
    {METHOD_GET, "/api/v1/products/:product", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_product_show,
     "One product with its hardware revisions"},
    {METHOD_PATCH, "/api/v1/products/:product", ROLE_ADMIN, BODY_MEMORY, JSON_MAX, JSON,
     handle_product_patch,
     "Change release_key, slot_size, checkin_interval_s, plain_access (none, token, open) or "
     "version_template; add hw_revisions"},
    {METHOD_GET, "/api/v1/products/:product/enrol-tokens", ROLE_OPERATOR, BODY_NONE, 0, NULL,
     handle_enrol_token_list, "Enrolment tokens of a product, without their secrets"},
    {METHOD_POST, "/api/v1/products/:product/enrol-tokens", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX,
     JSON, handle_enrol_token_create,
     "Make an enrolment token: days (3650), replace (true ends the older ones); shown once"},
    {METHOD_PUT, "/api/v1/products/:product/target", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_product_target,
     "Set the release that the product's devices should run: version, or null for none"},
    {METHOD_PUT, "/api/v1/products/:product/stable", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_product_stable,
     "Set the release that the plain endpoint serves: version, or null for none"},
    {METHOD_GET, "/api/v1/products/:product/plain-tokens", ROLE_OPERATOR, BODY_NONE, 0, NULL,
     handle_plain_token_list, "Tokens of the plain endpoint, without their secrets"},
    {METHOD_POST, "/api/v1/products/:product/plain-tokens", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX,
     JSON, handle_plain_token_create,
     "Make one: days (3650), device (an id: for this device only); shown once"},
    {METHOD_DELETE, "/api/v1/products/:product/plain-tokens/:id", ROLE_OPERATOR, BODY_NONE, 0, NULL,
     handle_plain_token_revoke, "End one, at once and for good"},
    /* releases */
    {METHOD_PUT, "/api/v1/artifacts/:sha256", ROLE_PUBLISHER, BODY_FILE, IMAGE_MAX, BYTES,
     handle_artifact_put,
     "Upload an image; it is parsed as a device would, and kept by its digest"},
    {METHOD_POST, "/api/v1/products/:product/seq", ROLE_PUBLISHER, BODY_MEMORY, JSON_MAX, JSON,
     handle_seq_reserve, "Reserve the next manifest number of a hardware revision: hw_revision"},
    {METHOD_GET, "/api/v1/products/:product/releases", ROLE_VIEWER, BODY_NONE, 0, NULL,
     handle_release_list, "Releases of a product with their manifests"},
    {METHOD_POST, "/api/v1/products/:product/releases", ROLE_PUBLISHER, BODY_MEMORY, PUBLISH_MAX,
     JSON, handle_release_publish,
     "Publish: version, notes, manifests [{hw_revision, envelope}] (plain products: artifact), "
     "force [\"no-record\"], "
     "allow_burn"},
    {METHOD_GET, "/api/v1/products/:product/releases/:version", ROLE_VIEWER, BODY_NONE, 0, NULL,
     handle_release_show, "One release"},
    {METHOD_GET, "/api/v1/products/:product/releases/:version/manifests/:hw_revision", ROLE_VIEWER,
     BODY_NONE, 0, NULL, handle_manifest_get,
     "The signed manifest for a hardware revision, as devices get it "
     "(application/suit-envelope+cose)"},
    /* the fleet */
    {METHOD_GET, "/api/v1/devices", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_device_list,
     "Devices by id; ?product= &version= &state= &q=prefix"},
    {METHOD_GET, "/api/v1/devices/:id", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_device_show,
     "All there is to know of one device"},
    {METHOD_GET, "/api/v1/devices/:id/history", ROLE_VIEWER, BODY_NONE, 0, NULL,
     handle_device_history, "What happened to a device, oldest first"},
    {METHOD_PUT, "/api/v1/devices/:id/target", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_device_target,
     "Set the release that this device should run: version, or null to follow its product"},
    {METHOD_POST, "/api/v1/devices/:id/approve", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_device_approve, "Let a quarantined device's new credential in"},
    {METHOD_POST, "/api/v1/devices/:id/reject", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_device_reject, "Turn a quarantined device's new credential down"},
    {METHOD_POST, "/api/v1/devices/:id/revoke", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_device_revoke, "End a device's credential"},
    {METHOD_POST, "/api/v1/devices/:id/clear-alarms", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON,
     handle_device_clear_alarms, "Take note of a device's alarms"},
    /* trust */
    {METHOD_GET, "/api/v1/trust/roots", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_root_list,
     "Trust roots: version, issued, expires, release_epoch, uploaded, uploaded_by"},
    {METHOD_POST, "/api/v1/trust/roots", ROLE_ADMIN, BODY_MEMORY, SF_ROOT_MAX, COSE,
     handle_root_upload,
     "Upload the next trust root, as signed; it must list this server's status key"},
    {METHOD_GET, "/api/v1/freeze", ROLE_VIEWER, BODY_NONE, 0, NULL, handle_freeze_show,
     "Whether all offers are stopped, since when, by whom and why"},
    {METHOD_PUT, "/api/v1/freeze", ROLE_OPERATOR, BODY_MEMORY, JSON_MAX, JSON, handle_freeze_put,
     "Stop all offers everywhere at once, or go on: frozen (true or false), reason"},
    {METHOD_GET, "/api/v1/audit", ROLE_ADMIN, BODY_NONE, 0, NULL, handle_audit_list,
     "Who changed what, oldest first; ?who="},
};

const char *protocols_check(const struct route *r, unsigned count, char *buffer, size_t size)
{
    const unsigned known = ROLE_ANYONE | ROLE_DEVICE | ROLE_VIEWER | ROLE_PUBLISHER |
                           ROLE_OPERATOR | ROLE_APPROVER | ROLE_ADMIN | ROLE_PLAIN;
    for (unsigned i = 0; i < count; i++) {
        const unsigned roles = r[i].roles;
        if (roles == 0 || (roles & (roles - 1)) != 0 || (roles & ~known) != 0) {
            (void)snprintf(buffer, size,
                           "route '%.80s' does not say in one role who may call it; give it one in "
                           "server/protocols/routes.c",
                           r[i].path);
            return buffer;
        }
    }
    return NULL;
}

const struct route *protocols_routes(unsigned *count)
{
    *count = sizeof(routes) / sizeof(routes[0]);
    return routes;
}
