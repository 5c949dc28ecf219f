/* A small real ESP32-C3 firmware, freestanding: the stock bootloader boots it, esptool reads it.
 *
 * It is the demo's payload: its image has everything that an update is judged by: app_desc, the
 * updater record, segments in flash and RAM. It blinks GPIO 8 and says its version on UART0. What
 * the update engine does around it is shown by virtual devices, which run the engine itself and
 * take from this image its identity and (behaviour record) how it fares in its trial. */

#include <stdint.h>

#include "surefoot/behaviour.h"
#include "surefoot/record.h"

#ifndef DEMO_VERSION
#define DEMO_VERSION "1.0.0"
#endif
#ifndef DEMO_BEHAVIOUR
#define DEMO_BEHAVIOUR 0 /* healthy: include/surefoot/behaviour.h has the list */
#endif
#ifndef DEMO_BEHAVIOUR_PARAMETER
#define DEMO_BEHAVIOUR_PARAMETER 0
#endif
#ifndef DEMO_SECURE_VERSION
#define DEMO_SECURE_VERSION 0
#endif
#ifndef DEMO_CLASS /* the 16 bytes of the class uuid; script/demo-firmware fills them in */
#error "define DEMO_CLASS: `surefoot product show` prints the class uuid"
#endif

/* esp_app_desc_t, ESP-IDF esp_app_format/include/esp_app_desc.h: the linker script puts it at the
 * start of the first segment. */
struct app_desc {
    uint32_t magic;
    uint32_t secure_version;
    uint32_t reserved1[2];
    char version[32];
    char project_name[32];
    char time[16];
    char date[16];
    char idf_ver[32];
    uint8_t app_elf_sha256[32]; /* filled in by `surefoot image from-elf` */
    uint16_t min_efuse_blk_rev_full;
    uint16_t max_efuse_blk_rev_full;
    uint8_t mmu_page_size;
    uint8_t reserved3[3];
    uint32_t reserved2[18];
};
_Static_assert(sizeof(struct app_desc) == 256, "esp_app_desc_t is 256 bytes");

__attribute__((used, section(".rodata_desc"))) const struct app_desc app_desc = {
    .magic = 0xabcd5432,
    .secure_version = DEMO_SECURE_VERSION,
    .version = DEMO_VERSION,
    .project_name = "demo-lamp",
    .time = "00:00:00", /* fixed, so that the same source gives the same image */
    .date = "Jan  1 2026",
    .idf_ver = "none",
    .max_efuse_blk_rev_full = 0xffff,
    .mmu_page_size = 16,
};

SUREFOOT_RECORD_AND_BEHAVIOUR(DEMO_BEHAVIOUR, DEMO_BEHAVIOUR_PARAMETER, DEMO_CLASS);

/* ESP32-C3 Technical Reference Manual: GPIO 0x60004000, UART0 0x60000000, timer groups 0x6001f000
 * and 0x60020000, RTC 0x60008000. */
#define REG(address) (*(volatile uint32_t *)(address))
enum {
    GPIO_OUT_W1TS = 0x60004008,
    GPIO_OUT_W1TC = 0x6000400c,
    GPIO_ENABLE_W1TS = 0x60004024,
    UART0_FIFO = 0x60000000,
    UART0_STATUS = 0x6000001c,
    RTC_WDTCONFIG0 = 0x60008090,
    RTC_WDTFEED = 0x6000809c,
    RTC_WDTWPROTECT = 0x600080a8,
    RTC_WDT_KEY = 0x50d83aa1,
    LED_PIN = 8,
};

static uint32_t blinks;                    /* in .bss: shows that start.S clears it */
static volatile uint32_t period = 4000000; /* in .data: a segment that the bootloader copies */

/* Stands for fonts and web pages: gives the image the size of a small product. */
extern const uint32_t assets[];
extern const uint32_t assets_end[];

static void uart_text(const char *text)
{
    for (; *text != '\0'; text++) {
        while (((REG(UART0_STATUS) >> 16) & 0xff) > 120) {
        }
        REG(UART0_FIFO) = (uint8_t)*text;
    }
}

static uint32_t assets_sum(void)
{
    uint32_t sum = 0;
    for (const uint32_t *p = assets; p < assets_end; p++) {
        sum += *p;
    }
    return sum;
}

static void rtc_watchdog_feed(void)
{
    REG(RTC_WDTWPROTECT) = RTC_WDT_KEY;
    REG(RTC_WDTFEED) = 1u << 31;
    REG(RTC_WDTWPROTECT) = 0;
}

void firmware_main(void)
{
    uart_text("surefoot demo " DEMO_VERSION "\r\n");
    uart_text(assets_sum() != 0 ? "assets ok\r\n" : "assets empty\r\n");
    REG(GPIO_ENABLE_W1TS) = 1u << LED_PIN;
    for (;;) {
        rtc_watchdog_feed();
        REG((blinks & 1) != 0 ? GPIO_OUT_W1TS : GPIO_OUT_W1TC) = 1u << LED_PIN;
        blinks++;
        for (uint32_t i = period; i > 0; i--) {
            __asm__ volatile("nop");
        }
    }
}
