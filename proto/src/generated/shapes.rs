// Made from firn.proto by `cargo xtask proto`.
use super::messages;
use crate::limits::{Bounded, Field, Shape};

static SECRET: Shape = Shape {
    name: "Secret",
    fields: &[
        Field { number: 1, name: "value", count_max: 1, bytes_max: 1048576, shape: None },
    ],
};

static ENROLL_REQUEST: Shape = Shape {
    name: "EnrollRequest",
    fields: &[
        Field { number: 1, name: "certificate_request", count_max: 1, bytes_max: 8192, shape: None },
        Field { number: 2, name: "token", count_max: 1, bytes_max: 16384, shape: Some(&SECRET) },
    ],
};

impl Bounded for messages::EnrollRequest {
    const SHAPE: &'static Shape = &ENROLL_REQUEST;
}

static ENROLL_REPLY: Shape = Shape {
    name: "EnrollReply",
    fields: &[
        Field { number: 1, name: "certificate_chain", count_max: 1, bytes_max: 65536, shape: None },
        Field { number: 2, name: "authorities", count_max: 1, bytes_max: 65536, shape: None },
    ],
};

impl Bounded for messages::EnrollReply {
    const SHAPE: &'static Shape = &ENROLL_REPLY;
}

static FROM_AGENT: Shape = Shape {
    name: "FromAgent",
    fields: &[
        Field { number: 1, name: "hello", count_max: 1, bytes_max: u32::MAX, shape: Some(&HELLO) },
        Field { number: 2, name: "progress", count_max: 1, bytes_max: u32::MAX, shape: Some(&PROGRESS) },
        Field { number: 3, name: "finished", count_max: 1, bytes_max: u32::MAX, shape: Some(&FINISHED) },
        Field { number: 4, name: "pong", count_max: 1, bytes_max: u32::MAX, shape: Some(&PONG) },
    ],
};

impl Bounded for messages::FromAgent {
    const SHAPE: &'static Shape = &FROM_AGENT;
}

static FROM_COORDINATOR: Shape = Shape {
    name: "FromCoordinator",
    fields: &[
        Field { number: 1, name: "welcome", count_max: 1, bytes_max: u32::MAX, shape: Some(&WELCOME) },
        Field { number: 2, name: "assign", count_max: 1, bytes_max: u32::MAX, shape: Some(&ASSIGN) },
        Field { number: 3, name: "cancel", count_max: 1, bytes_max: u32::MAX, shape: Some(&CANCEL) },
        Field { number: 4, name: "forget", count_max: 1, bytes_max: u32::MAX, shape: Some(&FORGET) },
        Field { number: 5, name: "ping", count_max: 1, bytes_max: u32::MAX, shape: Some(&PING) },
    ],
};

impl Bounded for messages::FromCoordinator {
    const SHAPE: &'static Shape = &FROM_COORDINATOR;
}

static HELLO: Shape = Shape {
    name: "Hello",
    fields: &[
        Field { number: 1, name: "agent_version", count_max: 1, bytes_max: 64, shape: None },
        Field { number: 2, name: "protocol_min", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 3, name: "protocol_max", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 4, name: "node", count_max: 1, bytes_max: 253, shape: None },
        Field { number: 5, name: "slots", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 6, name: "running", count_max: 256, bytes_max: 128, shape: None },
        Field { number: 7, name: "finished", count_max: 1024, bytes_max: 128, shape: None },
    ],
};

impl Bounded for messages::Hello {
    const SHAPE: &'static Shape = &HELLO;
}

