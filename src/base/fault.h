/* fault.h: named crash points. WR_FAULT("epoch.after_prepare") ends the process with SIGKILL when the
 * environment says WEIR_FAULT=epoch.after_prepare[:n] (the n-th time). Debug builds only. */
#ifndef WR_BASE_FAULT_H
#define WR_BASE_FAULT_H

#ifdef WR_DEBUG
void wr_fault_hit(const char *name);
#define WR_FAULT(name) wr_fault_hit(name)
#else
#define WR_FAULT(name) ((void)0)
#endif

#endif
