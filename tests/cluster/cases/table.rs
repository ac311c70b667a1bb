//! The table of restore cases.

use super::Case;
use super::Expected::{Absent, Differs, Is, Lacks, MadeByB};

/// What B has before: classes that are the default, a service that holds a node port.
pub(super) const ON_B: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: cases-of-b}}
---
{apiVersion: v1, kind: Service, metadata: {name: holder, namespace: cases-of-b}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30712}]}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: cases-default-of-b, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: cases-default-of-b, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: example.com/b}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: cases-default-of-b}, value: 1, globalDefault: true}
"#;

/// What A gets last, since it refuses what comes after it. B is to get it last for the same reason.
pub(super) const AFTERWARDS: &str = r#"
{apiVersion: v1, kind: ResourceQuota, metadata: {name: quota, namespace: cases}, spec: {hard: {secrets: "1"}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: cases-guard}
webhooks:
- name: guard.cases.example.com
  clientConfig: {service: {namespace: cases, name: web, path: /validate}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: cases}}
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
"#;

/// The rows.
pub(super) const CASES: &[Case] = &[
    Case {
        what: "what the API server sets is set anew",
        given: "{apiVersion: v1, kind: ConfigMap, metadata: {name: plain, namespace: cases, generateName: pl, annotations: {note: mine}}, data: {a: b}}",
        expected: &[
            Differs("configmaps/plain", "/metadata/uid"),
            Lacks("configmaps/plain", "/metadata/generateName"),
            Is("configmaps/plain", "/metadata/annotations/note", "\"mine\""),
            Is("configmaps/plain", "/data", "{\"a\":\"b\"}"),
        ],
    },
    Case {
        what: "the user's finalizers stay, those of Kubernetes do not",
        given: "{apiVersion: v1, kind: ConfigMap, metadata: {name: finalized, namespace: cases, finalizers: [example.com/keep, foregroundDeletion]}}",
        expected: &[Is("configmaps/finalized", "/metadata/finalizers", "[\"example.com/keep\"]")],
    },
    Case {
        what: "what was terminating is not raised from the dead",
        given: "{apiVersion: v1, kind: ConfigMap, metadata: {name: ending, namespace: cases, finalizers: [example.com/slow]}}",
        expected: &[Absent("configmaps/ending")],
    },
    Case {
        what: "addresses of services are B's",
        given: "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: cases}, spec: {selector: {app: web}, ports: [{port: 443}]}}",
        expected: &[Differs("services/web", "/spec/clusterIP"), Differs("services/web", "/spec/clusterIPs/0")],
    },
    Case {
        what: "a headless service stays headless",
        given: "{apiVersion: v1, kind: Service, metadata: {name: headless, namespace: cases}, spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}}",
        expected: &[Is("services/headless", "/spec/clusterIP", "\"None\"")],
    },
    Case {
        what: "an external name stays",
        given: "{apiVersion: v1, kind: Service, metadata: {name: external, namespace: cases}, spec: {type: ExternalName, externalName: db.example.com}}",
        expected: &[Is("services/external", "/spec/externalName", "\"db.example.com\"")],
    },
    Case {
        what: "a declared node port is kept",
        given: "{apiVersion: v1, kind: Service, metadata: {name: edge, namespace: cases}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30711}]}}",
        expected: &[Is("services/edge", "/spec/ports/0/nodePort", "30711")],
    },
    Case {
        what: "a declared node port that B uses is allotted anew",
        given: "{apiVersion: v1, kind: Service, metadata: {name: edge-taken, namespace: cases}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30712}]}}",
        expected: &[Differs("services/edge-taken", "/spec/ports/0/nodePort")],
    },
    Case {
        what: "a load balancer's address and its region's annotations are not kept",
        given: r#"
apiVersion: v1
kind: Service
metadata:
  name: balanced
  namespace: cases
  annotations: {service.beta.kubernetes.io/azure-pip-name: pip-a, mine: stays}
spec: {type: LoadBalancer, loadBalancerIP: 192.0.2.7, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}"#,
        expected: &[
            Lacks("services/balanced", "/spec/loadBalancerIP"),
            Lacks("services/balanced", "/status/loadBalancer/ingress"),
            Lacks("services/balanced", "/metadata/annotations/service.beta.kubernetes.io~1azure-pip-name"),
            Is("services/balanced", "/metadata/annotations/mine", "\"stays\""),
        ],
    },
    Case {
        what: "each cluster has its own root certificate",
        given: "",
        expected: &[MadeByB("configmaps/kube-root-ca.crt"), Differs("configmaps/kube-root-ca.crt", "/data/ca.crt")],
    },
    Case {
        what: "what a namespace's own account says more is merged",
        given: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: cases}, imagePullSecrets: [{name: registry}]}",
        expected: &[
            Is("serviceaccounts/default", "/imagePullSecrets", "[{\"name\":\"registry\"}]"),
            Differs("serviceaccounts/default", "/metadata/uid"),
        ],
    },
    Case {
        what: "an account loses automatic tokens and keeps what it was given",
        given: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot, namespace: cases}, secrets: [{name: robot-token-abcde}, {name: own}]}",
        expected: &[Is("serviceaccounts/robot", "/secrets", "[{\"name\":\"own\"}]")],
    },
    Case {
        what: "a token that somebody asked for is filled by B",
        given: "{apiVersion: v1, kind: Secret, metadata: {name: robot-token, namespace: cases, annotations: {kubernetes.io/service-account.name: robot}}, type: kubernetes.io/service-account-token}",
        expected: &[
            Differs("secrets/robot-token", "/data/token"),
            Differs("secrets/robot-token", "/data/ca.crt"),
            Differs("secrets/robot-token", "/metadata/annotations/kubernetes.io~1service-account.uid"),
        ],
    },
    Case {
        what: "tokens that admit nodes stay behind",
        given: "{apiVersion: v1, kind: Secret, metadata: {name: bootstrap, namespace: cases}, type: bootstrap.kubernetes.io/token, data: {token-id: YWJjZGVm, token-secret: MDEyMzQ1Njc4OWFiY2RlZg==}}",
        expected: &[Absent("secrets/bootstrap")],
    },
    Case {
        what: "leases stay behind",
        given: "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: leader, namespace: cases}, spec: {holderIdentity: pod-of-a, leaseDurationSeconds: 15}}",
        expected: &[Absent("leases/leader")],
    },
    Case {
        what: "leader election of the old kind stays behind",
        given: "{apiVersion: v1, kind: ConfigMap, metadata: {name: old-leader, namespace: cases, annotations: {control-plane.alpha.kubernetes.io/leader: '{}'}}}",
        expected: &[Absent("configmaps/old-leader")],
    },
    Case {
        what: "events are not replayed",
        given: "{apiVersion: v1, kind: Event, metadata: {name: happened, namespace: cases}, involvedObject: {kind: ConfigMap, name: plain, namespace: cases}, reason: Tested, message: once}",
        expected: &[Absent("events/happened")],
    },
    Case {
        what: "endpoints of a service without selector are the user's",
        given: r#"
{apiVersion: v1, kind: Service, metadata: {name: outside, namespace: cases}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Endpoints, metadata: {name: outside, namespace: cases}, subsets: [{addresses: [{ip: 192.0.2.10}], ports: [{port: 80}]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: outside-mine, namespace: cases, labels: {kubernetes.io/service-name: outside}}, addressType: IPv4, endpoints: [{addresses: [192.0.2.11]}], ports: [{port: 80}]}"#,
        expected: &[
            Is("endpoints/outside", "/subsets/0/addresses/0/ip", "\"192.0.2.10\""),
            Is("endpointslices/outside-mine", "/endpoints/0/addresses/0", "\"192.0.2.11\""),
        ],
    },
    Case {
        what: "endpoints of a service with selector are derived",
        given: "",
        expected: &[MadeByB("endpointslices/web-*")],
    },
    Case {
        what: "what belongs to nodes stays behind",
        given: r#"
{apiVersion: storage.k8s.io/v1, kind: CSINode, metadata: {name: cases-node}, spec: {drivers: []}}
---
{apiVersion: storage.k8s.io/v1, kind: VolumeAttachment, metadata: {name: cases-attached}, spec: {attacher: example.com, nodeName: cases-node, source: {persistentVolumeName: cases-shared}}}"#,
        expected: &[Absent("csinodes/cases-node"), Absent("volumeattachments/cases-attached")],
    },
    Case {
        what: "what the API server makes itself is left to it",
        given: "",
        expected: &[
            MadeByB("apiservices/v1.apps"),
            MadeByB("clusterroles/view"),
            MadeByB("clusterrolebindings/cluster-admin"),
            MadeByB("priorityclasses/system-node-critical"),
            MadeByB("flowschemas/catch-all"),
        ],
    },
    Case {
        what: "a webhook that refuses everything comes last",
        given: "",
        expected: &[
            Is("validatingwebhookconfigurations/cases-guard", "/webhooks/0/failurePolicy", "\"Fail\""),
            Is("configmaps/plain", "/data/a", "\"b\""),
        ],
    },
    Case {
        what: "a quota that is full already comes last",
        given: "",
        expected: &[
            Is("resourcequotas/quota", "/spec/hard/secrets", "\"1\""),
            Is("secrets/sealed", "/immutable", "true"),
            Is("secrets/registry", "/type", "\"kubernetes.io/dockerconfigjson\""),
        ],
    },
    Case {
        what: "labels of a namespace are restored",
        given: "",
        expected: &[
            Is("namespaces/cases", "/metadata/labels/tier", "\"gold\""),
            Is("namespaces/cases", "/metadata/labels/kubernetes.io~1metadata.name", "\"cases\""),
        ],
    },
    Case {
        what: "a claim has the size of its volume, and a new volume",
        given: r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: cases-data, labels: {topology.kubernetes.io/zone: zone-of-a}}
spec:
  capacity: {storage: 3Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Delete
  storageClassName: ""
  claimRef: {namespace: cases, name: data}
  csi: {driver: disk.example.com, volumeHandle: /subscriptions/1/disks/of-a}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: cases, annotations: {volume.kubernetes.io/selected-node: node-of-a, volume.kubernetes.io/storage-provisioner: disk.example.com}}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: cases-data, resources: {requests: {storage: 1Gi}}}"#,
        expected: &[
            Is("persistentvolumeclaims/data", "/spec/resources/requests/storage", "\"3Gi\""),
            Is("persistentvolumeclaims/data", "/status/phase", "\"Bound\""),
            Lacks("persistentvolumeclaims/data", "/metadata/annotations/volume.kubernetes.io~1selected-node"),
            Lacks("persistentvolumeclaims/data", "/metadata/annotations/volume.kubernetes.io~1storage-provisioner"),
            Lacks("persistentvolumes/cases-data", "/spec/csi"),
            Lacks("persistentvolumes/cases-data", "/metadata/labels/topology.kubernetes.io~1zone"),
            Is("persistentvolumes/cases-data", "/spec/persistentVolumeReclaimPolicy", "\"Retain\""),
            Is("persistentvolumes/cases-data", "/spec/claimRef/name", "\"data\""),
            Differs("persistentvolumes/cases-data", "/spec/claimRef/uid"),
        ],
    },
    Case {
        what: "a claim does not wait for a snapshot or a class that only A had",
        given: r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cloned, namespace: cases}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: cases-of-a
  volumeAttributesClassName: cases-gold
  dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: gone}
  resources: {requests: {storage: 1Gi}}"#,
        expected: &[
            Lacks("persistentvolumeclaims/cloned", "/spec/dataSource"),
            Lacks("persistentvolumeclaims/cloned", "/spec/dataSourceRef"),
            Lacks("persistentvolumeclaims/cloned", "/spec/volumeAttributesClassName"),
        ],
    },
    Case {
        what: "a shared volume never points at A's server",
        given: r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: cases-shared}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: cases-of-a
  claimRef: {namespace: cases, name: shared}
  nfs: {server: nfs-of-a.example.com, path: /shared}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared, namespace: cases}
