//! A service that answers as it is told, over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

/// What the service does with one request.
#[derive(Clone, Copy)]
enum Reply {
    /// Takes the request and hangs up.
    HangUp,
    /// Status line, extra headers, body.
    Say(&'static str, &'static str, &'static str),
}

/// Serves one request per connection, each with the next reply (the last one for ever); counts requests.
fn serve(replies: Vec<Reply>) -> (AzureStore, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !read_request(&mut stream) {
                continue;
            }
            let index = counter.fetch_add(1, Ordering::SeqCst);
            if let Reply::Say(status, headers, body) = replies[index.min(replies.len() - 1)] {
                let answer = format!(
                    "HTTP/1.1 {status}\r\nDate: Tue, 05 Nov 2024 15:01:15 GMT\r\nETag: \"1\"\r\n\
                     Last-Modified: Tue, 05 Nov 2024 15:01:15 GMT\r\nConnection: close\r\n{headers}\r\n{body}"
                );
                // The client may have hung up first.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    let store = AzureStore::with_account_key("az://east/firn/p", &endpoint, "c2VjcmV0").unwrap();
    (store, count)
}

/// Reads one request with its body, if any comes.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; len.map_or(0, |len| len.trim().parse().unwrap())];
    stream.read_exact(&mut body).is_ok()
}

const CREATED: Reply = Reply::Say("201 Created", "Content-Length: 0\r\n", "");
const BUSY: Reply = Reply::Say("503 Busy", "x-ms-error-code: ServerBusy\r\nContent-Length: 0\r\n", "");
const FAILED: Reply = Reply::Say("500 Failed", "x-ms-error-code: OperationTimedOut\r\nContent-Length: 0\r\n", "");

fn put_against(replies: Vec<Reply>) -> (Result<Put, Kind>, usize) {
    let (store, count) = serve(replies);
    let result = store.put_new("log/1", Bytes::from_static(b"entry"));
    (result.map_err(|error| error.kind), count.load(Ordering::SeqCst))
}

#[test]
fn a_put_without_a_reply_is_ambiguous_and_not_repeated() {
    assert_eq!(put_against(vec![Reply::HangUp, CREATED]), (Err(Kind::Ambiguous), 1));
    assert_eq!(put_against(vec![FAILED, CREATED]), (Err(Kind::Ambiguous), 1));
    let conflict = Reply::Say("409 Conflict", "x-ms-error-code: Whatever\r\nContent-Length: 0\r\n", "");
    assert_eq!(put_against(vec![conflict]), (Err(Kind::Ambiguous), 1));
}

#[test]
fn a_put_that_was_turned_away_is_repeated() {
    assert_eq!(put_against(vec![BUSY, BUSY, CREATED]), (Ok(Put::Created), 3));
    let exists = Reply::Say("409 Conflict", "x-ms-error-code: BlobAlreadyExists\r\nContent-Length: 0\r\n", "");
    assert_eq!(put_against(vec![BUSY, exists]), (Ok(Put::Exists), 2));
}

#[test]
fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = AzureStore::with_account_key("az://east/firn", &endpoint, "c2VjcmV0").unwrap();
    let error = store.put_new("a", Bytes::new()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(!error.is_permanent());
}

#[test]
fn reads_are_repeated_and_short_bodies_are_errors() {
    let good = Reply::Say("200 OK", "Content-Length: 5\r\n", "entry");
    let (store, count) = serve(vec![BUSY, Reply::HangUp, good]);
    assert_eq!(store.get("a", 5).unwrap(), "entry");
    assert_eq!(count.load(Ordering::SeqCst), 3);

    let (store, _) = serve(vec![good]);
    assert_eq!(store.get("a", 4).unwrap_err().kind, Kind::TooLarge);
    // A server that ignores the range.
    assert_eq!(store.get_range("a", 1..3).unwrap_err().kind, Kind::Short);

    let clipped = Reply::Say("206 Partial Content", "Content-Range: bytes 0-4/5\r\nContent-Length: 5\r\n", "entry");
    let (store, _) = serve(vec![clipped]);
    assert_eq!(store.get_range("a", 0..5).unwrap(), "entry");
    assert_eq!(store.get_range("a", 0..9).unwrap_err().kind, Kind::Short);
}

#[test]
fn refusals_are_typed() {
    for (reply, kind) in [
        (Reply::Say("403 No", "Content-Length: 0\r\n", ""), Kind::PermissionDenied),
        (Reply::Say("404 No", "Content-Length: 0\r\n", ""), Kind::NotFound),
        (Reply::Say("416 No", "Content-Length: 0\r\n", ""), Kind::Short),
    ] {
        let (store, _) = serve(vec![reply]);
        assert_eq!(store.get_range("a", 0..1).unwrap_err().kind, kind);
        let mut lines = 0;
        let listed = store.list("", None, &mut |_| {
            lines += 1;
            ControlFlow::Continue(())
        });
        assert!(listed.is_err() && lines == 0);
    }
}

#[test]
fn lists_that_are_unsorted_or_garbled_are_errors() {
    let blob = |name: &str| {
        format!(
            "<Blob><Name>{name}</Name><Properties><Last-Modified>Thu, 01 Jul 2021 10:44:59 GMT</Last-Modified>\
             <Content-Length>1</Content-Length><Content-Type>x</Content-Type><Etag>1</Etag></Properties></Blob>"
        )
    };
    let list = |blobs: &str| -> Reply {
        let body = format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker /></EnumerationResults>");
        let headers = format!("Content-Length: {}\r\n", body.len());
        Reply::Say("200 OK", headers.leak(), body.leak())
    };
    let run = |reply| {
        let (store, _) = serve(vec![reply]);
        let mut names = Vec::new();
        let result = store.list("", None, &mut |listed| {
            names.push(listed.name);
            ControlFlow::Continue(())
        });
        result.map(|()| names).map_err(|error| error.kind)
    };
    assert_eq!(run(list(&(blob("p/a") + &blob("p/b")))), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(run(list(&(blob("p/a") + &blob("p/b c")))), Ok(vec!["a".to_owned()]));
    assert!(run(list(&(blob("p/b") + &blob("p/a")))).is_err());
    assert!(run(Reply::Say("200 OK", "Content-Length: 4\r\n", "<Enu")).is_err());
}

#[test]
fn the_clock_is_the_services() {
    let (store, _) = serve(vec![Reply::Say("404 No", "Content-Length: 0\r\n", "")]);
    assert_eq!(store.time().unwrap().to_string(), "2024-11-05T15:01:15Z");
}
