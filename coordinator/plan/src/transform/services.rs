//! Services: addresses and ports that the old cluster allotted.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::object::{annotation, items, items_mut, remove, remove_if_empty, text};
use crate::target::Target;

/// Annotations that name one region's addresses and groups.
const REGION_ANNOTATIONS: &[&str] = &[
    "service.beta.kubernetes.io/azure-load-balancer-ipv4",
    "service.beta.kubernetes.io/azure-load-balancer-ipv6",
    "service.beta.kubernetes.io/azure-load-balancer-resource-group",
    "service.beta.kubernetes.io/azure-load-balancer-internal-subnet",
    "service.beta.kubernetes.io/azure-pip-name",
    "service.beta.kubernetes.io/azure-pip-prefix-id",
];

/// Takes away allotted addresses and ports; those that the user declared stay.
pub(super) fn strip(service: &mut Value) -> Vec<String> {
    let mut notes = Vec::new();
    strip_addresses(service);
    let declared = DeclaredPorts::of(service);
    let whole: Vec<bool> = items(service, "/spec/ports").map(|port| declared.has(port)).collect();
    for (port, declared) in items_mut(service, "/spec/ports").zip(whole) {
        if !declared {
            remove(port, "", "nodePort");
        }
    }
    if !declared.health_check {
        remove(service, "/spec", "healthCheckNodePort");
    }
    if let Some(Value::String(address)) = remove(service, "/spec", "loadBalancerIP") {
        notes.push(format!("load balancer address {address} not kept: it belongs to the old region"));
    }
    for name in REGION_ANNOTATIONS {
        if remove(service, "/metadata/annotations", name).is_some() {
            notes.push(format!("annotation {name} not kept: it names the old region"));
        }
    }
    notes
}

fn strip_addresses(service: &mut Value) {
    let headless = text(service, "/spec/clusterIP") == Some("None");
    if !headless {
        remove(service, "/spec", "clusterIP");
        remove(service, "/spec", "clusterIPs");
    }
    // The target may be single-stack or of the other family; its default is right unless both are required.
    match text(service, "/spec/ipFamilyPolicy") {
        Some("RequireDualStack") => {}
        Some("SingleStack") => {
            remove(service, "/spec", "ipFamilies");
            remove(service, "/spec", "ipFamilyPolicy");
        }
        _ => {
            remove(service, "/spec", "ipFamilies");
        }
    }
    remove_if_empty(service, "/spec", "clusterIPs");
}

/// The node ports that the user wrote down, by the port's name or number.
struct DeclaredPorts {
    ports: HashSet<String>,
    health_check: bool,
}

impl DeclaredPorts {
    fn of(service: &Value) -> Self {
        let mut declared = Self { ports: HashSet::new(), health_check: false };
        let applied = annotation(service, "kubectl.kubernetes.io/last-applied-configuration")
            .and_then(|applied| serde_json::from_str::<Value>(applied).ok());
        if let Some(applied) = applied {
            declared.ports.extend(
                items(&applied, "/spec/ports").filter(|port| port.get("nodePort").is_some()).filter_map(number_of),
            );
            declared.health_check |= applied.pointer("/spec/healthCheckNodePort").is_some();
        }
        // Server-side apply: the manager who applied a field has declared it.
        for manager in items(service, "/metadata/managedFields") {
            if text(manager, "/operation") != Some("Apply") || text(manager, "/subresource").is_some() {
                continue;
            }
            declared.health_check |= manager.pointer("/fieldsV1/f:spec/f:healthCheckNodePort").is_some();
            let fields = manager.pointer("/fieldsV1/f:spec/f:ports").and_then(Value::as_object);
            for (selector, fields) in fields.into_iter().flatten() {
                let port = selector.strip_prefix("k:").and_then(|key| serde_json::from_str::<Value>(key).ok());
                if fields.get("f:nodePort").is_some() {
                    declared.ports.extend(port.as_ref().and_then(number_of));
                }
            }
        }
        declared
    }

    fn has(&self, port: &Value) -> bool {
        number_of(port).is_some_and(|number| self.ports.contains(&number))
    }
}

/// Number and protocol: what makes a port of a service unique.
fn number_of(port: &Value) -> Option<String> {
    let protocol = text(port, "/protocol").unwrap_or("TCP");
    Some(format!("{}/{protocol}", port.get("port")?.as_u64()?))
}

/// Node ports that services of the target hold, each with the namespace and name of its service.
#[derive(Default)]
pub(crate) struct NodePorts {
    holders: HashMap<u64, (String, String)>,
}

impl NodePorts {
    pub(crate) fn of(target: &Target) -> Self {
        let mut holders = HashMap::new();
        for (_, service) in target.objects_of("", "services") {
            let ports = items(service, "/spec/ports").filter_map(|port| port.get("nodePort")?.as_u64());
            let health = service.pointer("/spec/healthCheckNodePort").and_then(Value::as_u64);
            holders.extend(ports.chain(health).map(|port| (port, name_of(service))));
        }
        Self { holders }
    }

    /// The service that holds this port, unless it is `service` itself.
    fn taken_from(&self, service: &(String, String), port: Option<&Value>) -> Option<(u64, String)> {
        let port = port?.as_u64()?;
        let (namespace, name) = self.holders.get(&port).filter(|holder| *holder != service)?;
        Some((port, format!("{namespace}/{name}")))
    }
}

fn name_of(service: &Value) -> (String, String) {
    let word = |pointer: &str| text(service, pointer).unwrap_or_default().to_owned();
    (word("/metadata/namespace"), word("/metadata/name"))
}

/// Takes away declared node ports that another service of the target holds: the target allots others.
pub(crate) fn release_taken_ports(service: &mut Value, taken: &NodePorts) -> Vec<String> {
    let mut notes = Vec::new();
    let own = name_of(service);
    let note = |(port, holder): (u64, String)| format!("node port {port} not kept: service {holder} has it");
    for port in items_mut(service, "/spec/ports") {
        if let Some(conflict) = taken.taken_from(&own, port.get("nodePort")) {
            remove(port, "", "nodePort");
            notes.push(note(conflict));
        }
    }
    if let Some(conflict) = taken.taken_from(&own, service.pointer("/spec/healthCheckNodePort")) {
        remove(service, "/spec", "healthCheckNodePort");
        notes.push(note(conflict));
    }
    notes
}
