//! Streams that work, break, are replaced, and come back.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::ground::*;
use crate::v1::{CaptureObjects, Contribution, Finished, Progress, finished, from_agent, task};
use crate::*;

const N1: &str = "firn://c1/agent/n1";

fn n1() -> Identity {
    N1.parse().expect("an identity")
}

fn done(task: &str) -> Finished {
    let contribution = Contribution { root: vec![1; 32], entries: 7, ..Contribution::default() };
    Finished { task: task.into(), outcome: Some(finished::Outcome::Contribution(Box::new(contribution))) }
}

#[tokio::test]
async fn orders_and_answers_make_the_round() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let mut connector = Connector::new(ground.client(N1), KeepAlive::default(), SHORT);
    let mut hello = hello("n1");
    (hello.running, hello.finished) = (vec!["a".into()], vec!["b".into()]);
    let mut link = within(connector.link(server.address, hello.clone())).await.expect("a link");
    assert_eq!((link.welcome().coordinator_version.as_str(), link.welcome().protocol), ("1.2.3", 1));

    let event = server.event().await;
    (hello.protocol_min, hello.protocol_max) = (1, 1);
    assert_eq!((event.identity.clone(), event.news), (n1(), News::Joined(hello)));
    assert_eq!(server.registry.connected(), [n1()]);

    server.registry.assign(&n1(), task("t1", "n1")).expect("assigned");
    server.registry.cancel(&n1(), "t1").expect("cancelled");
    server.registry.forget(&n1(), "b").expect("forgotten");
    server.registry.ping(&n1(), 99).expect("pinged");
    assert_eq!(within(link.hear()).await.expect("an order"), Order::Assign(Box::new(task("t1", "n1"))));
    assert_eq!(within(link.hear()).await.expect("an order"), Order::Cancel("t1".into()));
    assert_eq!(within(link.hear()).await.expect("an order"), Order::Forget("b".into()));

    let voice = link.voice();
    let listening = tokio::spawn(async move { link.hear().await });
    assert_eq!(server.event().await.news, News::Pong(99));
    let progress = Progress { task: "t1".into(), bytes: 5, ..Progress::default() };
    voice.say(from_agent::Content::Progress(progress.clone())).await.expect("said");
    voice.say(from_agent::Content::Finished(done("t1"))).await.expect("said");
    assert_eq!(server.event().await.news, News::Progress(progress));
    assert_eq!(server.event().await.news, News::Finished(done("t1")));

    listening.abort();
    let left = server.event().await;
    assert_eq!((left.stream, left.news), (event.stream, News::Left));
    assert_eq!(server.registry.connected(), []);
    assert_eq!(server.registry.forget(&n1(), "b"), Err(Undelivered::NotConnected(n1())));
}

#[tokio::test]
async fn a_newer_stream_takes_the_place_of_the_older() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let tls = ground.client(N1);
    let mut older = link(&tls, server.address, "n1").await.expect("a link");
    let first = server.event().await;
    let mut newer = link(&tls, server.address, "n1").await.expect("a link");
    let told = within(older.hear()).await.expect_err("it is told");
    assert!(matches!(told, ProtoError::Replaced { .. }), "{told:?}");
    let second = server.event().await;
    assert!(second.stream > first.stream && matches!(second.news, News::Joined(_)), "{second:?}");

    // What the older still says is heard by nobody, and its end makes nobody leave.
    let _late = older.voice().say(from_agent::Content::Finished(done("late"))).await;
    drop(older);
    server.registry.assign(&n1(), task("t", "n1")).expect("assigned");
    assert_eq!(within(newer.hear()).await.expect("an order"), Order::Assign(Box::new(task("t", "n1"))));
    newer.voice().say(from_agent::Content::Finished(done("t"))).await.expect("said");
    assert_eq!(server.event().await.news, News::Finished(done("t")));
}

