/* AWS credentials: the order of the search, profile files, and messages that hold no secret. */
#include "net/aws_credentials.h"

#include "base/clock.h"
#include "net/http_server.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char home[64];

static void empty_environment(void)
{
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",   "AWS_SECRET_ACCESS_KEY",       "AWS_SESSION_TOKEN",
        "AWS_REGION",          "AWS_DEFAULT_REGION",          "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
        "AWS_ROLE_ARN",        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsetenv(names[i]);
    }
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    unsetenv("http_proxy");
    strcpy(home, "/tmp/weir-home-XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    setenv("HOME", home, 1);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/.aws", home);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/.aws/%s", home, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_home(void)
{
    char path[256];
    static const char *const names[] = {"/.aws/credentials", "/.aws/config", "/.aws", ""};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", home, names[i]);
        remove(path);
    }
}

TestSuite(aws_credentials, .init = empty_environment, .fini = remove_home);

static const char profiles[] =
    "# comment\r\n[default]\naws_access_key_id = DEF\naws_secret_access_key=defsecret\n"
    "[ other ]\n  aws_access_key_id = NESTED\naws_access_key_id\t=\tOTH \n"
    "aws_secret_access_key = other=secret==\naws_session_token = tok\nregion = eu-north-1\n"
    "[half]\naws_access_key_id = HALF\n";

static struct wr_aws_credentials find(const struct wr_aws_given *given)
{
    static const struct wr_aws_given none;
    struct wr_aws_credentials credentials;
    struct wr_error err = {0};
    cr_assert_eq(wr_aws_credentials_find(given != NULL ? given : &none, &credentials, &err), WR_OK,
                 "%s", err.message);
    return credentials;
}

#define expect_keys(credentials, access, secret, from)                                     \
    do {                                                                                   \
        cr_expect_str_eq((credentials).access_key, access);                                \
        cr_expect_str_eq((credentials).secret_key, secret);                                \
        cr_expect(strstr((credentials).source, from) != NULL, "%s", (credentials).source); \
    } while (0)

Test(aws_credentials, options_beat_the_environment_which_beats_profiles)
{
    write_file("credentials", profiles);
    struct wr_aws_credentials found = find(NULL);
    expect_keys(found, "DEF", "defsecret", "profile 'default'");
    cr_expect_null(found.session_token);
    wr_aws_credentials_deinit(&found);

    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
    setenv("AWS_SESSION_TOKEN", "envtoken", 1);
    found = find(NULL);
    expect_keys(found, "ENV", "envsecret", "environment");
    cr_expect_str_eq(found.session_token, "envtoken");
    wr_aws_credentials_deinit(&found);

    /* The environment's token belongs to the environment's keys. */
    found = find(&(struct wr_aws_given){.access_key = "OPT", .secret_key = "optsecret"});
    expect_keys(found, "OPT", "optsecret", "options");
    cr_expect_null(found.session_token);
    wr_aws_credentials_deinit(&found);
}

Test(aws_credentials, profiles_are_picked_by_name)
{
    write_file("credentials", profiles);
    setenv("AWS_PROFILE", "other", 1);
    struct wr_aws_credentials found = find(NULL);
    expect_keys(found, "OTH", "other=secret==", "profile 'other'");
    cr_expect_str_eq(found.session_token, "tok");
    wr_aws_credentials_deinit(&found);
    char *region = wr_aws_region_find();
    cr_expect_str_eq(region, "eu-north-1");
    free(region);
}

Test(aws_credentials, the_config_file_is_searched_too)
{
    write_file(
        "config",
        "[profile "
        "other]\nregion=us-west-2\naws_access_key_id=CFG\naws_secret_access_key=cfgsecret\n");
    setenv("AWS_PROFILE", "other", 1);
    struct wr_aws_credentials found = find(NULL);
    expect_keys(found, "CFG", "cfgsecret", "/.aws/config");
    wr_aws_credentials_deinit(&found);
    char *region = wr_aws_region_find();
    cr_expect_str_eq(region, "us-west-2");
    free(region);
    setenv("AWS_DEFAULT_REGION", "ap-east-1", 1);
    region = wr_aws_region_find();
    cr_expect_str_eq(region, "ap-east-1");
    free(region);
}

static void expect_failure(const struct wr_aws_given *given, const char *message, const char *hint,
                           const char *secret)
{
    struct wr_aws_credentials found;
    struct wr_error err = {0};
    cr_expect_eq(wr_aws_credentials_find(given, &found, &err), WR_FAIL);
    cr_expect(strstr(err.message, message) != NULL, "%s", err.message);
    cr_expect(strstr(err.hint, hint) != NULL, "%s", err.hint);
    cr_expect(strstr(err.message, secret) == NULL && strstr(err.detail, secret) == NULL &&
              strstr(err.hint, secret) == NULL);
    cr_expect_eq(err.cls, WR_CLASS_USER);
}

Test(aws_credentials, none_and_half_of_them_say_where_they_belong)
{
    write_file("credentials", profiles);
    setenv("AWS_PROFILE", "nobody", 1);
    expect_failure(&(struct wr_aws_given){0}, "no S3 credentials", "~/.aws/credentials",
                   "defsecret");
    setenv("AWS_PROFILE", "half", 1);
    expect_failure(&(struct wr_aws_given){0}, "lack a secret key", "both", "defsecret");
    expect_failure(&(struct wr_aws_given){.secret_key = "hush-hush"}, "lack an access key", "both",
                   "hush-hush");
    expect_failure(&(struct wr_aws_given){.access_key = "A", .secret_key = "hush-hush\n"},
                   "line break", "copied", "hush-hush");
}

