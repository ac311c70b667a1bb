//! Talks to Kubernetes or to a directory of manifests; decides nothing.
//!
//! The live part is async (tokio); the directory part is plain blocking functions. A process that connects over TLS
//! installs a rustls provider first (`rustls::crypto::aws_lc_rs::default_provider().install_default()`).
//!
//! ```text
//! let cluster = Cluster::connect(Some("context"), Some(kubeconfig_path)).await?;  // or Cluster::from_client(client)
//! let facts = cluster.facts(&[]).await?;                  // Facts { uid, server_version }
//! let discovery = cluster.discover().await?;              // Discovery { types: Vec<ServedType>, exceptions }
//! let (sender, mut receiver) = tokio::sync::mpsc::channel(1024);
//! let listing = cluster.list_all(&types, &[], Detail::Full, sender);    // future; run it beside the receiver
//! while let Some(listed) = receiver.recv().await {        // Listed { resource: Arc<ResourceType>, key, object }
//! }                                                       // a type's objects come only once its list is whole
//! let unlisted = listing.await?;                          // Vec<Unlisted>: what could not be listed, and why
//!
//! let results = cluster.create_all(vec![Create { key, object }], &WriteOptions::default()).await;
//!                                                         // Vec<Written>, one per object, in the same order
//! cluster.merge_all(vec![Create { .. }], &options).await; // create, or merge patch over what exists
//! cluster.patch_all(vec![Create { .. }], &options).await; // merge patch only; a missing object is an error
//! cluster.adopt_all(vec![Adoption { .. }], &uids, &options).await;    // owner references with the new uids
//! cluster.wait_established(&names, timeout).await;        // Vec<Unready>, empty when all are Established
//! cluster.wait_namespaces_active(&names, timeout).await;  // Vec<Unready>
//! cluster.wait_backends(&services, timeout).await;        // Vec<Unready>: services without a ready endpoint
//! cluster.wait_ready(&keys, timeout).await;               // Vec<Unready>: what is not ready, and why
//!
//! let manifests = directory::read(dir)?;                  // Manifests { objects: Vec<Manifest>, exceptions }
//! directory::write(dir, &key, &object)?;                  // DIR/objects/<group>/<version>/<resource>/<namespace>/<name>.json
//! ```

mod call;
mod connect;
pub mod directory;
mod discover;
mod error;
mod list;
#[cfg(test)]
mod mock;
mod path;
mod wait;
mod write;

pub use connect::{Cluster, Facts};
pub use discover::{Discovery, ServedType};
pub use error::{ClusterError, Exception};
pub use list::{Detail, Fault, Listed, Unlisted};
pub use wait::Unready;
pub use write::{Adoption, AdoptiveOwner, Create, Outcome, WriteOptions, WriteProgress, WriteStop, Written};
