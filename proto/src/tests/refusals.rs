//! Who and what is refused, and what is said about it.

use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::ground::*;
use crate::link::channel::{Channel, origin};
use crate::v1::coordinator_client::CoordinatorClient;
use crate::v1::enrollment_client::EnrollmentClient;
use crate::v1::{EnrollRequest, FromAgent, Hello, from_agent};
use crate::*;

const N1: &str = "firn://c1/agent/n1";
const COORDINATOR: &str = "firn://c1/coordinator";

/// What an attempt as n1 with these ends in.
async fn refused(ground: &Ground, server: &Server, credentials: Option<&Credentials>) -> ProtoError {
    let tls = ground.client_with(ground.trust(), credentials);
    link(&tls, server.address, "n1").await.expect_err("refused")
}

fn assert_ended(error: &ProtoError, expected: Code, words: &str) {
    let ProtoError::Ended { code, message, .. } = error else { panic!("{error:?}") };
    assert_eq!(*code, expected, "{message}");
    assert!(message.contains(words), "{message}");
    assert!(error.is_permanent());
    assert_eq!(error.asks_for_certificate(), expected == Code::Unauthenticated);
}

#[tokio::test]
async fn agents_that_are_not_who_they_must_be() {
    let ground = Ground::new();
    let server = ground.server().await;
    assert_ended(&refused(&ground, &server, None).await, Code::Unauthenticated, "a certificate is needed");

    let theirs = credentials(&authority(), N1);
    let words = "firn://c1/agent/n1 is not one that is trusted: none of the trusted authorities signed it";
    assert_ended(&refused(&ground, &server, Some(&theirs)).await, Code::Unauthenticated, words);

    let elsewhere = ground.credentials("firn://c2/agent/n1");
    let words = "firn://c2/agent/n1 was found where an agent of cluster c1 was expected";
    assert_ended(&refused(&ground, &server, Some(&elsewhere)).await, Code::PermissionDenied, words);

    // The coordinator's certificate is for being connected to.
    let coordinator = ground.credentials(COORDINATOR);
    let refused = refused(&ground, &server, Some(&coordinator)).await;
    assert_ended(&refused, Code::Unauthenticated, "firn://c1/coordinator is not one that is trusted");
}

#[tokio::test]
async fn certificates_of_others_without_their_keys() {
    let ground = Ground::new();
    let forged = ground.credentials(N1).with_key_of(&ground.credentials(N1));
    let mut server = ground.server().await;
    let refused = refused(&ground, &server, Some(&forged)).await;
    assert!(matches!(refused, ProtoError::Http { .. } | ProtoError::Ended { .. }), "{refused:?}");
    assert_eq!(server.registry.connected(), []);
    assert!(server.events.try_recv().is_err());

    let forged = ground.credentials(COORDINATOR).with_key_of(&ground.credentials(COORDINATOR));
    let server = ground.server_with("127.0.0.1:0", &forged, KeepAlive::default()).await;
    let refused = link(&ground.client(N1), server.address, "n1").await.expect_err("refused");
    assert!(chain(&refused).contains("BadSignature"), "{}", chain(&refused));
}

#[tokio::test]
async fn a_hello_of_another_node() {
    let ground = Ground::new();
    let server = ground.server().await;
    for (identity, node) in [(N1, "n2"), (N1, ""), ("firn://c1/objects", "n1")] {
        let refused = link(&ground.client(identity), server.address, node).await.expect_err("refused");
        assert_ended(&refused, Code::PermissionDenied, "where the certificate's own node was expected");
    }
    assert_eq!(server.registry.connected(), []);
}