Test(aws_credentials, odd_profile_files_are_no_profile)
{
    char big[200];
    memset(big, '[', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    static const char *const odd[] = {
        "", "[", "[]", "[default", "=\n[default]\n=\n", "\n\n\r\r[default]\naws_access_key_id\n"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        write_file("credentials", odd[i]);
        expect_failure(&(struct wr_aws_given){0}, "no S3 credentials", "AWS_ACCESS_KEY_ID",
                       "secret=");
    }
    write_file("credentials", big);
    expect_failure(&(struct wr_aws_given){0}, "no S3 credentials", "AWS_ACCESS_KEY_ID", "secret=");
}

/* --- keys of a role, as a container gets them --------------------------------------------------- */

static struct role {
    int64_t now_us; /* of the simulated clock */
    int64_t expires_us;
    int asked;
    int status;
} role;

static struct wr_time role_clock(void *ctx)
{
    (void)ctx;
    return (struct wr_time){.wall_us = role.now_us, .mono_ns = role.now_us * 1000};
}

static void give_keys(void *ctx, const struct wr_http_request *request,
                      struct wr_http_response *response)
{
    char expiry[40];
    (void)ctx;
    (void)request;
    const time_t seconds = (time_t)(role.expires_us / WR_US_PER_S);
    struct tm tm;
    strftime(expiry, sizeof(expiry), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    role.asked++;
    response->status = role.status;
    wr_buf_printf(&response->body,
                  "{\"AccessKeyId\":\"KEY%d\",\"SecretAccessKey\":\"s%d\",\"Token\":\"t\","
                  "\"Expiration\":\"%s\"}",
                  role.asked, role.asked, expiry);
}

static struct wr_http_server *be_in_a_container(void)
{
    struct wr_http_server *server;
    struct wr_error err = {0};
    char url[200];
    role = (struct role){.now_us = 1700000000LL * WR_US_PER_S, .status = 200};
    role.expires_us = role.now_us + 3600 * WR_US_PER_S;
    cr_assert_eq(wr_http_server_start(&server, "127.0.0.1:0", &err), WR_OK, "%s", err.message);
    wr_http_server_route(server, "/role", give_keys, NULL);
    snprintf(url, sizeof(url), "http://%s/role", wr_http_server_address(server));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    wr_clock_simulate(role_clock, NULL);
    return server;
}

static void refresh(struct wr_aws_credentials *credentials, int64_t after_s, const char *key)
{
    struct wr_error err = {0};
    role.now_us += after_s * WR_US_PER_S;
    cr_expect_eq(wr_aws_credentials_refresh(credentials, &err), WR_OK, "%s", err.message);
    cr_expect_str_eq(credentials->access_key, key);
}

Test(aws_credentials, keys_of_a_role_are_kept_and_fetched_anew_five_minutes_before_they_expire)
{
    struct wr_http_server *server = be_in_a_container();
    struct wr_aws_credentials found = find(NULL);
    expect_keys(found, "KEY1", "s1", "container");
    cr_expect_str_eq(found.session_token, "t");
    refresh(&found, 3290, "KEY1");
    cr_expect_eq(role.asked, 1);
    role.expires_us += 3600 * WR_US_PER_S;
    refresh(&found, 15, "KEY2");
    refresh(&found, 3000, "KEY2");
    cr_expect_eq(role.asked, 2);
    wr_aws_credentials_deinit(&found);
    wr_http_server_stop(server);
}

Test(aws_credentials, a_refresh_that_fails_is_no_failure_until_the_keys_have_expired)
{
    struct wr_http_server *server = be_in_a_container();
    struct wr_aws_credentials found = find(NULL);
    struct wr_error err = {0};
    role.status = 403;
    refresh(&found, 3400, "KEY1");
    refresh(&found, 5, "KEY1");
    cr_expect_eq(role.asked, 2, "between attempts there is some patience");
    refresh(&found, 10, "KEY1");
    cr_expect_eq(role.asked, 3);
    role.now_us = role.expires_us + 1;
    cr_expect_eq(wr_aws_credentials_refresh(&found, &err), WR_FAIL);
    cr_expect(strstr(err.message, "answered 403") != NULL, "%s", err.message);
    role.status = 200;
    role.expires_us += 3600 * WR_US_PER_S;
    refresh(&found, 1, "KEY5");
    wr_aws_credentials_deinit(&found);
    wr_http_server_stop(server);
}

Test(aws_credentials, keys_that_do_not_expire_are_never_asked_for_again)
{
    struct wr_http_server *server = be_in_a_container();
    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "envsecret", 1);
    struct wr_aws_credentials found = find(NULL);
    refresh(&found, 1000000, "ENV");
    cr_expect_eq(role.asked, 0);
    wr_aws_credentials_deinit(&found);
    wr_http_server_stop(server);
}

Test(aws_credentials, a_container_token_goes_to_nobody_else)
{
    static const struct wr_aws_given none;
    struct wr_aws_credentials credentials;
    struct wr_error err = {0};
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.com/role", 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "planted", 1);
    cr_expect_eq(wr_aws_credentials_find(&none, &credentials, &err), WR_FAIL);
    cr_expect(strstr(err.message, "FULL_URI") != NULL && strstr(err.message, "planted") == NULL,
              "%s", err.message);
}
