//! Listing: every object that an API server has of some types, one by one.

use anyhow::Context as _;
use firn_cluster::{Cluster, Detail, Listed, Unlisted};
use firn_format::object::ResourceType;

/// Objects that wait between the API server and who takes them.
const QUEUE: usize = 2048;

/// Hands every object of `types` to `each`; with `namespaces`, of namespaced types only those in these. Gives what could not
/// be listed.
pub async fn each(
    cluster: &Cluster,
    types: Vec<ResourceType>,
    namespaces: &[String],
    mut each: impl FnMut(Listed) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Unlisted>> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(QUEUE);
    let (lister, namespaces) = (cluster.clone(), namespaces.to_vec());
    let listing = tokio::spawn(async move { lister.list_all(&types, &namespaces, Detail::Full, sender).await });
    while let Some(listed) = receiver.recv().await {
        each(listed)?;
    }
    listing.await.context("listing ended early")?.context("cannot list the objects")
}
