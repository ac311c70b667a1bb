
// What the kubelet needs beyond the control plane; appended to that go.mod, whose versions hold for both.
require (
	github.com/Microsoft/hnslib v0.1.1 // indirect
	github.com/armon/circbuf v0.0.0-20190214190532-5111143e8da2 // indirect
	go.opentelemetry.io/contrib/instrumentation/github.com/emicklei/go-restful/otelrestful v0.44.0 // indirect
)

tool k8s.io/kubernetes/cmd/kubelet