#[tokio::test]
async fn who_was_replaced_does_not_come_back_at_once() {
    let ground = Ground::new();
    let server = ground.server().await;
    let most = Duration::from_secs(3600);
    let mut connector =
        Connector::new(ground.client(N1), KeepAlive::default(), Backoff { first: Duration::from_millis(1), most });
    let mut older = within(connector.link(server.address, hello("n1"))).await.expect("a link");
    within(connector.pause()).await;
    let _newer = link(&ground.client(N1), server.address, "n1").await.expect("a link");
    connector.ended(&within(older.hear()).await.expect_err("it is told"));
    let waits = tokio::time::timeout(Duration::from_millis(50), connector.pause()).await;
    assert!(waits.is_err(), "it waits as long as may be");
}

#[tokio::test]
async fn a_task_goes_only_to_its_node() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let mut n2 = link(&ground.client("firn://c1/agent/n2"), server.address, "n2").await.expect("a link");
    let mut objects = link(&ground.client("firn://c1/objects"), server.address, "").await.expect("a link");
    let identities = [server.event().await.identity, server.event().await.identity];
    for (identity, node) in [(&identities[0], "n1"), (&identities[0], ""), (&identities[1], "n1")] {
        let refused = server.registry.assign(identity, task("t", node));
        assert!(matches!(refused, Err(Undelivered::OtherNode { .. })), "{refused:?}");
    }
    assert_eq!(server.registry.assign(&n1(), task("t", "n1")), Err(Undelivered::NotConnected(n1())));
    server.registry.assign(&identities[0], task("volume", "n2")).expect("assigned");
    server.registry.assign(&identities[1], task("objects", "")).expect("assigned");
    assert_eq!(within(n2.hear()).await.expect("an order"), Order::Assign(Box::new(task("volume", "n2"))));
    assert_eq!(within(objects.hear()).await.expect("an order"), Order::Assign(Box::new(task("objects", ""))));
}

#[tokio::test]
async fn orders_that_nobody_takes_do_not_pile_up() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let mut link = link(&ground.client(N1), server.address, "n1").await.expect("a link");
    let event = server.event().await;
    let order = |n: usize| {
        let rules = "x".repeat(1 << 20);
        let mut order = task(&n.to_string(), "n1");
        order.work = Some(task::Work::CaptureObjects(CaptureObjects { rules, ..CaptureObjects::default() }));
        order
    };
    let mut taken = 0;
    let refused = loop {
        match server.registry.assign(&event.identity, order(taken)) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken <= 64, "the queue has no end");
        tokio::task::yield_now().await;
    };
    assert_eq!(refused, Undelivered::Busy(n1()));
    assert!(taken >= 20, "{taken}: there is room for one of the largest");
    for n in 0..taken {
        assert_eq!(within(link.hear()).await.expect("an order"), Order::Assign(Box::new(order(n))));
    }
    server.registry.assign(&n1(), order(taken)).expect("there is room again");
}

#[tokio::test]
async fn news_that_nobody_reads_does_not_pile_up() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let link = link(&ground.client(N1), server.address, "n1").await.expect("a link");
    let result = |n: usize| {
        let facts = "x".repeat(2 << 20);
        let contribution = Contribution { facts, ..Contribution::default() };
        let outcome = Some(finished::Outcome::Contribution(Box::new(contribution)));
        from_agent::Content::Finished(Finished { task: n.to_string(), outcome })
    };
    let voice = link.voice();
    let mut said = 0;
    while tokio::time::timeout(Duration::from_millis(500), voice.say(result(said))).await.is_ok() {
        said += 1;
        assert!(said < 100, "nothing holds it back");
    }
    assert!(matches!(server.event().await.news, News::Joined(_)));
    for n in 0..said {
        match server.event().await.news {
            News::Finished(finished) => assert_eq!(finished.task, n.to_string()),
            other => panic!("{other:?}"),
        }
    }
    within(voice.say(result(said))).await.expect("there is room again");
}

