/* aws_credentials_remote.h: keys that AWS gives out for a while (internal to net/): to a pod with a
 * web identity (IRSA), to a container (ECS, EKS Pod Identity), to an instance (IMDSv2).
 */
#ifndef WR_NET_AWS_CREDENTIALS_REMOTE_H
#define WR_NET_AWS_CREDENTIALS_REMOTE_H

#include "net/aws_credentials.h"

/* WR_OK: found; WR_END: this machine is none of these; WR_FAIL: it is, but did not get keys. */
WR_NODISCARD wr_status wr_aws_credentials_remote(struct wr_aws_credentials *credentials,
                                                 struct wr_error *err);

#endif
