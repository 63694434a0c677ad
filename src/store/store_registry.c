/* store_registry.c: all stores that objects can lie in. */
#include "store/store_azure.h"
#include "store/store_gcs.h"
#include "store/store_ops.h"

const struct wr_store_ops *const wr_stores[] = {
    &wr_store_local_ops, &wr_store_s3_ops,  &wr_store_azure_ops,
    &wr_store_abfss_ops, &wr_store_gcs_ops, NULL,
};