#[tokio::test]
async fn an_agent_comes_back_to_a_new_coordinator() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let mut connector = Connector::new(ground.client(N1), KeepAlive::default(), SHORT);
    let mut link = within(connector.link(server.address, hello("n1"))).await.expect("a link");
    server.event().await;
    let address = server.kill().await;
    let lost = within(link.hear()).await.expect_err("the stream is gone");
    assert!(!lost.is_permanent(), "{lost:?}");
    drop(link);
    for _ in 0..3 {
        connector.pause().await;
        let refused = within(connector.link(address, hello("n1"))).await.expect_err("nobody listens");
        assert!(matches!(refused, ProtoError::Connect { .. }) && !refused.is_permanent(), "{refused:?}");
    }
    let credentials = ground.credentials("firn://c1/coordinator");
    let mut server = ground.server_with(&address.to_string(), &credentials, KeepAlive::default()).await;
    connector.pause().await;
    let mut link = within(connector.link(address, hello("n1"))).await.expect("a link");
    server.event().await;
    server.registry.assign(&n1(), task("t", "n1")).expect("assigned");
    within(link.hear()).await.expect("an order");

    server.registry.dismiss_all("this process no longer leads");
    let told = within(link.hear()).await.expect_err("it is told");
    assert!(told.to_string().contains("no longer leads") && !told.is_permanent(), "{told}");
    assert_eq!(server.event().await.news, News::Left);
}

#[tokio::test]
async fn one_agent_cannot_take_all_connections() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let tls = ground.client(N1);
    let mut held = Vec::new();
    // One fails only when its connection is used: the door lets it in to find out who it is.
    let refused = loop {
        match link(&tls, server.address, "n1").await {
            Ok(link) => held.push(link),
            Err(refused) => break refused,
        }
        server.event().await;
        assert!(held.len() < 100, "nothing holds it back");
    };
    assert_eq!(held.len(), crate::tls::crowd::CONNECTIONS_EACH_MAX);
    assert!(!refused.is_permanent(), "{refused:?}");
    let _other = link(&ground.client("firn://c1/agent/n2"), server.address, "n2").await.expect("a link");
    held.clear();
    let mut connector = Connector::new(tls, KeepAlive::default(), SHORT);
    while within(connector.link(server.address, hello("n1"))).await.is_err() {
        connector.pause().await;
    }
}

/// A wire that can be cut so that nobody is told: nothing passes any more, and nothing is closed.
async fn wire(to: std::net::SocketAddr) -> (std::net::SocketAddr, tokio::sync::watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (mut here, _) = listener.accept().await.expect("a connection");
        let mut there = TcpStream::connect(to).await.expect("a connection");
        let mut until = is_cut.clone();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
            _ = until.wait_for(|cut| *cut) => {}
        }
        // Held open, and read by nobody.
        std::future::pending::<()>().await;
    });
    (address, cut)
}

#[tokio::test]
async fn a_dead_peer_is_noticed_on_both_sides() {
    let ground = Ground::new();
    let quick = KeepAlive { interval: Duration::from_millis(200), timeout: Duration::from_millis(200) };
    let mut server = ground.server_with("127.0.0.1:0", &ground.credentials("firn://c1/coordinator"), quick).await;
    let (address, cut) = wire(server.address).await;
    let mut connector = Connector::new(ground.client(N1), quick, SHORT);
    let mut link = within(connector.link(address, hello("n1"))).await.expect("a link");
    server.event().await;
    // Silence alone is no death: questions are answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.registry.cancel(&n1(), "t").expect("sent");
    within(link.hear()).await.expect("an order");
    cut.send(true).expect("cut");
    let lost = within(link.hear()).await.expect_err("it is noticed");
    assert!(!lost.is_permanent(), "{lost:?}");
    assert_eq!(server.event().await.news, News::Left);
    let default = KeepAlive::default();
    assert!(default.interval + default.timeout < Duration::from_secs(20));
}

#[tokio::test]
async fn rubbish_at_the_door_disturbs_nobody() {
    let ground = Ground::new();
    let mut server = ground.server().await;
    let mut held = Vec::new();
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 2000], &[0x16, 0x03, 0x01, 0xff, 0xff, 0x01], &[]] {
        let mut stream = TcpStream::connect(server.address).await.expect("a connection");
        stream.write_all(rubbish).await.expect("written");
        held.push(stream);
    }
    let _link = link(&ground.client(N1), server.address, "n1").await.expect("a link");
    assert!(matches!(server.event().await.news, News::Joined(_)));
}