spec: {accessModes: [ReadWriteMany], storageClassName: cases-of-a, volumeName: cases-shared, resources: {requests: {storage: 1Gi}}}"#,
        expected: &[
            Lacks("persistentvolumes/cases-shared", "/spec/nfs"),
            Is("persistentvolumes/cases-shared", "/spec/accessModes", "[\"ReadWriteMany\"]"),
        ],
    },
    Case {
        what: "a StatefulSet keeps its templates; its revisions are B's",
        given: r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: database, namespace: cases}
spec:
  serviceName: headless
  replicas: 0
  podManagementPolicy: Parallel
  ordinals: {start: 3}
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: 'registry.example.com/db:1'}]}}
  volumeClaimTemplates:
  - {metadata: {name: disk}, spec: {accessModes: [ReadWriteOnce], storageClassName: cases-of-a, resources: {requests: {storage: 1Gi}}}}"#,
        expected: &[
            Is("statefulsets/database", "/spec/volumeClaimTemplates/0/metadata/name", "\"disk\""),
            Is("statefulsets/database", "/spec/ordinals/start", "3"),
            Is("statefulsets/database", "/spec/podManagementPolicy", "\"Parallel\""),
            MadeByB("controllerrevisions/database-*"),
        ],
    },
    Case {
        what: "a Deployment's children are made by B",
        given: r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: cases}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: 'registry.example.com/web:1'}]}}"#,
        expected: &[
            Is("deployments/web", "/spec/replicas", "1"),
            MadeByB("replicasets/web-*"),
            MadeByB("pods/web-*"),
            Differs("replicasets/web-*", "/metadata/ownerReferences/0/uid"),
        ],
    },
    Case {
        what: "a pod that nobody controls loses what admission and A's nodes gave it",
        given: "{apiVersion: v1, kind: Pod, metadata: {name: alone, namespace: cases}, spec: {containers: [{name: main, image: 'registry.example.com/x:1'}], tolerations: [{key: mine, operator: Exists}]}}",
        expected: &[
            Differs("pods/alone", "/metadata/uid"),
            Is("pods/alone", "/spec/tolerations/0/key", "\"mine\""),
            Lacks("pods/alone", "/spec/tolerations/3"),
            Lacks("pods/alone", "/spec/volumes/1"),
            Lacks("pods/alone", "/spec/containers/0/volumeMounts/1"),
        ],
    },
    Case {
        what: "a finished Job does not run again",
        given: "{apiVersion: batch/v1, kind: Job, metadata: {name: finished, namespace: cases}, spec: {completions: 0, template: {spec: {restartPolicy: Never, containers: [{name: x, image: 'registry.example.com/x:1'}]}}}}",
        expected: &[Absent("jobs/finished")],
    },
    Case {
        what: "a running Job waits for the switch, under B's own labels",
        given: "{apiVersion: batch/v1, kind: Job, metadata: {name: running, namespace: cases}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: 'registry.example.com/x:1'}]}}}}",
        expected: &[
            Is("jobs/running", "/spec/suspend", "true"),
            Differs("jobs/running", "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid"),
            Differs("jobs/running", "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid"),
        ],
    },
    Case {
        what: "a schedule waits for the switch",
        given: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly, namespace: cases}, spec: {schedule: '0 3 * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: 'registry.example.com/x:1'}]}}}}}}",
        expected: &[
            Is("cronjobs/nightly", "/spec/suspend", "true"),
            Is("cronjobs/nightly", "/metadata/annotations/firn.io~1release", r#""{\"spec\":{\"suspend\":false}}""#),
        ],
    },
    Case {
        what: "autoscalers and disruption budgets",
        given: r#"
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: cases}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 1, maxReplicas: 4, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web, namespace: cases}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}"#,
        expected: &[
            Is("horizontalpodautoscalers/web", "/spec/maxReplicas", "4"),
            Is("poddisruptionbudgets/web", "/spec/minAvailable", "1"),
        ],
    },
    Case {
        what: "a limit range",
        given: "{apiVersion: v1, kind: LimitRange, metadata: {name: limits, namespace: cases}, spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 10Gi}}]}}",
        expected: &[Is("limitranges/limits", "/spec/limits/0/max/storage", "\"10Gi\"")],
    },
    Case {
        what: "never two defaults",
        given: r#"
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: cases-high}, value: 1000, globalDefault: true}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: cases-of-a, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}, provisioner: kubernetes.io/no-provisioner}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: cases-of-a, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: example.com/a}}"#,
        expected: &[
            Is("priorityclasses/cases-high", "/value", "1000"),
            Lacks("priorityclasses/cases-high", "/globalDefault"),
            Is(
                "storageclasses/cases-of-a",
                "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
                "\"false\"",
            ),
            Is(
                "ingressclasses/cases-of-a",
                "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class",
                "\"false\"",
            ),
        ],
    },
    Case {
        what: "what AKS manages, and what the user leaves out, stays behind",
        given: r#"
{apiVersion: v1, kind: ConfigMap, metadata: {name: addon, namespace: cases, labels: {addonmanager.kubernetes.io/mode: Reconcile}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: of-aks, namespace: cases, labels: {kubernetes.azure.com/managedby: aks}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: not-mine, namespace: cases, labels: {velero.io/exclude-from-backup: "true"}}}"#,
        expected: &[Absent("configmaps/addon"), Absent("configmaps/of-aks"), Absent("configmaps/not-mine")],
    },
    Case {
        what: "rights: roles, bindings, rules that are computed",
        given: r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: cases-part, labels: {cases: part}}, rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: cases-whole}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {cases: part}}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: cases-whole}, subjects: [{kind: ServiceAccount, name: robot, namespace: cases}], roleRef: {kind: ClusterRole, name: cases-whole, apiGroup: rbac.authorization.k8s.io}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: robot, namespace: cases}, subjects: [{kind: Group, name: team, apiGroup: rbac.authorization.k8s.io}], roleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}}"#,
        expected: &[
            Is("clusterroles/cases-whole", "/rules/0/verbs", "[\"get\"]"),
            Is("clusterrolebindings/cases-whole", "/subjects/0/name", "\"robot\""),
            Is("rolebindings/robot", "/subjects/0/name", "\"team\""),
        ],
    },
    Case {
        what: "immutable secrets and config maps",
        given: r#"
{apiVersion: v1, kind: ConfigMap, metadata: {name: fixed, namespace: cases}, immutable: true, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: sealed, namespace: cases}, immutable: true, data: {a: Yg==}}
---
{apiVersion: v1, kind: Secret, metadata: {name: registry, namespace: cases}, type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: e30=}}"#,
        expected: &[
            Is("configmaps/fixed", "/immutable", "true"),
            Is("configmaps/fixed", "/data/a", "\"b\""),
            Is("secrets/sealed", "/data/a", "\"Yg==\""),
        ],
    },
    Case {
        what: "ingresses and network policies",
        given: r#"
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: cases}, spec: {ingressClassName: cases-of-a, tls: [{secretName: registry, hosts: [shop.example.com]}], rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 443}}}}]}}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: cases}, spec: {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}}"#,
        expected: &[
            Is("ingresses/web", "/spec/ingressClassName", "\"cases-of-a\""),
            Is("networkpolicies/closed", "/spec/egress/0/to/0/ipBlock/cidr", "\"192.0.2.0/24\""),
        ],
    },
];
