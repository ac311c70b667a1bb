//! Talks to Kubernetes or to a directory of manifests; decides nothing.