#[tokio::test]
async fn agents_whose_time_is_over_or_to_come() {
    let ground = Ground::new();
    let server = ground.server().await;
    let client = ground.client(N1);
    let day_ms = LEAF_LIFETIME_MS;
    let coordinator = ground.authority.credentials(&COORDINATOR.parse().expect("one"), NOW_MS, 9 * day_ms);
    let coordinator = coordinator.expect("credentials");
    server.tls.reload(&coordinator, ground.trust()).expect("reloads");

    link(&client, server.address, "n1").await.expect("a link");
    ground.set_ms(NOW_MS + day_ms + 1000);
    let words = "the certificate of firn://c1/agent/n1 expired at 2027-01-16T08:00:00Z";
    assert_ended(&link(&client, server.address, "n1").await.expect_err("refused"), Code::Unauthenticated, words);

    ground.set_ms(NOW_MS);
    let early = ground.authority.credentials(&N1.parse().expect("one"), NOW_MS + day_ms, day_ms).expect("credentials");
    let words = "not valid before 2027-01-16T07:55:00Z; is a clock wrong?";
    assert_ended(&refused(&ground, &server, Some(&early)).await, Code::Unauthenticated, words);
}

#[tokio::test]
async fn coordinators_that_are_not_who_they_must_be() {
    let ground = Ground::new();
    let strange = authority();
    let cases = [
        (credentials(&strange, COORDINATOR), "none of the trusted authorities signed it"),
        (
            ground.credentials("firn://c2/coordinator"),
            "firn://c2/coordinator was found where firn://c1/coordinator was",
        ),
        (ground.credentials(N1), "firn://c1/agent/n1 is not one that is trusted"),
        (ground.credentials("firn://c1/objects"), "firn://c1/objects is not one that is trusted"),
    ];
    for (credentials, words) in cases {
        let server = ground.server_with("127.0.0.1:0", &credentials, KeepAlive::default()).await;
        let refused = link(&ground.client(N1), server.address, "n1").await.expect_err("refused");
        assert!(matches!(refused, ProtoError::Peer { .. }) && refused.is_permanent(), "{refused:?}");
        assert!(chain(&refused).contains(words), "{}", chain(&refused));
        // A token is a secret: it must not go to a stranger either.
        let tls = ground.client_with(ground.trust(), None);
        let asked = enroll(server.address, &tls, KeepAlive::default(), &[], Secret::new(TOKEN)).await;
        assert!(matches!(asked, Err(ProtoError::Peer { .. })), "{asked:?}");
        assert!(server.enrolled.lock().is_empty());
    }
}

#[tokio::test]
async fn coordinators_whose_time_is_over() {
    let ground = Ground::new();
    let server = ground.server().await;
    let client = ground.client(N1);
    ground.set_ms(NOW_MS + LEAF_LIFETIME_MS + 1000);
    let refused = link(&client, server.address, "n1").await.expect_err("refused");
    let words = "the certificate of firn://c1/coordinator expired at 2027-01-16T08:00:00Z";
    assert!(chain(&refused).contains(words), "{}", chain(&refused));
}

/// A stream of which a test says every message.
async fn raw(ground: &Ground, server: &Server) -> (mpsc::Sender<FromAgent>, mpsc::Receiver<Status>) {
    let channel = Channel::open(server.address, &ground.client(N1), KeepAlive::default()).await.expect("a channel");
    let (say, waiting) = mpsc::channel(8);
    let said = futures::stream::unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
    let (told, ends) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut client = CoordinatorClient::with_origin(channel, origin()).max_encoding_message_size(usize::MAX);
        let status = async {
            let mut heard = client.work(said).await?.into_inner();
            while heard.message().await?.is_some() {}
            Ok(())
        };
        let status: Result<(), Status> = status.await;
        let _told = told.send(status.err().unwrap_or_else(|| Status::ok("ended"))).await;
    });
    (say, ends)
}

fn said(hello: Hello) -> FromAgent {
    FromAgent { content: Some(from_agent::Content::Hello(hello)) }
}

fn good() -> Hello {
    Hello { protocol_min: 1, protocol_max: 7, ..hello("n1") }
}

