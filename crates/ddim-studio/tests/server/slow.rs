//! Clients that take their time, or too many places.

use crate::client::{Answer, server};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn a_request_comes_in_time_or_not_at_all() {
    let server = server(|config| config.limits.request = Duration::from_millis(300));
    let began = Instant::now();
    // A head that never ends, a byte at a time.
    let mut stream = server.connect();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {}\r\n", server.address).unwrap();
    let mut dribble = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while dribble.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    // A body that does not come.
    let mut stream = server.connect();
    let head = "POST /api/v1/jobs HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 10\r\n";
    write!(stream, "{head}Host: {}\r\n\r\n{{", server.address).unwrap();
    let answer = Answer::read(stream);
    assert_eq!(answer.status, 408, "{}", answer.text());
    // A connection that says nothing.
    let mut nothing = Vec::new();
    let _ = server.connect().read_to_end(&mut nothing);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn connections_are_counted() {
    let server = server(|config| config.limits.connections = 3);
    let open: Vec<_> = (0..3).map(|_| server.connect()).collect();
    // They are accepted in turn, the fourth after them.
    assert_eq!(server.get("/healthz").status, 0);
    drop(open);
    let began = Instant::now();
    while server.get("/healthz").status != 200 {
        assert!(began.elapsed() < Duration::from_secs(30), "places are given back");
        std::thread::sleep(Duration::from_millis(20));
    }
}
