/* store_azure.h: what the files of the Azure store share (internal to store/).
 * store_azure.c: URL, credentials, small objects, listings. store_azure_call.c: requests,
 * signatures, blocks. */
#ifndef WR_STORE_STORE_AZURE_H
#define WR_STORE_STORE_AZURE_H

#include "store/store_cloud.h"

#define WR_AZURE_ID "x-ms-meta-weirput"

extern const struct wr_store_ops wr_store_azure_ops; /* az:// */
extern const struct wr_store_ops wr_store_abfss_ops; /* abfss:// */
extern const struct cloud_kind wr_azure_kind;

#endif