#[tokio::test]
async fn streams_that_do_not_keep_to_the_rules() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let progress = FromAgent { content: Some(from_agent::Content::Progress(v1::Progress::default())) };
    let cases = [
        (vec![progress], "the first message is no hello"),
        (vec![FromAgent { content: None }], "the first message is no hello"),
        (vec![said(good()), said(good())], "a second hello"),
        (vec![said(Hello { protocol_min: 2, protocol_max: 3, ..hello("n1") })], "speaks protocols 2 to 3"),
        (vec![said(Hello { protocol_min: 0, protocol_max: 0, ..hello("n1") })], "upgrade the older"),
    ];
    for (messages, words) in cases {
        let (say, mut ends) = raw(&ground, &server).await;
        let joins = messages.len() > 1;
        for message in messages {
            say.send(message).await.expect("said");
        }
        let status = within(ends.recv()).await.expect("a status");
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        assert!(status.message().contains(words), "{status:?}");
        if joins {
            assert!(matches!(server.event().await.news, News::Joined(_)));
            assert_eq!(server.event().await.news, News::Left);
        }
    }
    assert_eq!(server.registry.connected(), []);
}

#[tokio::test]
async fn messages_beyond_their_limits() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let many = Hello { finished: vec![String::new(); 1025], ..good() };
    let long = Hello { agent_version: "x".repeat(65), ..good() };
    let huge = Hello { agent_version: "x".repeat(MESSAGE_BYTES_MAX), ..good() };
    for (hello, code, words) in [
        (many, Code::ResourceExhausted, "Hello.finished comes more than 1024 times"),
        (long, Code::ResourceExhausted, "Hello.agent_version has 65 bytes; at most 64 are allowed"),
        (huge, Code::OutOfRange, "length too large"),
    ] {
        // One's own side says so before it is sent.
        let mut connector = Connector::new(ground.client(N1), KeepAlive::default(), SHORT);
        let refused = within(connector.link(server.address, hello.clone())).await.expect_err("refused");
        assert!(matches!(refused, ProtoError::Limit(_)), "{refused:?}");
        // Who sends it all the same is told, at the first message and at a later one.
        for messages in [vec![said(hello.clone())], vec![said(good()), said(hello)]] {
            let (say, mut ends) = raw(&ground, &server).await;
            for message in messages {
                say.send(message).await.expect("said");
            }
            let status = within(ends.recv()).await.expect("a status");
            assert_eq!(status.code(), code, "{status:?}");
            assert!(status.message().contains(words), "{status:?}");
        }
        assert!(matches!(server.event().await.news, News::Joined(_)));
        assert_eq!(server.event().await.news, News::Left);
    }
    let identity = N1.parse().expect("an identity");
    let unfit = server.registry.assign(&identity, task(&"x".repeat(129), "n1"));
    assert!(matches!(unfit, Err(Undelivered::Unfit(_))), "{unfit:?}");
}

#[tokio::test]
async fn wishes_for_certificates_beyond_their_limits() {
    let ground = Ground::new();
    let server = ground.server().await;
    let tls = ground.client_with(ground.trust(), None);
    let applicant = Applicant::new().expect("a key");
    for (request, token, expected) in [
        (applicant.request_der(), vec![b'x'; 20_000], Code::ResourceExhausted),
        (&[0; 9000][..], TOKEN.into(), Code::ResourceExhausted),
        (&[0; 8000][..], TOKEN.into(), Code::InvalidArgument),
        (applicant.request_der(), b"of somebody else".to_vec(), Code::PermissionDenied),
        (applicant.request_der(), vec![b'x'; 200_000], Code::OutOfRange),
    ] {
        // One's own side says so before it is sent.
        let asked = enroll(server.address, &tls, KeepAlive::default(), request, Secret::new(token.clone()));
        let refused = within(asked).await.expect_err("refused");
        let is_limit = matches!(expected, Code::ResourceExhausted | Code::OutOfRange);
        assert_eq!(matches!(refused, ProtoError::Limit(_)), is_limit, "{refused:?}");
        // Who sends it all the same is told.
        let channel = Channel::open(server.address, &tls, KeepAlive::default()).await.expect("a channel");
        let mut client = EnrollmentClient::with_origin(channel, origin()).max_encoding_message_size(usize::MAX);
        let wish = EnrollRequest { certificate_request: request.to_vec(), token: Some(Secret::new(token)) };
        let status = within(client.enroll(wish)).await.expect_err("refused");
        assert_eq!(status.code(), expected, "{status:?}");
    }
}
