//! Repository to repository: resumable, verified, order-preserving. Bytes travel sealed; no content key is needed.
//!
//! ```text
//! replicate(source, target, key, options) -> Report        until the target has what the source has
//! import_fences(peer, target, key)        -> FenceNews     what a committer does before it commits
//!
//! mirror     the source's log, copied verbatim before anything is imported: evidence against rollback and fork
//! evidence   what the source mirrors of other stores' logs, for what it imported from them and is carried on
//! queue      what is still to be imported: in order within a lineage, a turn for each lineage
//! copy       one object: read, hashed, put, read back, hashed again
//! mend       what the target lost, brought again
//! import     the entry that makes a point live in the target, appended last
//! ```

mod copy;
mod error;
mod evidence;
mod fences;
mod import;
mod lanes;
mod link;
mod mend;
mod mirror;
mod queue;
mod replicate;
mod report;
mod session;

pub use error::ReplicateError;
pub use fences::{FenceNews, import_fences};
pub use replicate::{LANES_MAX, ReplicateOptions, replicate};
pub use report::{LineageReport, Problem, Report};
