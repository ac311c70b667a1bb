//! A connection to one API server, and what the cluster is.

use std::path::Path;
use std::time::Duration;

use firn_format::object::ObjectKey;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde::Serialize;
use serde_json::Value;

use crate::call::{Call, FIRST_TRIES_MAX, parse};
use crate::error::ClusterError;
use crate::path::{encoded, object_path};

/// A server that does not accept a connection within this time counts as unreachable.
const CONNECT_SECONDS_MAX: u64 = 10;

/// A connection to one API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: kube::Client,
}

/// What a cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The uid of its `kube-system` namespace: the same as long as the cluster lives. For who may not read that,
    /// `namespace:` and the uid of the first of their own.
    pub uid: String,
    /// The API server's version, such as `v1.34.4`.
    pub server_version: String,
}

impl Cluster {
    /// Connects with a context of the kubeconfig (`kubeconfig`, else `$KUBECONFIG`, else `~/.kube/config`); without a
    /// context, with the current one, or with the pod's own account if there is no kubeconfig. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClusterError::Kubeconfig`] if there is no such context, or what it names cannot be used.
    pub async fn connect(context: Option<&str>, kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Kubeconfig {
            context: context.unwrap_or("(current)").to_owned(),
            source,
        };
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = match (kubeconfig, context) {
            (Some(path), _) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(error.into()))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(error.into()))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|error| failed(error.into()))?,
            (None, None) => Config::infer().await.map_err(|error| failed(error.into()))?,
        };
        config.connect_timeout = Some(Duration::from_secs(CONNECT_SECONDS_MAX));
        Ok(Self { client: kube::Client::try_from(config).map_err(|error| failed(error.into()))? })
    }

    /// Uses a client that exists.
    #[must_use]
    pub fn from_client(client: kube::Client) -> Self {
        Self { client }
    }

    /// Asks who the cluster is; who works on `namespaces` only needs to see no others. An unreachable server is told after
    /// a few tries: within about 30 s.
    ///
    /// # Errors
    /// Any of [`ClusterError`]'s errors of a request.
    pub async fn facts(&self, namespaces: &[String]) -> Result<Facts, ClusterError> {
        let call = Call::get("/version");
        let version: Value = parse(&call, &self.call_within(&call, FIRST_TRIES_MAX).await?.body)?;
        let missing =
            |call: &Call, fault: &str| ClusterError::Answer { operation: call.operation(), fault: fault.to_owned() };
        let server_version = version.get("gitVersion").and_then(Value::as_str);
        let server_version = server_version.ok_or_else(|| missing(&call, "no gitVersion"))?.to_owned();
        let uid = match (self.uid_of_namespace("kube-system").await, namespaces.iter().min()) {
            (Err(error), Some(own)) if error.is_forbidden() => {
                self.uid_of_namespace(own).await.map(|uid| format!("namespace:{uid}"))
            }
            (uid, _) => uid,
        }?;
        Ok(Facts { uid, server_version })
    }

    async fn uid_of_namespace(&self, name: &str) -> Result<String, ClusterError> {
        let call = Call::get(format!("/api/v1/namespaces/{}", encoded(name)));
        let namespace: Value = self.call_json(&call).await?;
        let uid = namespace.pointer("/metadata/uid").and_then(Value::as_str);
        let fault = "no uid".to_owned();
        uid.map(str::to_owned).ok_or_else(|| ClusterError::Answer { operation: call.operation(), fault })
    }

    /// Reads one object; none if there is no such object.
    ///
    /// # Errors
    /// Any of [`ClusterError`]'s errors of a request; a type that is not served counts as no such object.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Value>, ClusterError> {
        match self.call_json(&Call::get(object_path(key))).await {
            Ok(object) => Ok(Some(object)),
            Err(ClusterError::Refused { code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
