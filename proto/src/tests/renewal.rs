//! Certificates and authorities that change while everything runs; nothing secret in what is logged.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use super::ground::*;
use crate::v1::{Repository, Setting};
use crate::*;

const N1: &str = "firn://c1/agent/n1";
const COORDINATOR: &str = "firn://c1/coordinator";

fn n1() -> Identity {
    N1.parse().expect("an identity")
}

/// Both sides still hear each other.
async fn assert_alive(server: &mut Server, link: &mut Link) {
    server.registry.cancel(&n1(), "t").expect("sent");
    assert_eq!(within(link.hear()).await.expect("an order"), Order::Cancel("t".into()));
    let progress = v1::Progress::default();
    link.voice().say(v1::from_agent::Content::Progress(progress.clone())).await.expect("said");
    assert_eq!(server.event().await.news, News::Progress(progress));
}

#[tokio::test]
async fn from_nothing_to_a_stream() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let tls = ground.client_with(ground.trust(), None);
    let refused = link(&tls, server.address, "n1").await.expect_err("no certificate yet");
    assert!(refused.asks_for_certificate());

    let ask = async || {
        let applicant = Applicant::new().expect("a key");
        let token = Secret::new(TOKEN);
        let asked = enroll(server.address, &tls, KeepAlive::default(), applicant.request_der(), token);
        let reply = within(asked).await.expect("a certificate");
        let credentials = applicant.credentials(&reply.certificate_chain).expect("credentials");
        tls.reload(Trust::from_pem(&reply.authorities).expect("trust"), Some(&credentials)).expect("reloads");
    };
    ask().await;
    assert_eq!(tls.leaf().map(|leaf| leaf.identity), Some(n1()));
    ask().await;
    let peers = std::mem::take(&mut *server.enrolled.lock());
    assert!(matches!(peers.as_slice(), [Peer::Unknown, Peer::Known(leaf)] if leaf.identity == n1()), "{peers:?}");
    let mut link = link(&tls, server.address, "n1").await.expect("a link");
    server.event().await;
    assert_alive(&mut server, &mut link).await;
}

#[tokio::test]
async fn a_stream_outlives_the_change_of_everything_but_its_own_certificate() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let tls = ground.client(N1);
    let mut first = link(&tls, server.address, "n1").await.expect("a link");
    server.event().await;

    // A second authority is trusted beside the first; then it signs; then the first is no longer trusted.
    let second = authority();
    let both = trust(&[&ground.authority, &second]);
    server.tls.reload(&ground.credentials(COORDINATOR), both.clone()).expect("reloads");
    assert_alive(&mut server, &mut first).await;
    let unaware = ground.client(N1);
    server.tls.reload(&credentials(&second, COORDINATOR), both.clone()).expect("reloads");
    assert_alive(&mut server, &mut first).await;

    let refused = link(&unaware, server.address, "n1").await.expect_err("it trusts the first alone");
    assert!(chain(&refused).contains("none of the trusted authorities signed it"), "{}", chain(&refused));
    tls.reload(both, Some(&ground.credentials(N1))).expect("reloads");
    let mut next = link(&tls, server.address, "n1").await.expect("old certificate, both trusted");
    assert!(matches!(within(first.hear()).await, Err(ProtoError::Replaced { .. })));
    server.event().await;
    assert_alive(&mut server, &mut next).await;

    server.tls.reload(&credentials(&second, COORDINATOR), trust(&[&second])).expect("reloads");
    assert_alive(&mut server, &mut next).await;
    let refused = link(&tls, server.address, "n1").await.expect_err("signed by the first");
    assert!(refused.asks_for_certificate(), "{refused:?}");
    tls.reload(trust(&[&second]), Some(&credentials(&second, N1))).expect("reloads");
    let mut last = link(&tls, server.address, "n1").await.expect("all is new");
    server.event().await;
    assert_alive(&mut server, &mut last).await;
    assert_eq!(server.tls.leaf().identity.to_string(), COORDINATOR);
}

#[tokio::test]
async fn a_stream_ends_with_its_certificate() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let short = ground.authority.credentials(&n1(), NOW_MS, 2000).expect("credentials");
    let tls = ground.client_with(ground.trust(), Some(&short));
    let mut link = link(&tls, server.address, "n1").await.expect("a link");
    server.event().await;
    let ended = within(link.hear()).await.expect_err("its time is over");
    assert!(ended.asks_for_certificate(), "{ended:?}");
    assert!(ended.to_string().contains("firn://c1/agent/n1 expired at 2027-01-15T08:00:02Z"), "{ended}");
    assert_eq!(server.event().await.news, News::Left);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    const KEY: &str = "plugh-account-key";
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let ground = Ground::new();
    let mut server = ground.server().await;
    let tls = ground.client_with(ground.trust(), None);
    let applicant = Applicant::new().expect("a key");
    let ask = |token: &str| {
        let request = applicant.request_der();
        let (address, tls, token) = (server.address, tls.clone(), Secret::new(token));
        async move { within(enroll(address, &tls, KeepAlive::default(), request, token)).await }
    };
    let reply = ask(TOKEN).await.expect("a certificate");
    let refused = ask("xyzzy-token-of-nobody").await.expect_err("refused");
    let credentials = applicant.credentials(&reply.certificate_chain).expect("credentials");
    tls.reload(ground.trust(), Some(&credentials)).expect("reloads");
    let mut link = link(&tls, server.address, "n1").await.expect("a link");
    let joined = server.event().await;
    let mut order = task("t", "n1");
    let credentials = vec![Setting { name: "KEY".into(), value: Some(Secret::new(KEY)) }];
    order.repository = Some(Repository { credentials, ..Repository::default() });
    server.registry.assign(&n1(), order).expect("assigned");
    let heard = within(link.hear()).await.expect("an order");
    tracing::info!(?heard, ?joined, ?refused, ?tls, registry = ?server.registry, "all that there is");

    let logged = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(logged.contains("all that there is") && logged.len() > 10_000, "trace is logged");
    let key_pem = ground.authority.key_pem().lines().nth(1).expect("a line").to_owned();
    for secret in [TOKEN, "xyzzy-token-of-nobody", KEY, &key_pem] {
        assert!(!logged.contains(secret), "{secret} is in the log");
    }
}
