//! Where bytes rest: one contract over local, memory and Azure stores.
//!
//! `Store` is the one seam between Firn and storage; everything above it works on names and bytes.
//!
//! ```text
//! open(url)                                -> Result<Arc<dyn Store>>
//! Store::put_new(name, bytes)              -> Result<Put>          Created | Exists; durable; never overwrites
//! Store::get(name, bytes_max)              -> Result<Bytes>        whole
//! Store::get_range(name, range)            -> Result<Bytes>        exact
//! Store::head(name)                        -> Result<Head>         bytes
//! Store::list(prefix, after, each)         -> Result<()>           sorted, whole or an error
//! Store::delete(name)                      -> Result<()>           the collector's alone
//! Store::describe()                        -> String               URL without secrets
//! Store::time()                            -> Result<Timestamp>    the store's own clock
//!
//! put_new_resolved(store, name, bytes, check) -> Result<Put>       for content-named objects
//! probe_create_race(store)                 -> Result<()>           NoConditionalPut: refuse to write there
//! conformance::run(fresh, scale)           -> Result<.., Violation> the contract as a program
//! Recording | Faulty | Throttled           decorators: count and trace, fail on purpose, limit bandwidth
//! ```

mod azure;
pub mod conformance;
mod error;
mod faulty;
mod file;
mod fresh;
mod memory;
mod name;
mod open;
mod race;
mod recording;
mod store;
mod throttled;

pub use azure::AzureStore;
pub use error::{Kind, Operation, Result, StoreError};
pub use faulty::{Fault, Faulty};
pub use file::FileStore;
pub use memory::MemoryStore;
pub use name::{NAME_BYTES_MAX, SEGMENT_BYTES_MAX, check_name, check_prefix};
pub use open::open;
pub use race::probe_create_race;
pub use recording::{Count, Recording, TRACE_LEN_MAX, Traced};
pub use store::{Check, Head, Listed, Put, Store, put_new_resolved};
pub use throttled::Throttled;
