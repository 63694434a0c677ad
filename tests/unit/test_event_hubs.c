#include "kafka/event_hubs.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "Endpoint=sb://clicks.servicebus.windows.net/;SharedAccessKeyName=weir;SharedAccessKey=hunter2hunter2="

static struct wr_event_hubs parse(const char *text, const char *hub, wr_status expected,
                                  struct wr_error *err)
{
    struct wr_event_hubs hubs = { 0 };
    *err = (struct wr_error){ 0 };
    cr_assert_eq(wr_event_hubs_parse(&hubs, text, hub, err), expected, "%s: %s", text, err->message);
    return hubs;
}

static void expect(const char *text, const char *hub, const char *entity, const char *password)
{
    struct wr_error err;
    struct wr_event_hubs hubs = parse(text, hub, WR_OK, &err);
    cr_assert_str_eq(hubs.host, "clicks.servicebus.windows.net");
    cr_assert_str_eq(hubs.key, "hunter2hunter2=");
    cr_assert_str_eq(hubs.entity != NULL ? hubs.entity : "-", entity);
    cr_assert_str_eq(hubs.password, password);
    wr_event_hubs_deinit(&hubs);
}

Test(event_hubs, the_password_is_the_whole_string_without_another_hubs_entity)
{
    expect(HEAD, NULL, "-", HEAD);
    expect(HEAD, "a", "-", HEAD);
    expect(HEAD ";EntityPath=a", NULL, "a", HEAD ";EntityPath=a");
    expect(HEAD ";EntityPath=a", "a", "a", HEAD ";EntityPath=a");
    expect(HEAD ";EntityPath=b", "a", "b", HEAD);
    expect("entitypath=b;" HEAD ";", "a", "b", HEAD);
    expect(";;" HEAD ";", NULL, "-", ";;" HEAD ";");
}

Test(event_hubs, emulators_are_known_by_their_string)
{
    struct wr_error err;
    struct wr_event_hubs hubs = parse("Endpoint=sb://localhost:5672;SharedAccessKeyName=r;SharedAccessKey=K;"
                                      "UseDevelopmentEmulator=true;", "h", WR_OK, &err);
    cr_assert(hubs.emulator);
    cr_assert_str_eq(hubs.host, "localhost");
    wr_event_hubs_deinit(&hubs);
}

Test(event_hubs, what_is_no_connection_string_is_refused_without_showing_it)
{
    static const char *const bad[] = {
        "", "hunter2", "Endpoint=sb://clicks", "SharedAccessKey=hunter2",
        "Endpoint=https://clicks;SharedAccessKey=hunter2", "Endpoint=sb://;SharedAccessKey=hunter2",
        "Endpoint=sb://a b/;SharedAccessKey=hunter2", "Endpoint=sb://clicks/;SharedAccessKey=",
        "Endpoint=sb://clicks/;SharedAccessKey=hunter2;hunter2",
        "Endpoint=sb://clicks\xff/;SharedAccessKey=hunter2", "=", ";", "=;=",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct wr_error err;
        struct wr_event_hubs hubs = parse(bad[i], NULL, WR_FAIL, &err);
        cr_assert_null(strstr(err.message, "hunter2"));
        cr_assert_null(strstr(err.hint, "hunter2"));
        cr_assert_eq(err.cls, WR_CLASS_USER);
        wr_event_hubs_deinit(&hubs);
    }
    char *large = malloc(10000);
    memset(large, 'a', 9999);
    large[9999] = '\0';
    struct wr_error err;
    struct wr_event_hubs hubs = parse(large, NULL, WR_FAIL, &err);
    wr_event_hubs_deinit(&hubs);
    free(large);
}

Test(event_hubs, namespaces_may_be_short)
{
    struct wr_error err;
    struct wr_event_hubs hubs = { 0 };
    cr_assert_eq(wr_event_hubs_of_namespace(&hubs, "clicks", &err), WR_OK);
    cr_assert_str_eq(hubs.host, "clicks.servicebus.windows.net");
    wr_event_hubs_deinit(&hubs);
    cr_assert_eq(wr_event_hubs_of_namespace(&hubs, "clicks.servicebus.chinacloudapi.cn", &err), WR_OK);
    cr_assert_str_eq(hubs.host, "clicks.servicebus.chinacloudapi.cn");
    wr_event_hubs_deinit(&hubs);
    cr_assert_eq(wr_event_hubs_of_namespace(&hubs, "clicks/x", &err), WR_FAIL);
    cr_assert_eq(wr_event_hubs_of_namespace(&hubs, "", &err), WR_FAIL);
}
