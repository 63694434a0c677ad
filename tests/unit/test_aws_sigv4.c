/* SigV4: AWS's published test vectors (the sigv4 test suite, and the examples of the S3
 * documentation). */
#include "net/aws_sigv4.h"

#include <criterion/criterion.h>
#include <string.h>

#define SUITE_DATE "20150830T123600Z"
#define S3_DATE    "20130524T000000Z"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct wr_aws_credentials suite_keys = {
    .access_key = (char *)"AKIDEXAMPLE",
    .secret_key = (char *)"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
static const struct wr_aws_credentials s3_keys = {
    .access_key = (char *)"AKIAIOSFODNN7EXAMPLE",
    .secret_key = (char *)"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

static struct wr_aws_signer *make_signer(const char *service)
{
    struct wr_aws_signer *signer = NULL;
    struct wr_error err = {0};
    cr_assert_eq(wr_aws_signer_create(&signer, "us-east-1", service, &err), WR_OK, "%s",
                 err.message);
    return signer;
}

static void expect_signature(const char *service, const struct wr_aws_credentials *keys,
                             const struct wr_aws_request *request, const char *date,
                             const char *headers, const char *signature)
{
    struct wr_aws_signer *signer = make_signer(service);
    struct wr_buf got = {0}, want = {0};
    /* Twice: with a fresh signing key, and with the one that was kept. */
    for (int round = 0; round < 2; round++) {
        got.bytes = want.bytes = 0;
        wr_aws_sign(signer, keys, request, date, &got);
        wr_buf_printf(&want,
                      "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, "
                      "SignedHeaders=%s, Signature=%s",
                      keys->access_key, date, service, headers, signature);
        cr_expect_str_eq(wr_buf_cstr(&got), wr_buf_cstr(&want));
    }
    wr_buf_deinit(&got);
    wr_buf_deinit(&want);
    wr_aws_signer_destroy(signer);
}

#define PAIRS(name, ...) const struct wr_aws_pair name[] = {__VA_ARGS__}
#define COUNT(pairs)     (uint32_t)(sizeof(pairs) / sizeof((pairs)[0]))

static void expect_suite(const char *method, const char *path, const struct wr_aws_pair *query,
                         uint32_t count, const char *signature)
{
    PAIRS(headers, {"Host", "example.amazonaws.com"}, {"X-Amz-Date", SUITE_DATE});
    const struct wr_aws_request request = {.method = method,
                                           .path = path,
                                           .query = query,
                                           .query_count = count,
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = EMPTY_HASH};
    expect_signature("service", &suite_keys, &request, SUITE_DATE, "host;x-amz-date", signature);
}

Test(aws_sigv4, get_vanilla)
{
    expect_suite("GET", "/", NULL, 0,
                 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

Test(aws_sigv4, post_vanilla)
{
    expect_suite("POST", "/", NULL, 0,
                 "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

Test(aws_sigv4, get_vanilla_query_order_key_case)
{
    PAIRS(query, {"Param2", "value2"}, {"Param1", "value1"});
    expect_suite("GET", "/", query, COUNT(query),
                 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

Test(aws_sigv4, get_vanilla_empty_query_key)
{
    PAIRS(query, {"Param1", "value1"});
    expect_suite("GET", "/", query, COUNT(query),
                 "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb");
}

Test(aws_sigv4, get_unreserved)
{
    expect_suite("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", NULL,
                 0, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f");
}

Test(aws_sigv4, post_header_key_sort)
{
    PAIRS(headers, {"My-Header1", "value1"}, {"Host", "example.amazonaws.com"},
          {"X-Amz-Date", SUITE_DATE});
    const struct wr_aws_request request = {.method = "POST",
                                           .path = "/",
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = EMPTY_HASH};
    expect_signature("service", &suite_keys, &request, SUITE_DATE, "host;my-header1;x-amz-date",
                     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c");
}

Test(aws_sigv4, get_header_value_trim)
{
    PAIRS(headers, {"Host", "example.amazonaws.com"}, {"My-Header1", " value1"},
          {"My-Header2", " \"a   b   c\""}, {"X-Amz-Date", SUITE_DATE});
    const struct wr_aws_request request = {.method = "GET",
                                           .path = "/",
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = EMPTY_HASH};
    expect_signature("service", &suite_keys, &request, SUITE_DATE,
                     "host;my-header1;my-header2;x-amz-date",
                     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

Test(aws_sigv4, post_x_www_form_urlencoded)
{
    PAIRS(headers, {"Content-Type", "application/x-www-form-urlencoded"},
          {"Host", "example.amazonaws.com"}, {"X-Amz-Date", SUITE_DATE});
    struct wr_aws_signer *signer = make_signer("service");
    char hash[WR_SHA256_HEX_BYTES];
    wr_aws_sha256(signer, "Param1=value1", 13, hash);
    wr_aws_signer_destroy(signer);
    const struct wr_aws_request request = {.method = "POST",
                                           .path = "/",
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = hash};
    expect_signature("service", &suite_keys, &request, SUITE_DATE, "content-type;host;x-amz-date",
                     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
}

static void expect_s3_get(const char *path, const struct wr_aws_pair *query, uint32_t count,
                          const char *signature)
{
    PAIRS(headers, {"Host", "examplebucket.s3.amazonaws.com"}, {"x-amz-content-sha256", EMPTY_HASH},
          {"x-amz-date", S3_DATE});
    const struct wr_aws_request request = {.method = "GET",
                                           .path = path,
                                           .query = query,
                                           .query_count = count,
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = EMPTY_HASH};
    expect_signature("s3", &s3_keys, &request, S3_DATE, "host;x-amz-content-sha256;x-amz-date",
                     signature);
}

Test(aws_sigv4, s3_sub_resource_without_a_value)
{
    PAIRS(query, {"lifecycle", ""});
    expect_s3_get("/", query, COUNT(query),
                  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

Test(aws_sigv4, s3_list_with_a_prefix)
{
    PAIRS(query, {"prefix", "J"}, {"max-keys", "2"});
    expect_s3_get("/", query, COUNT(query),
                  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

Test(aws_sigv4, s3_get_with_a_range)
{
    PAIRS(headers, {"Host", "examplebucket.s3.amazonaws.com"}, {"Range", "bytes=0-9"},
          {"x-amz-content-sha256", EMPTY_HASH}, {"x-amz-date", S3_DATE});
    const struct wr_aws_request request = {.method = "GET",
                                           .path = "/test.txt",
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = EMPTY_HASH};
    expect_signature("s3", &s3_keys, &request, S3_DATE,
                     "host;range;x-amz-content-sha256;x-amz-date",
                     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

Test(aws_sigv4, s3_put_with_a_dollar_in_the_key)
{
    static const char hash[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    PAIRS(headers, {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
          {"Host", "examplebucket.s3.amazonaws.com"}, {"x-amz-content-sha256", hash},
          {"x-amz-date", S3_DATE}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"});
    struct wr_aws_signer *signer = make_signer("s3");
    char computed[WR_SHA256_HEX_BYTES];
    wr_aws_sha256(signer, "Welcome to Amazon S3.", 21, computed);
    wr_aws_signer_destroy(signer);
    cr_expect_str_eq(computed, hash);
    const struct wr_aws_request request = {.method = "PUT",
                                           .path = "/test$file.text",
                                           .headers = headers,
                                           .header_count = COUNT(headers),
                                           .payload_hash = hash};
    expect_signature("s3", &s3_keys, &request, S3_DATE,
                     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

Test(aws_sigv4, another_secret_or_day_makes_another_key)
{
    struct wr_aws_signer *signer = make_signer("s3");
    const struct wr_aws_request request = {
        .method = "GET", .path = "/", .payload_hash = EMPTY_HASH};
    struct wr_buf first = {0}, other = {0}, again = {0};
    wr_aws_sign(signer, &s3_keys, &request, S3_DATE, &first);
    wr_aws_sign(signer, &suite_keys, &request, S3_DATE, &other);
    wr_aws_sign(signer, &s3_keys, &request, "20130525T000000Z", &other);
    wr_aws_sign(signer, &s3_keys, &request, S3_DATE, &again);
    cr_expect_str_eq(wr_buf_cstr(&first), wr_buf_cstr(&again));
    cr_expect(strstr(wr_buf_cstr(&other), strstr(first.data, "Signature=")) == NULL);
    wr_buf_deinit(&first);
    wr_buf_deinit(&other);
    wr_buf_deinit(&again);
    wr_aws_signer_destroy(signer);
}

Test(aws_sigv4, queries_are_encoded_then_sorted)
{
    PAIRS(query, {"uploads", ""}, {"a b", "x/y=z+&"}, {"prefix", "dt=2024-01-01/\xc3\xa9~"},
          {"a-b", "2"}, {"a", "1"}, {"a", "0"});
    struct wr_buf text = {0};
    wr_aws_query(&text, query, COUNT(query));
    cr_expect_str_eq(
        wr_buf_cstr(&text),
        "a=0&a=1&a%20b=x%2Fy%3Dz%2B%26&a-b=2&prefix=dt%3D2024-01-01%2F%C3%A9~&uploads=");
    wr_buf_deinit(&text);
}

Test(aws_sigv4, dates_are_utc_seconds)
{
    char date[17];
    wr_aws_date(1369353600999999, date);
    cr_expect_str_eq(date, S3_DATE);
}
