/* plan_compare.h: what a changed pipeline does to what its state holds: for `weir plan` and for each start.
 *
 * Sources, WINDOW operators and sinks are matched by name:
 *   KEEP     nothing has changed that the state depends on
 *   MIGRATE  something has changed, the state is kept
 *   REBUILD  it has nothing in the state that it could go on with: it begins at the newest cut (a source: where its options say)
 *   DROP     it is gone from the pipeline, and so is what the state has of it
 *   REFUSE   what the state holds cannot be gone on with, and dropping it would lose something
 *
 * Ownership: texts lie in the result's arena. Threads: control.
 * Invariants:
 *   (1) nothing is changed by comparing; a start that is refused has written nothing
 *   (2) equal pipelines give KEEP alone
 */
#ifndef WR_RUN_PLAN_COMPARE_H
#define WR_RUN_PLAN_COMPARE_H

#include "plan/plan.h"
#include "state/manifest.h"

enum wr_change_subject { WR_CHANGE_SOURCE, WR_CHANGE_OPERATOR, WR_CHANGE_SINK };
enum wr_change_verdict { WR_CHANGE_KEEP, WR_CHANGE_MIGRATE, WR_CHANGE_REBUILD, WR_CHANGE_DROP, WR_CHANGE_REFUSE };

struct wr_change {
    enum wr_change_subject subject;
    enum wr_change_verdict verdict;
    const char *name;
    const char *reason;
};

struct wr_changes {
    struct wr_arena arena;
    struct wr_change *items;
    uint32_t count;
    uint32_t refused;
};

const char *wr_change_subject_name(enum wr_change_subject subject);
const char *wr_change_verdict_name(enum wr_change_verdict verdict);

/* The manifest that a run of plan would begin with, as far as comparing goes: names, fingerprints, connectors. into: initialised by this. */
void wr_plan_describe(const struct wr_plan *plan, struct wr_manifest *into);

/* changes: initialised by this. WR_FAIL: a fingerprint in the state does not read (FATAL). */
WR_NODISCARD wr_status wr_plan_compare(const struct wr_manifest *old, const struct wr_plan *plan,
                                       struct wr_changes *changes, struct wr_error *err);
void wr_changes_deinit(struct wr_changes *changes); /* zeroed is fine */

/* For a start, before anything is claimed or right after: WR_FAIL, class USER, when something is refused; logs what is migrated, rebuilt
 * or dropped. A state without any cut takes every plan. */
WR_NODISCARD wr_status wr_plan_accept(const struct wr_manifest *head, const struct wr_plan *plan,
                                      struct wr_error *err);

#endif