static WELCOME: Shape = Shape {
    name: "Welcome",
    fields: &[
        Field { number: 1, name: "coordinator_version", count_max: 1, bytes_max: 64, shape: None },
        Field { number: 2, name: "protocol", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Welcome {
    const SHAPE: &'static Shape = &WELCOME;
}

static PROGRESS: Shape = Shape {
    name: "Progress",
    fields: &[
        Field { number: 1, name: "task", count_max: 1, bytes_max: 128, shape: None },
        Field { number: 2, name: "phase", count_max: 1, bytes_max: 128, shape: None },
        Field { number: 3, name: "entries", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 4, name: "bytes", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 5, name: "bytes_stored", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 6, name: "exceptions", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 7, name: "entries_total", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 8, name: "bytes_total", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Progress {
    const SHAPE: &'static Shape = &PROGRESS;
}

static FINISHED: Shape = Shape {
    name: "Finished",
    fields: &[
        Field { number: 1, name: "task", count_max: 1, bytes_max: 128, shape: None },
        Field { number: 2, name: "contribution", count_max: 1, bytes_max: u32::MAX, shape: Some(&CONTRIBUTION) },
        Field { number: 3, name: "failure", count_max: 1, bytes_max: u32::MAX, shape: Some(&FAILURE) },
    ],
};

impl Bounded for messages::Finished {
    const SHAPE: &'static Shape = &FINISHED;
}

static FAILURE: Shape = Shape {
    name: "Failure",
    fields: &[
        Field { number: 1, name: "reason", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 2, name: "message", count_max: 1, bytes_max: 8192, shape: None },
        Field { number: 3, name: "permanent", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Failure {
    const SHAPE: &'static Shape = &FAILURE;
}

static ASSIGN: Shape = Shape {
    name: "Assign",
    fields: &[
        Field { number: 1, name: "task", count_max: 1, bytes_max: u32::MAX, shape: Some(&TASK) },
    ],
};

impl Bounded for messages::Assign {
    const SHAPE: &'static Shape = &ASSIGN;
}

static CANCEL: Shape = Shape {
    name: "Cancel",
    fields: &[
        Field { number: 1, name: "task", count_max: 1, bytes_max: 128, shape: None },
    ],
};

impl Bounded for messages::Cancel {
    const SHAPE: &'static Shape = &CANCEL;
}

static FORGET: Shape = Shape {
    name: "Forget",
    fields: &[
        Field { number: 1, name: "task", count_max: 1, bytes_max: 128, shape: None },
    ],
};

impl Bounded for messages::Forget {
    const SHAPE: &'static Shape = &FORGET;
}

static PING: Shape = Shape {
    name: "Ping",
    fields: &[
        Field { number: 1, name: "nonce", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Ping {
    const SHAPE: &'static Shape = &PING;
}

static PONG: Shape = Shape {
    name: "Pong",
    fields: &[
        Field { number: 1, name: "nonce", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Pong {
    const SHAPE: &'static Shape = &PONG;
}

static TASK: Shape = Shape {
    name: "Task",
    fields: &[
        Field { number: 1, name: "id", count_max: 1, bytes_max: 128, shape: None },
        Field { number: 2, name: "node", count_max: 1, bytes_max: 253, shape: None },
        Field { number: 3, name: "repository", count_max: 1, bytes_max: u32::MAX, shape: Some(&REPOSITORY) },
        Field { number: 8, name: "capture_volume", count_max: 1, bytes_max: u32::MAX, shape: Some(&CAPTURE_VOLUME) },
        Field { number: 9, name: "capture_objects", count_max: 1, bytes_max: u32::MAX, shape: Some(&CAPTURE_OBJECTS) },
    ],
};

impl Bounded for messages::Task {
    const SHAPE: &'static Shape = &TASK;
}

static REPOSITORY: Shape = Shape {
    name: "Repository",
    fields: &[
        Field { number: 1, name: "url", count_max: 1, bytes_max: 4096, shape: None },
        Field { number: 2, name: "credentials", count_max: 64, bytes_max: 65536, shape: Some(&SETTING) },
        Field { number: 3, name: "family", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 4, name: "store", count_max: 1, bytes_max: 32, shape: None },
    ],
};

impl Bounded for messages::Repository {
    const SHAPE: &'static Shape = &REPOSITORY;
}

static SETTING: Shape = Shape {
    name: "Setting",
    fields: &[
        Field { number: 1, name: "name", count_max: 1, bytes_max: 256, shape: None },
        Field { number: 2, name: "value", count_max: 1, bytes_max: 65024, shape: Some(&SECRET) },
    ],
};

impl Bounded for messages::Setting {
    const SHAPE: &'static Shape = &SETTING;
}

static SESSION: Shape = Shape {
    name: "Session",
    fields: &[
        Field { number: 1, name: "id", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 2, name: "run", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 3, name: "writer_keys", count_max: 1, bytes_max: 4096, shape: Some(&SECRET) },
        Field { number: 4, name: "index_runs", count_max: 131072, bytes_max: 64, shape: None },
        Field { number: 5, name: "avoid", count_max: 262144, bytes_max: 64, shape: None },
        Field { number: 6, name: "leftovers", count_max: 131072, bytes_max: 64, shape: None },
    ],
};

impl Bounded for messages::Session {
    const SHAPE: &'static Shape = &SESSION;
}

static PARENT: Shape = Shape {
    name: "Parent",
    fields: &[
        Field { number: 1, name: "root", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 2, name: "cut_ms", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::Parent {
    const SHAPE: &'static Shape = &PARENT;
}

static CAPTURE_VOLUME: Shape = Shape {
    name: "CaptureVolume",
    fields: &[
        Field { number: 1, name: "session", count_max: 1, bytes_max: u32::MAX, shape: Some(&SESSION) },
        Field { number: 2, name: "parent", count_max: 1, bytes_max: u32::MAX, shape: Some(&PARENT) },
        Field { number: 3, name: "mount", count_max: 1, bytes_max: 1024, shape: None },
        Field { number: 4, name: "pod_volume", count_max: 1, bytes_max: u32::MAX, shape: Some(&POD_VOLUME) },
        Field { number: 5, name: "host_path", count_max: 1, bytes_max: 4096, shape: None },
        Field { number: 6, name: "exclude", count_max: 1024, bytes_max: 4096, shape: None },
        Field { number: 7, name: "consistency", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 8, name: "limits", count_max: 1, bytes_max: u32::MAX, shape: Some(&FILE_LIMITS) },
    ],
};

impl Bounded for messages::CaptureVolume {
    const SHAPE: &'static Shape = &CAPTURE_VOLUME;
}

static POD_VOLUME: Shape = Shape {
    name: "PodVolume",
    fields: &[
        Field { number: 1, name: "pod_uid", count_max: 1, bytes_max: 64, shape: None },
        Field { number: 2, name: "plugin", count_max: 1, bytes_max: 255, shape: None },
        Field { number: 3, name: "name", count_max: 1, bytes_max: 255, shape: None },
    ],
};

impl Bounded for messages::PodVolume {
    const SHAPE: &'static Shape = &POD_VOLUME;
}

static FILE_LIMITS: Shape = Shape {
    name: "FileLimits",
    fields: &[
        Field { number: 1, name: "entries_max", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 2, name: "bytes_max", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::FileLimits {
    const SHAPE: &'static Shape = &FILE_LIMITS;
}

static CAPTURE_OBJECTS: Shape = Shape {
    name: "CaptureObjects",
    fields: &[
        Field { number: 1, name: "session", count_max: 1, bytes_max: u32::MAX, shape: Some(&SESSION) },
        Field { number: 2, name: "parent", count_max: 1, bytes_max: u32::MAX, shape: Some(&PARENT) },
        Field { number: 3, name: "mount", count_max: 1, bytes_max: 1024, shape: None },
        Field { number: 4, name: "namespaces", count_max: 65536, bytes_max: 253, shape: None },
        Field { number: 5, name: "selector", count_max: 1, bytes_max: 16384, shape: None },
        Field { number: 6, name: "rules", count_max: 1, bytes_max: 1048576, shape: None },
    ],
};

impl Bounded for messages::CaptureObjects {
    const SHAPE: &'static Shape = &CAPTURE_OBJECTS;
}

static CONTRIBUTION: Shape = Shape {
    name: "Contribution",
    fields: &[
        Field { number: 1, name: "mount", count_max: 1, bytes_max: 1024, shape: None },
        Field { number: 2, name: "root", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 3, name: "entries", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 4, name: "bytes", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 5, name: "exceptions", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 6, name: "exceptions_node", count_max: 1, bytes_max: 32, shape: None },
        Field { number: 7, name: "cut_ms", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 8, name: "method", count_max: 1, bytes_max: 64, shape: None },
        Field { number: 9, name: "consistency", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 10, name: "stale", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 11, name: "adds", count_max: 262144, bytes_max: 64, shape: None },
        Field { number: 12, name: "needs", count_max: 262144, bytes_max: 64, shape: None },
        Field { number: 13, name: "stats", count_max: 1, bytes_max: u32::MAX, shape: Some(&WRITE_STATS) },
        Field { number: 14, name: "namespaces", count_max: 65536, bytes_max: 253, shape: None },
        Field { number: 15, name: "facts", count_max: 1, bytes_max: 2097152, shape: None },
    ],
};

impl Bounded for messages::Contribution {
    const SHAPE: &'static Shape = &CONTRIBUTION;
}

static WRITE_STATS: Shape = Shape {
    name: "WriteStats",
    fields: &[
        Field { number: 1, name: "bytes_read", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 2, name: "bytes_offered", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 3, name: "bytes_new", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 4, name: "blobs_new", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 5, name: "bytes_stored", count_max: 1, bytes_max: u32::MAX, shape: None },
        Field { number: 6, name: "packs", count_max: 1, bytes_max: u32::MAX, shape: None },
    ],
};

impl Bounded for messages::WriteStats {
    const SHAPE: &'static Shape = &WRITE_STATS;
}
